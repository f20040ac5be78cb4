"""The parts of `lifelong` that need no chain: figures, streams, and how rows are cut."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engram.nn.spec import NetworkLimits
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import Row
from engram.participant.experiments.lifelong.figures import Figures
from engram.participant.experiments.lifelong.report import document_of
from engram.participant.experiments.lifelong.rows import cut
from engram.participant.experiments.lifelong.streams import STREAMS, cells_of
from engram.participant.experiments.plan import Scale
from engram.statemachine.rules import Rules


def rows_of(right: list[list[int]], line: str = "gate", rows: int = 100) -> list[Row]:
    return [
        {
            **{"stream": "digits-3", "order": 0, "seed": 0, "line": line},
            **{"after": t, "group": j, "right": each, "rows": rows, "nats": 0.5},
        }
        for t, of_version in enumerate(right)
        for j, each in enumerate(of_version)
    ]


def test_figures_are_those_of_the_definitions() -> None:
    figures = Figures.of(rows_of([[100], [90, 80], [95, 60, 70]]))
    assert figures.matrix == ((1.0,), (0.9, 0.8), (0.95, 0.6, 0.7))
    assert figures.final == pytest.approx(0.75)
    assert figures.average == pytest.approx((1.0 + 0.85 + 0.75) / 3)
    assert figures.forgetting == pytest.approx((0.05 + 0.2) / 2), "the best before minus the last"
    assert figures.backward_transfer == pytest.approx(((0.95 - 1.0) + (0.6 - 0.8)) / 2)
    base, new, whole = figures.omegas([0.95, 0.9, 0.9], 0.9)
    assert base == pytest.approx((0.9 + 0.95) / 2 / 0.95)
    assert new == pytest.approx((0.8 + 0.7) / 2)
    assert whole == pytest.approx((0.85 + 0.75) / 2 / 0.9)


def test_a_bound_that_was_there_at_once_forgets_nothing() -> None:
    last = [row for row in rows_of([[1], [1, 1], [95, 90, 85]]) if row["after"] == 2]
    figures = Figures.of(last)
    assert figures.matrix == ((0.95, 0.9, 0.85),)
    assert (figures.forgetting, figures.backward_transfer) == (0, 0)


@pytest.mark.parametrize("scale", list(Scale))
def test_cells_are_named_as_files_and_say_all_they_depend_on(scale: Scale) -> None:
    cells = cells_of(scale)
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() for name in names)
    for cell in cells:
        assert json.loads(json.dumps(dict(cell.settings))) == cell.settings
        assert cell.weight > 0
        stream = STREAMS[cell.settings["stream"]]
        assert sorted(cell.settings["labels"]) == list(range(stream.classes))
        assert set(cell.settings["lines"]) <= set(stream.lines)


def test_full_has_three_orders_and_three_seeds_of_the_main_streams() -> None:
    for stream in ("mnist-5x2", "fashion-5x2"):
        own = [cell.settings for cell in cells_of(Scale.FULL) if cell.settings["stream"] == stream]
        pairs = [(each["order"], each["seed"]) for each in own if "gate" in each["lines"]]
        assert sorted(pairs) == [(order, seed) for order in range(3) for seed in range(3)]
    assert len({STREAMS["mnist-5x2"].order(number) for number in range(3)}) == 3


def test_banks_stay_within_what_is_promised() -> None:
    assert NetworkLimits() == Rules().networks
    for stream in STREAMS.values():
        assert stream.width * len(stream.sizes) <= 5_000


@pytest.mark.parametrize("name", ["digits-3", "letters-26x1"])
def test_no_row_is_trained_on_and_judged_with(name: str) -> None:
    stream = STREAMS[name]
    order = stream.order(1)
    rows = cut(stream, order, 5, DataFolder())
    for label in range(stream.classes):
        assert rows.opener.of_classes([label]).rows == stream.opener_rows
    numbered = len(rows.train.labels) + len(rows.opener.labels) + len(rows.witness.labels)
    whole = cut(stream, tuple(range(stream.classes)), 5, DataFolder())
    assert numbered == len(whole.train.labels) + len(whole.opener.labels) + len(whole.witness.labels)
    first = whole.train.of_classes([order[0]])
    own = rows.train.of_classes([0])
    assert own.rows == first.rows, "class 0 is the label that arrives first"
    again = cut(stream, order, 5, DataFolder())
    assert np.array_equal(again.opener.features, rows.opener.features)
    other = cut(stream, order, 6, DataFolder())
    assert not np.array_equal(other.opener.features, rows.opener.features)
    assert np.array_equal(other.test.features, rows.test.features)


def test_a_report_is_made_of_whatever_streams_there_are() -> None:
    accuracies = rows_of([[100], [90, 80], [95, 60, 70]])
    accuracies += [row for row in rows_of([[1], [1, 1], [95, 90, 85]], "joint") if row["after"] == 2]
    growths: list[Row] = [
        {
            **{"stream": "digits-3", "order": 0, "seed": 0, "line": line, "group": group, "rounds": 1},
            **{"bytes": 10, "part_bytes": 20, "learned_numbers": 5, "drawn_numbers": 7, "neurons": 3},
            **{
                "macs_per_row": 10**6,
                "author_fees": 10**8,
                "opener_fees": 10**7,
                "author_s": 1.0,
                "others_s": 2.0,
            },
        }
        for line, groups in (("gate", 3), ("joint", 1))
        for group in range(groups)
    ]
    document = document_of("Title", Scale.QUICK, {"accuracies": accuracies, "growths": growths})
    tables = {table.name: table for table in document.tables}
    gate, joint = tables["digits-3-accuracy"].rows
    assert gate["final"] == pytest.approx(75)
    assert joint["final"] == pytest.approx(90)
    assert gate["omega_all"] == pytest.approx((0.85 + 0.75) / 2 / 0.9)
    assert "omega_all" not in joint
    assert [row["author_fees"] for row in tables["digits-3-cost"].rows] == [1.0, 1.0]
    assert {plot.name for plot in document.plots} == {"digits-3-curves", "digits-3-gate"}
    assert [row.get("group2") for row in tables["digits-3-matrix"].rows] == [None, 80.0, 60.0, 90.0]
