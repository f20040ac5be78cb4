"""Computes one cell, in whatever process a scheduler has chosen."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import Row
from engram.participant.experiments.plan import Cell, Experiment


@dataclass(frozen=True)
class CellTask:
    """One cell to compute."""

    experiment: Experiment
    cell: Cell
    data: DataFolder
    engine: str
    """The name of the engine that evaluates networks."""
    log: Path | None = None
    """A file to which each line of the log is added at once, where the process that computes can reach it."""


@dataclass(frozen=True)
class CellOutcome:
    """What became of a task: rows, or why there are none."""

    cell: str
    seconds: float
    rows: dict[str, list[Row]]
    log: str
    error: str | None = None
    """The last line of the error's text; `log` ends with all of it."""


def compute(task: CellTask) -> CellOutcome:
    """Computes a cell in a temporary folder. Errors become part of the outcome. Blocks."""
    begin, lines = time.perf_counter(), list[str]()

    def say(line: str) -> None:
        lines.append(f"{time.perf_counter() - begin:8.1f} s  {line}")
        if task.log is not None:
            with task.log.open("a", encoding="utf-8") as stream:
                stream.write(lines[-1] + "\n")

    work = Path(tempfile.mkdtemp(prefix="engram-experiment-"))
    try:
        found = task.experiment.run(task.cell, work, task.data, say, task.engine)
        rows = {table: list(given) for table, given in found.items()}
        error = None
    except Exception as failure:
        alone: BaseException = failure
        while isinstance(alone, BaseExceptionGroup) and len(alone.exceptions) == 1:
            alone = alone.exceptions[0]
        rows, error = {}, f"{type(alone).__name__}: {alone}"
        lines.append(traceback.format_exc())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return CellOutcome(task.cell.name, time.perf_counter() - begin, rows, "\n".join(lines) + "\n", error)
