"""The stream: figures of a matrix made by hand, and a whole small stream whose figures are recomputed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engram.nn.errors import TooManyMacs
from engram.nn.growth import Growth
from engram.nn.spec import NetworkLimits
from engram.participant.datasets import SplitDataset, load_digits
from engram.participant.memory.consolidation import Consolidated, Report, Settings
from engram.participant.memory.errors import EngineUnknown
from engram.participant.memory.stream import (
    StreamPlan,
    StreamResult,
    StreamStage,
    TrunkRows,
    measure,
    run,
    through_trunk,
    with_seed,
)
from engram.participant.memory.trunk import plain_trunk

NOTHING = Consolidated(Growth(0, (), (), ()), (), (), Report("none"))
GROUPS = ((7, 2), (0,), (5, 1))
DIGITS = load_digits().shuffled(np.random.default_rng(0))
DATA = SplitDataset(DIGITS.take(np.arange(1_200)), DIGITS.take(np.arange(1_200, 1_797)), "digits")
ROWS = through_trunk(plain_trunk(64), DATA, GROUPS)
PLAN = StreamPlan("gate", GROUPS, width=40, settings=Settings(ridge=1e-3, rank=10))


def stage(right: tuple[int, ...], rows: tuple[int, ...]) -> StreamStage:
    """The first group has two classes, the others one each."""
    return StreamStage((2, 1, 1)[: len(rows) - 1], right, rows, 0.0, 0, 0, 0.0, NOTHING)


def test_the_figures_of_a_matrix_made_by_hand() -> None:
    result = StreamResult(
        (
            stage((50, 40), (60, 40)),
            stage((45, 35, 40), (60, 40, 50)),
            stage((45, 40, 30, 100), (60, 40, 50, 100)),
        )
    )
    assert result.matrix == ((0.9,), (0.8, 0.8), (0.85, 0.6, 1.0))
    assert result.final == pytest.approx(215 / 250)
    assert result.average == pytest.approx((0.9 + 120 / 150 + 215 / 250) / 3)
    assert result.forgetting == pytest.approx(((0.9 - 0.85) + (0.8 - 0.6)) / 2)
    assert result.backward_transfer == pytest.approx(-((0.9 - 0.85) + (0.8 - 0.6)) / 2)
    assert result.stages[-1].balanced_accuracy == pytest.approx((0.75 + 1 + 0.6 + 1) / 4)
    assert StreamResult((stage((9, 1), (10, 2)),)).forgetting == 0


def test_labels_are_renumbered_in_the_order_of_arrival() -> None:
    kept = DATA.train.of_classes((7, 2, 0, 5, 1)).labels
    order = {7: 0, 2: 1, 0: 2, 5: 3, 1: 4}
    assert ROWS.train.labels.tolist() == [order[label] for label in kept.tolist()]


@pytest.mark.parametrize("engine", ["gate", "analytic", "experts"])
def test_a_stream_learns_all_groups(engine: str) -> None:
    result = run(replace(PLAN, engine=engine), plain_trunk(64), ROWS)
    assert [len(row) for row in result.matrix] == [1, 2, 3]
    assert result.stages[-1].class_rows == tuple(np.bincount(ROWS.test.labels).tolist())
    assert result.final > 0.95
    assert result.forgetting < 0.04
    assert all(stage.nats < 0.3 for stage in result.stages)


def test_shifted_images_are_added_to_the_training_rows_only() -> None:
    more = through_trunk(plain_trunk(64), DATA, GROUPS, shifted_side=8)
    assert more.train.rows == 5 * ROWS.train.rows
    assert np.array_equal(more.train.labels, np.tile(ROWS.train.labels, 5))
    assert np.array_equal(more.train.features[: ROWS.train.rows], ROWS.train.features)
    assert np.array_equal(more.test.features, ROWS.test.features)


def test_the_same_plan_gives_the_same_answers_and_another_seed_others() -> None:
    first, again = (run(PLAN, plain_trunk(64), ROWS) for _ in range(2))
    other = run(with_seed(PLAN, 5), plain_trunk(64), ROWS)
    assert [s.nats for s in first.stages] == [s.nats for s in again.stages]
    assert [s.nats for s in first.stages] != [s.nats for s in other.stages]


def test_rare_classes_count_as_much_as_common_ones_if_that_is_asked_for() -> None:
    rare = np.flatnonzero((ROWS.train.labels > 1) | (np.arange(ROWS.train.rows) % 30 == 0))
    few = TrunkRows(ROWS.train.take(rare), ROWS.test)
    fair = replace(PLAN, settings=replace(PLAN.settings, balanced=True))
    plain, balanced = (run(plan, plain_trunk(64), few).stages[-1] for plan in (PLAN, fair))
    assert sum(balanced.class_right[:2]) > sum(plain.class_right[:2])
    assert balanced.balanced_accuracy > plain.balanced_accuracy


def test_a_network_beyond_the_chains_limits_is_an_error() -> None:
    with pytest.raises(TooManyMacs):
        run(replace(PLAN, limits=NetworkLimits(max_macs_per_row=20_000)), plain_trunk(64), ROWS)
    with pytest.raises(EngineUnknown):
        next(measure(replace(PLAN, engine="oracle"), plain_trunk(64), ROWS))
