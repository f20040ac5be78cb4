"""Runs an experiment: the cells that are missing, then the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engram.node.engines.registry import NUMPY
from engram.node.files import write_public
from engram.participant.experiments.cells import FinishedCell, digest_of, load_cell, path_of, versions
from engram.participant.experiments.data import DATA_SETS, DataFolder
from engram.participant.experiments.document import Row
from engram.participant.experiments.errors import CellFailed, CellUnknown
from engram.participant.experiments.plan import Cell, Experiment, Scale
from engram.participant.experiments.plotting import check_plotting
from engram.participant.experiments.rendering import write_report
from engram.participant.experiments.scheduler import Schedule
from engram.participant.experiments.working import CellOutcome, CellTask


@dataclass(frozen=True)
class Ran:
    """A cell that has just ended, and how far the experiment is."""

    cell: str
    seconds: float
    error: str | None
    done: int
    """How many cells are finished, with those of earlier runs."""
    cells: int
    share: float
    """The finished share of all work, from 0 to 1, by the weights of the cells."""
    remaining_s: float | None
    """The expected time to the end; None while no cell is finished."""


@dataclass(frozen=True)
class RunPlan:
    """Which experiment is run, and where its files go."""

    experiment: Experiment
    scale: Scale
    out: Path
    data: DataFolder
    only: tuple[str, ...] = ()
    """The names of the cells to run; empty for all."""
    command: tuple[str, ...] = ()
    """The command line, for `results.json`."""
    engine: str = NUMPY
    """The name of the engine that evaluates networks. Networks are small here and nodes many, and to choose
    one at every start would take longer than it saves."""


def run_experiment(plan: RunPlan, schedule: Schedule, jobs: int, ended: Callable[[Ran], None]) -> bool:
    """Runs the cells that are missing, then writes the report; whether the report is there.

    It is not there yet if `only` has left cells out. Data sets are checked before any work. A cell that fails
    stops no other one. Raises `CellFailed` at the end if any did, `CellUnknown`, `LibraryMissing`, and what
    `DataFolder.check` raises.
    """
    check_plotting()
    names = plan.experiment.data_sets(plan.scale)
    for name in names:
        plan.data.check(name)
    cells = plan.experiment.cells(plan.scale, plan.data)
    known = {cell.name for cell in cells}
    if unknown := [name for name in plan.only if name not in known]:
        raise CellUnknown(expected=sorted(known), got=unknown[0])
    digests = {cell.name: digest_of(plan.experiment, cell, names, plan.engine) for cell in cells}
    kept = {cell.name: load_cell(plan.out, cell, digests[cell.name]) for cell in cells}
    finished = {name: each for name, each in kept.items() if each is not None}
    missing = [
        cell for cell in cells if cell.name not in finished and (not plan.only or cell.name in plan.only)
    ]
    watched = _Watch(cells, jobs)
    tasks = [
        CellTask(plan.experiment, cell, plan.data, plan.engine, _fresh_log(plan.out, cell))
        for cell in missing
    ]
    failed: dict[str, str] = {}
    by_name = {cell.name: cell for cell in cells}
    with closing(schedule(tasks)) as outcomes:
        for outcome in outcomes:
            if outcome.error is not None:
                failed[outcome.cell] = outcome.error
            else:
                finished[outcome.cell] = _keep(
                    plan.out, by_name[outcome.cell], digests[outcome.cell], outcome
                )
            write_public(plan.out / "cells" / f"{outcome.cell}.log", outcome.log.encode())
            ended(watched.after(outcome, finished))
    if failed:
        first = next(iter(failed))
        raise CellFailed(
            f"{len(failed)} of {len(cells)} cells failed, the first is {first}: {failed[first]}; its log is "
            f"{plan.out / 'cells' / f'{first}.log'}; the same command tries them again",
            got=sorted(failed),
        )
    if len(finished) < len(cells):
        return False
    write_report_of(plan, cells, finished)
    return True


def write_report_of(plan: RunPlan, cells: Sequence[Cell], finished: dict[str, FinishedCell]) -> None:
    """Writes the report from finished cells."""
    rows: dict[str, list[Row]] = {}
    for cell in cells:
        for table, given in finished[cell.name].rows.items():
            rows.setdefault(table, []).extend(given)
    document = plan.experiment.document(plan.scale, rows)
    results: dict[str, Any] = {
        "experiment": plan.experiment.name,
        "scale": plan.scale.value,
        "command": list(plan.command),
        "versions": versions(),
        "engine": plan.engine,
        "data": {
            name: {"source": each.source, "licence": each.licence, "sha256": dict(each.files)}
            for name, each in DATA_SETS.items()
            if name in plan.experiment.data_sets(plan.scale)
        },
        "cells": [
            {
                "name": cell.name,
                "settings": dict(cell.settings),
                "digest": finished[cell.name].digest,
                "seconds": finished[cell.name].seconds,
            }
            for cell in cells
        ],
        "rows": rows,
        "tables": {table.name: [dict(row) for row in table.rows] for table in document.tables},
    }
    write_report(plan.out, document, results)


def _fresh_log(out: Path, cell: Cell) -> Path:
    """The file of a cell's log, empty now."""
    path = out / "cells" / f"{cell.name}.log"
    write_public(path, b"")
    return path


def _keep(out: Path, cell: Cell, digest: str, outcome: CellOutcome) -> FinishedCell:
    finished = FinishedCell(digest, outcome.seconds, outcome.rows)
    content = json.dumps(finished.to_json(), indent=1, allow_nan=False) + "\n"
    write_public(path_of(out, cell), content.encode())
    return finished


class _Watch:
    """Estimates the time to the end from the cells that are finished."""

    def __init__(self, cells: Sequence[Cell], jobs: int) -> None:
        self._weights: Final = {cell.name: cell.weight for cell in cells}
        self._jobs: Final = jobs

    def after(self, outcome: CellOutcome, finished: dict[str, FinishedCell]) -> Ran:
        done = sum(self._weights[name] for name in finished)
        whole = sum(self._weights.values())
        seconds = sum(each.seconds for each in finished.values())
        remaining = (whole - done) * seconds / done / self._jobs if done else None
        return Ran(
            outcome.cell,
            outcome.seconds,
            outcome.error,
            len(finished),
            len(self._weights),
            done / whole,
            remaining,
        )
