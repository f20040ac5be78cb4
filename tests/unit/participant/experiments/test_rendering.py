"""Reports: every kind of plot is drawn, the same numbers give the same bytes, what is missing is named."""

from __future__ import annotations

import builtins
import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engram.participant.experiments import plotting
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import (
    Document,
    Plot,
    PlotKind,
    Prose,
    Row,
    Series,
    Table,
    TableColumn,
)
from engram.participant.experiments.errors import LibraryMissing
from engram.participant.experiments.plan import Scale
from engram.participant.experiments.plotting import svg_of
from engram.participant.experiments.rendering import csv_of, html_of, markdown_of
from engram.participant.experiments.runner import RunPlan, run_experiment
from engram.participant.experiments.scheduler import here
from tests.support.small_experiment import Counting

NAN = float("nan")
PLOTS = {
    PlotKind.LINES: (Series("a", (1.0, 2.0), (3.0, 4.0), (0.5, 0.5)), Series("b", (1.0, 2.0), (1.0, 2.0))),
    PlotKind.BARS: (Series("a", (0.0, 1.0), (3.0, 4.0)), Series("b", (0.0, 1.0), (1.0, 2.0))),
    PlotKind.MATRIX: (Series("one", (0.0, 1.0), (99.0, NAN)), Series("two", (0.0, 1.0), (98.0, 97.0))),
}


def plot_of(kind: PlotKind) -> Plot:
    return Plot(f"{kind.value}", "A plot", kind, PLOTS[kind], "x", "y", ("left", "right"))


@pytest.mark.parametrize("kind", list(PlotKind))
def test_a_plot_is_an_svg_without_a_date_and_twice_the_same(kind: PlotKind) -> None:
    drawn = svg_of(plot_of(kind))
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg")
    assert "dc:date" not in drawn
    assert svg_of(plot_of(kind)) == drawn
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 10


def test_tables_show_numbers_as_their_columns_say_and_mark_what_was_measured() -> None:
    columns = (
        TableColumn("name", "name"),
        TableColumn("share", "share", ".1%"),
        TableColumn("seconds", "time, s", ".2f", measured=True),
        TableColumn("ok", "ok"),
    )
    rows: list[Row] = [
        {"name": "a|b", "share": 0.123, "seconds": 1.005, "ok": True, "more": 7},
        {"name": "c", "share": None, "seconds": 2, "ok": False},
    ]
    table = Table("t", "Things", columns, rows)
    lines = markdown_of(Document("Title", (table,))).splitlines()
    assert lines[0] == "# Title"
    assert "measured" in lines[2]
    assert lines[4] == "| name | share | time, s\\* | ok |"
    assert lines[5] == "| --- | ---: | ---: | ---: |"
    assert lines[6] == "| a\\|b | 12.3% | 1.00 | yes |"
    assert lines[7] == "| c |  | 2.00 | no |"
    assert csv_of(table).splitlines() == [
        "name,share,seconds,ok,more",
        "a|b,0.123,1.005,True,7",
        "c,,2,False,",
    ]


def test_a_page_escapes_what_a_report_says() -> None:
    page = html_of(Document("a < b", (Prose("<script>alert()</script> *so*"),)), {})
    assert "<title>a &lt; b</title>" in page
    assert "<script>" not in page
    assert "<em>so</em>" in page


@pytest.mark.parametrize("library", ["matplotlib", "markdown_it"])
def test_a_missing_library_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        plotting, "find_spec", lambda name: None if name == library else find(name), raising=True
    )
    plan = RunPlan(Counting(tmp_path), Scale.QUICK, tmp_path / "out", DataFolder())
    with pytest.raises(LibraryMissing, match="make experiment"):
        run_experiment(plan, here(1), 1, builtins.print)
    assert not (tmp_path / "out").exists()
