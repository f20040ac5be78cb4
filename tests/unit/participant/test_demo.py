"""What the demonstration is made of, without a network: shares of the data, keys, and the unexpected."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from engram.commands.support.failures import report
from engram.participant.datasets import Dataset
from engram.participant.demo.cast import AUTHORS, PURSE, Cast
from engram.participant.demo.data import DIGITS, NEW_CLASSES, OLD_CLASSES, DemoData, demo_data
from engram.participant.demo.report import DemoReport, ScoreRow, expect, mean_loss
from engram.participant.demo.rounds import DemoRound, Standing
from engram.participant.demo.scene import Scene
from engram.participant.demo.scores import report_scores
from engram.participant.errors import NotEnoughRows, UnexpectedOutcome
from engram.statemachine.rounds.records import Round


def shares(data: DemoData) -> list[Dataset]:
    """Everybody's rows."""
    return [
        data.founder_old,
        data.witness_old,
        data.founder_all,
        data.witness_all,
        *data.own,
        data.test,
    ]


def rows(data: Dataset) -> set[bytes]:
    return {row.tobytes() for row in data.features}


@pytest.mark.parametrize("seed", range(5))
def test_nobody_holds_a_row_of_another(seed: int) -> None:
    found = [rows(share) for share in shares(demo_data("digits", seed, len(AUTHORS)))]
    assert sum(map(len, found)) == len(set().union(*found))


def test_who_has_what() -> None:
    data = demo_data("digits", 1, len(AUTHORS))
    assert (data.founder_old.rows, data.witness_old.rows) == (240, 40)
    assert set(np.unique(data.founder_old.labels)) == set(OLD_CLASSES)
    for share in (data.founder_all, data.witness_all, *data.own, data.test):
        assert set(np.unique(share.labels)) == {*OLD_CLASSES, *NEW_CLASSES}
    assert data.founder_all.rows == DIGITS.parts * DIGITS.rows


def test_a_seed_fixes_shares_and_keys() -> None:
    one, same, other = (demo_data("digits", seed, 1) for seed in (1, 1, 2))
    assert np.array_equal(one.own[0].features, same.own[0].features)
    assert not np.array_equal(one.own[0].features, other.own[0].features)
    assert Cast(1).key("alice").address == Cast(1).key("alice").address != Cast(2).key("alice").address


def test_everyone_has_a_purse_and_a_name() -> None:
    cast = Cast(0)
    allocations = cast.allocations()
    assert {item.amount for item in allocations} == {PURSE}
    assert {cast.name(item.address) for item in allocations} >= {"founder", "witness", "liar", *AUTHORS}
    assert cast.name(bytes(20)) == ""
    assert len(set(cast.miners(4))) == 4


def test_too_few_rows_for_so_many_authors() -> None:
    with pytest.raises(NotEnoughRows):
        demo_data("digits", 0, 30)


def test_an_unexpected_outcome_is_an_error_with_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    expect(True, "nothing")
    with pytest.raises(UnexpectedOutcome) as caught:
        expect(False, "the liar won", expected="alice", got="liar")
    assert report(caught.value, [], as_json=False) == 65
    assert "the liar won (expected alice, got liar) [unexpected_outcome]" in capsys.readouterr().err


def test_a_mean_loss_is_in_nats_a_row() -> None:
    assert mean_loss(3 << 24, 2) == 1.5


def test_the_winner_is_the_last_leader_and_not_whoever_has_the_least_left() -> None:
    """Alice leads from the first epoch on; neither bob nor herself beats that by an eighth in the second."""

    def standing(author: str, epoch: int, share: float, *reasons: str) -> Standing:
        return Standing(author, epoch, 2**24, 2**24, 40, 30, share, reasons)

    opened = SimpleNamespace(terms=SimpleNamespace(rows=40), validation_opened=("part",), winner=b"alice")
    standings = [
        standing("bob", 1, 0.28, "gain_too_small"),
        standing("alice", 1, 0.29, "not_best_of_epoch"),
        standing("alice", 0, 0.3),
    ]
    told: list[ScoreRow] = []
    scene = SimpleNamespace(
        report=DemoReport("digits", 0, rounds=1),
        cast=SimpleNamespace(name=bytes.decode),
        stage=SimpleNamespace(score=told.append),
    )
    report_scores(cast(Scene, scene), DemoRound(cast(Round, opened), {}, {}, standings, None, []))
    assert [(row.author, row.epoch, row.outcome, row.code) for row in scene.report.scores] == [
        ("alice", 0, "won", ""),
        ("bob", 1, "beaten", "gain_too_small"),
        ("alice", 1, "beaten", "not_best_of_epoch"),
    ]
    assert told == scene.report.scores
