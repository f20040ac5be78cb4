"""Experiments are resumed cell by cell, and what fails in one cell stops no other."""

from __future__ import annotations

import csv
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.errors import CellFailed, CellUnknown
from engram.participant.experiments.plan import Scale
from engram.participant.experiments.runner import Ran, RunPlan, run_experiment
from engram.participant.experiments.scheduler import here
from tests.support.small_experiment import Counting


def planned(folder: Path, *only: str) -> RunPlan:
    return RunPlan(Counting(folder), Scale.QUICK, folder / "out", DataFolder(), only, ("engram", "count"))


def ran(plan: RunPlan, jobs: int = 2) -> tuple[list[Ran], bool]:
    events: list[Ran] = []
    written = run_experiment(plan, here(jobs), jobs, events.append)
    return events, written


def test_a_report_is_written_from_all_cells(tmp_path: Path) -> None:
    events, written = ran(planned(tmp_path))
    out = tmp_path / "out"
    assert written
    assert sorted(event.cell for event in events) == ["class-0", "class-1", "class-2"]
    assert (events[-1].done, events[-1].share, events[-1].remaining_s) == (3, 1.0, 0.0)
    assert events[0].remaining_s is not None
    results = json.loads((out / "results.json").read_text())
    assert [row["digits"] for row in results["tables"]["counts"]] == [178, 182, 177]
    assert [cell["settings"] for cell in results["cells"]] == [{"class": 0}, {"class": 1}, {"class": 2}]
    assert results["command"] == ["engram", "count"]
    assert set(results["data"]) == {"digits"}
    with (out / "tables" / "counts.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["digits"] for row in rows] == ["178", "182", "177"], "fields without a column are there too"
    markdown = (out / "report.md").read_text()
    assert "| 0 | 9.9% | a\\|b |" in markdown
    assert "![Digits of each class](plots/counts.svg)" in markdown
    page = (out / "index.html").read_text()
    assert "<em>them</em>" in page
    assert "<svg" in page
    assert "plots/" not in page, "the page needs no other file"
    assert results["engine"] == "numpy"
    assert "counts 1 with the engine numpy" in (out / "cells" / "class-1.log").read_text()


def test_finished_cells_are_not_run_again_and_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    events, written = ran(planned(tmp_path, "class-1"))
    assert [event.cell for event in events] == ["class-1"]
    assert not written, "two cells are missing"
    assert not (tmp_path / "out" / "report.md").exists()
    events, written = ran(planned(tmp_path))
    assert written
    assert sorted(event.cell for event in events) == ["class-0", "class-2"]
    shown = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.svg")}
    page = (tmp_path / "out" / "index.html").read_bytes()
    events, written = ran(planned(tmp_path))
    assert (events, written) == ([], True)
    assert shown == {path: path.read_bytes() for path in shown}
    assert page == (tmp_path / "out" / "index.html").read_bytes()


def test_a_cell_of_other_settings_or_a_damaged_file_is_run_again(tmp_path: Path) -> None:
    ran(planned(tmp_path))
    kept = tmp_path / "out" / "cells"
    (kept / "class-0.json").write_text("{")
    other = json.loads((kept / "class-2.json").read_text())
    (kept / "class-2.json").write_text(json.dumps({**other, "digest": "0" * 64}))
    events, _ = ran(planned(tmp_path))
    assert sorted(event.cell for event in events) == ["class-0", "class-2"]


def test_another_engine_is_passed_to_every_cell_and_computes_them_anew(tmp_path: Path) -> None:
    """What it computes is the same, but not the times that a cell may have measured."""
    ran(planned(tmp_path))
    events, written = ran(replace(planned(tmp_path), engine="auto"))
    assert (len(events), written) == (3, True)
    out = tmp_path / "out"
    assert "counts 1 with the engine auto" in (out / "cells" / "class-1.log").read_text()
    assert json.loads((out / "results.json").read_text())["engine"] == "auto"


@pytest.mark.parametrize(
    ("how", "message"), [("fails", "ValueError: class 1 cannot be counted"), ("dies", "status 7")]
)
def test_a_failed_cell_names_itself_and_the_others_go_on(tmp_path: Path, how: str, message: str) -> None:
    (tmp_path / f"class-1.{how}").touch()
    events: list[Ran] = []
    with pytest.raises(CellFailed, match=message) as failure:
        run_experiment(planned(tmp_path), here(1), 1, events.append)
    assert failure.value.got == ["class-1"]
    assert [event.cell for event in events] == ["class-0", "class-1", "class-2"]
    assert [event.error is None for event in events] == [True, False, True]
    assert message in (tmp_path / "out" / "cells" / "class-1.log").read_text()
    assert not (tmp_path / "out" / "report.md").exists()
    (tmp_path / f"class-1.{how}").unlink()
    events, written = ran(planned(tmp_path))
    assert [event.cell for event in events] == ["class-1"]
    assert written


def test_an_interrupt_stops_what_runs_and_keeps_what_is_finished(tmp_path: Path) -> None:
    (tmp_path / "class-1.hangs").touch()

    begun = tmp_path / "class-1.begun"

    def interrupt(event: Ran) -> None:
        while event.cell == "class-2":
            if begun.exists() and begun.read_text():
                raise KeyboardInterrupt

    plan = replace(planned(tmp_path), experiment=Counting(tmp_path, (1, 0, 2)))
    with pytest.raises(KeyboardInterrupt):
        run_experiment(plan, here(2), 2, interrupt)
    assert {path.name for path in (tmp_path / "out" / "cells").glob("*.json")} == {
        "class-0.json",
        "class-2.json",
    }
    assert "counts 1" in (tmp_path / "out" / "cells" / "class-1.log").read_text(), "a log grows at once"
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), signal.SIGCONT)


def test_an_unknown_cell_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(CellUnknown):
        ran(planned(tmp_path, "class-9"))
    assert not (tmp_path / "out").exists()
