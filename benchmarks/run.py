"""Runs benchmarks/bench_*.py, prints one table and writes build/bench.json.

A benchmark file offers `rows(quick: bool) -> Iterable[Row]`; `quick` asks for the same rows from less work,
to see that the benchmark runs, not to report its numbers.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.measure import Row, table

FOLDER = Path(__file__).resolve().parent
OUTPUT = FOLDER.parent / "build" / "bench.json"
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def benchmark_names() -> list[str]:
    """What `--only` accepts: `bench_verify.py` is called `verify`."""
    return sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def measure(names: Sequence[str], quick: bool) -> tuple[list[Row], list[str]]:
    """The rows of the named benchmarks and the names of those that raised; one that raises stops no other."""
    rows: list[Row] = []
    broken: list[str] = []
    for name in names:
        started = time.monotonic()
        try:
            rows.extend(import_module(f"benchmarks.bench_{name}").rows(quick=quick))
        except Exception:
            traceback.print_exc()
            broken.append(name)
        print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    return rows, broken


def write(rows: Sequence[Row], quick: bool, output: Path) -> None:
    """Write the rows with what is needed to read them later: the machine and the versions."""
    report = {
        "rows": [asdict(row) for row in rows],
        "quick": quick,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 if a benchmark raised, or, with --strict, if a row misses its target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=benchmark_names(), help="may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="less work; shows that it runs, not how fast")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a row misses its target")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    options = parser.parse_args(arguments)

    # A node verifies on one thread; numpy reads these when a benchmark first imports it.
    os.environ.update(dict.fromkeys(BLAS_THREADS, "1"))
    rows, broken = measure(options.only or benchmark_names(), options.quick)
    print("\n".join(table(rows)))
    write(rows, options.quick, options.output)
    missed = [row.name for row in rows if not row.ok]
    if missed:
        print(f"target missed: {', '.join(missed)}")
    if broken:
        print(f"benchmark broken: {', '.join(broken)}")
    return 1 if broken or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
