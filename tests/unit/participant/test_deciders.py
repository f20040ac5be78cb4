"""What an author is told of a round before the first training."""

from __future__ import annotations

import pytest

from engram.participant.deciders import why_opener_decides
from engram.statemachine.rounds.records import RoundWitness
from tests.support.round_samples import a_round, a_witness


@pytest.mark.parametrize(
    ("witnesses", "beginning"),
    [
        ([a_witness(old_only=True)], "no witness of all classes"),
        ([a_witness(named_by_opener=True)], "the opener chose every witness"),
        ([a_witness(named_by_opener=True), a_witness(old_only=True)], "the opener chose every witness"),
    ],
)
def test_who_knows_the_rows_that_decide(witnesses: list[RoundWitness], beginning: str) -> None:
    assert str(why_opener_decides(a_round(witnesses=witnesses))).startswith(beginning)


def test_a_witness_whom_the_opener_did_not_choose_is_enough() -> None:
    round_ = a_round(witnesses=[a_witness(named_by_opener=True), a_witness()])
    assert why_opener_decides(round_) is None
