"""Plays the table of faults against real nodes and writes what came of it to build/faults.json.

Each fault is played by the tests that carry its mark, in a run of pytest of its own. The numbers of the
table are multiplied by --scale, 0.3 by default, which takes less than an hour on two cores. What has been
played at this scale with the very same files is not played again, so an interrupted run can be called again.
A fault that no test plays is listed with `ok: null`.

Exit status: 1 if a fault was not survived, 2 if a fault has no test, else 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.faults import FAULTS, ROWS_VARIABLE, SCALE_VARIABLE

ROOT: Final = Path(__file__).resolve().parents[2]
OUTPUT: Final = ROOT / "build" / "faults.json"
DEFAULT_SCALE: Final = 0.3
_MARK: Final = re.compile(r"\b(?:fault\(id=|plays\()(\d+)\b")
_NOTHING_RAN: Final = 5
"""pytest's exit status if it has found no test."""
EXAMPLES: Final = """examples:
  make faults
  make faults ID=16
  make faults ARGS='--scale 1 --again' ID='1 2 3'
  make faults ARGS='--json' | jq '.rows[] | select(.ok == false)'
"""


@dataclass(frozen=True)
class Row:
    """What came of one fault."""

    id: int
    name: str
    inputs: int
    """How many inputs the tests say they have played."""
    survived: int
    code: str
    """The codes of the errors which the inputs met, joined by commas."""
    ratio: float | None
    """The worst ratio that a test has measured: what the fault costs against an undisturbed run."""
    ok: bool | None
    """None if no test plays the fault."""
    seconds: float = 0.0
    failed: tuple[str, ...] = ()
    """The tests that failed."""
    scale: float = 0.0
    digest: str = ""
    """Of the files that were played."""


def files_of(fault: int) -> list[str]:
    """The test files in which a test plays the fault."""
    found = []
    for path in sorted(ROOT.glob("tests/*/**/test_*.py")):
        if str(fault) in _MARK.findall(path.read_text("utf-8")):
            found.append(str(path.relative_to(ROOT)))
    return found


def source_digest() -> str:
    """The digest of every file that git knows or would take, so that a changed tree is played again."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    digest = hashlib.sha256()
    for name in sorted(filter(None, listed)):
        path = ROOT / os.fsdecode(name)
        if path.suffix == ".py" and path.is_file():
            digest.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def play(fault: int, scale: float, jobs: int, digest: str) -> Row:
    """Runs the tests of one fault."""
    name, files, began_s = FAULTS[fault].name, files_of(fault), time.monotonic()
    if not files:
        return Row(fault, name, 0, 0, "", None, None, scale=scale, digest=digest)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        command = [sys.executable, "-m", "pytest", "-q", "-n", str(jobs), "-m", f"fault(id={fault})", *files]
        # What `ENGRAM_TEST_EXAMPLES` would change is set by the table here.
        environment = {**os.environ, SCALE_VARIABLE: str(scale), ROWS_VARIABLE: str(rows)}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=sys.stderr, stdin=subprocess.DEVNULL, check=False
        )
        lines = rows.read_text("utf-8").splitlines() if rows.exists() else []
    told = [line for line in map(json.loads, lines) if line["id"] == fault]
    return summary(fault, told, done.returncode, time.monotonic() - began_s, scale, digest)


def summary(
    fault: int, told: Sequence[dict[str, Any]], status: int, seconds: float, scale: float, digest: str
) -> Row:
    """One row of what the fault's tests have told; `status` is pytest's."""
    failed = tuple(line["test"] for line in told if line["outcome"] == "failed")
    played = [line for line in told if line["outcome"] != "skipped"]
    ratios = [line["ratio"] for line in played if line["ratio"] is not None]
    return Row(
        fault,
        FAULTS[fault].name,
        sum(line["inputs"] for line in played),
        sum(line["survived"] for line in played),
        ",".join(sorted({line["code"] for line in played if line["code"]})),
        max(ratios, default=None),
        None if status in (0, _NOTHING_RAN) and not played else status == 0,
        round(seconds, 1),
        failed,
        scale,
        digest,
    )


def remembered(path: Path) -> dict[int, Row]:
    """What an earlier run has written, by fault."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text("utf-8"))["rows"]
    return {row["id"]: Row(**{**row, "failed": tuple(row["failed"])}) for row in rows}


def write(path: Path, rows: dict[int, Row]) -> str:
    """Writes all rows, by id, and returns the text."""
    text = json.dumps({"rows": [asdict(rows[fault]) for fault in sorted(rows)]}, indent=2) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    return text


def line_of(row: Row) -> str:
    """One line of the table."""
    verdict = {True: "survived", False: "NOT SURVIVED", None: "no test"}[row.ok]
    cost = f", ratio {row.ratio:.2f}" if row.ratio is not None else ""
    counts = f"{row.survived} of {row.inputs}{cost}" if row.inputs else ""
    return f"{row.id:3}  {row.name:62} {verdict:13} {counts:22} {row.seconds:6.1f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays what the arguments ask for; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="make faults",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="play these; default: all")
    parser.add_argument("--scale", type=float, default=DEFAULT_SCALE, help="default: %(default)s")
    parser.add_argument("--jobs", type=int, default=2, help="test processes; default: %(default)s")
    parser.add_argument("--again", action="store_true", help="also play what has been played already")
    parser.add_argument("--json", action="store_true", help="print what is written instead of the table")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="FILE", help="default: build/faults.json"
    )
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.ids) - set(FAULTS)):
        parser.error(f"there is no fault {unknown[0]}: ids are 1 to {max(FAULTS)}")

    digest, rows = source_digest(), remembered(options.output)
    wanted: list[int] = options.ids or sorted(FAULTS)
    for place, fault in enumerate(wanted, 1):
        row = rows.get(fault)
        is_known = row is not None and row.ok and (row.scale, row.digest) == (options.scale, digest)
        if options.again or not is_known:
            rows[fault] = play(fault, options.scale, options.jobs, digest)
        print(f"{place}/{len(wanted)} {line_of(rows[fault])}", file=sys.stderr, flush=True)
        text = write(options.output, rows)
    print(text if options.json else "\n".join(line_of(rows[fault]) for fault in wanted))
    verdicts = {rows[fault].ok for fault in wanted}
    return 1 if False in verdicts else 2 if None in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
