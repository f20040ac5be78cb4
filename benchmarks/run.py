"""Measures Engram against its targets and prints one table.

Most rows compare a value with a baseline of the same run. If a target is absolute (seconds, megabytes,
microseconds), the baseline says how fast this machine is. Rows that need MNIST are skipped without it, which
does not count as a miss. The rows are written to build/bench.json: {name, value, baseline, ratio, target,
ok}.

Absolute times need an idle machine, so the load at the start is written too, and told with what missed.

Exit status: 1 if a row misses its target, 2 if a benchmark broke, else 0. --quick does less work, so its
numbers mean nothing and miss no target: it shows that everything runs.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, cells, table

FOLDER = Path(__file__).resolve().parent
OUTPUT = FOLDER.parent / "build" / "bench.json"
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
EXAMPLES = """examples:
  make bench
  make bench ARGS='--only nn --only chain'
  make bench ARGS='--json' | jq '.rows[] | select(.ok == false)'
  ENGRAM_DATA=~/mnist make bench ARGS='--only mnist'
"""


def benchmark_names() -> list[str]:
    """What `--only` accepts: `chain` for `bench_chain.py`. Each file has `rows(quick) -> Iterable[Row]`."""
    return sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def measure(names: Sequence[str], quick: bool) -> tuple[list[Row], list[str]]:
    """The rows of the named benchmarks, and the names of those that raised. The others run all the same."""
    rows: list[Row] = []
    broken: list[str] = []
    for name in names:
        try:
            rows.extend(_told(name, import_module(f"benchmarks.bench_{name}").rows(quick=quick)))
        except Exception:
            traceback.print_exc()
            broken.append(name)
    return rows, broken


def _told(benchmark: str, rows: Iterable[Row]) -> Iterator[Row]:
    """The same rows; each is printed to standard error as soon as it is there."""
    began_s = time.monotonic()
    for row in rows:
        name, value, baseline, ratio, target, ok = cells(row)
        took = f"{benchmark} {time.monotonic() - began_s:5.1f} s"
        print(f"{took}  {name} {value} ({baseline}, {ratio}); {target}: {ok}", file=sys.stderr, flush=True)
        yield row
        began_s = time.monotonic()


def report(rows: Sequence[Row], quick: bool, load: float) -> dict[str, Any]:
    """The rows, together with facts about the machine and Python that explain them later."""
    return {
        "rows": [asdict(row) for row in rows],
        "quick": quick,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": load,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the arguments ask for; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    only = "run this one; may be repeated: %(choices)s"
    parser.add_argument("--only", action="append", metavar="NAME", choices=benchmark_names(), help=only)
    parser.add_argument("--quick", action="store_true", help="do less work")
    parser.add_argument("--json", action="store_true", help="print what is written instead of the table")
    output = "default: build/bench.json"
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help=output)
    options = parser.parse_args(arguments)

    # A node verifies on one thread. numpy reads these variables when a benchmark first imports it.
    os.environ.update(dict.fromkeys(BLAS_THREADS, "1"))
    load = os.getloadavg()[0]
    rows, broken = measure(options.only or benchmark_names(), options.quick)
    text = json.dumps(report(rows, options.quick, load), indent=2)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text + "\n", encoding="utf-8")
    print(text if options.json else "\n".join(table(rows)))
    missed = [row.name for row in rows if row.ok is False and not options.quick]
    if missed:
        print(
            f"load when it began: {load:.2f} on {os.cpu_count()} cores; absolute times need an idle machine",
            file=sys.stderr,
        )
    for title, names in (("benchmark broken", broken), ("target missed", missed)):
        if names:
            print(f"{title}: {', '.join(names)}", file=sys.stderr)
    return 2 if broken else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
