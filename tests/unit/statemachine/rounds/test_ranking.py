"""Margins, eligibility, the ladder and its payments, on records made by hand."""

from dataclasses import replace

import pytest

from engram.statemachine.records import RetentionPart
from engram.statemachine.rounds.ranking import (
    epoch_best,
    generalises,
    improves,
    ladder,
    margin,
    passes_gate,
    remembers,
)
from engram.statemachine.rounds.records import Candidate, PartScore, RetentionScore
from engram.statemachine.rules import Rules
from tests.support.round_samples import MODEL, a_candidate, a_model, a_round

RULES = Rules()


@pytest.mark.parametrize(
    ("loss", "epoch", "expected"),
    [
        (10**6, 0, 1_000),
        (10**6, 1, 500),
        (10**6, 9, 1),
        (10**6, 10, 1),
        (999, 0, 1),
        (0, 0, 1),
        (1_999_999, 0, 1_999),
    ],
)
def test_the_margin_halves_each_epoch_and_is_at_least_one(loss: int, epoch: int, expected: int) -> None:
    assert margin(RULES, loss, epoch) == expected


@pytest.mark.parametrize(("loss", "enough"), [(999_000, True), (999_001, False), (0, True), (10**6, False)])
def test_an_update_must_show_the_margin(loss: int, enough: bool) -> None:
    assert improves(RULES, a_round(), 0, loss) is enough


def test_a_perfect_incumbent_cannot_be_improved() -> None:
    assert not improves(RULES, a_round(validation=0), 0, 0)


@pytest.mark.parametrize(("sealed", "below"), [(999_999, True), (10**6, False), (10**6 + 1, False)])
def test_the_sealed_parts_decide_strictly(sealed: int, below: bool) -> None:
    assert generalises(a_round(), a_candidate(1, 0, sealed)) is below


def test_sealed_losses_are_summed_over_all_parts() -> None:
    round_ = a_round(sealed=(10, 20))
    candidate = replace(a_candidate(1, 0, 0), sealed=(PartScore(25, 0), PartScore(4, 0)))
    assert generalises(round_, candidate)
    assert not generalises(round_, replace(candidate, sealed=(PartScore(25, 0), PartScore(5, 0))))


def climb(*candidates: Candidate) -> list[tuple[int, int, int]]:
    """(first byte of the author, sealed loss, removed) of each rung."""
    rungs = ladder(RULES, a_round(), MODEL, candidates)
    return [(rung.candidate.author[0], rung.sealed_loss, rung.removed) for rung in rungs]


def test_nobody_below_the_incumbent_leaves_it() -> None:
    assert climb() == []
    assert climb(a_candidate(1, 0, 10**6), a_candidate(2, 1, 2 * 10**6)) == []


def test_the_first_rung_needs_no_margin_and_later_ones_do() -> None:
    assert climb(a_candidate(1, 0, 999_999)) == [(1, 999_999, 1)]
    assert climb(a_candidate(1, 1, 500_000), a_candidate(2, 2, 499_501)) == [(1, 500_000, 500_000)]
    assert climb(a_candidate(1, 1, 500_000), a_candidate(2, 2, 499_500)) == [
        (1, 500_000, 500_000),
        (2, 499_500, 500),
    ]


def test_only_the_best_of_an_epoch_climbs() -> None:
    rungs = climb(a_candidate(1, 0, 700_000), a_candidate(2, 0, 600_000), a_candidate(3, 1, 650_000))
    assert rungs == [(2, 600_000, 400_000)]


def test_what_is_removed_adds_up_however_it_is_divided() -> None:
    alone = climb(a_candidate(1, 2, 100_000))
    divided = climb(a_candidate(1, 0, 800_000), a_candidate(2, 1, 500_000), a_candidate(3, 2, 100_000))
    assert sum(rung[2] for rung in divided) == sum(rung[2] for rung in alone) == 900_000


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (a_candidate(9, 0, 5, loss=1), a_candidate(1, 0, 5, loss=2)),
        (a_candidate(9, 0, 5, committed=1), a_candidate(1, 0, 5, committed=2)),
        (a_candidate(1, 0, 5), a_candidate(2, 0, 5)),
    ],
    ids=["validation loss", "commit height", "address"],
)
def test_ties(first: Candidate, second: Candidate) -> None:
    for order in ((first, second), (second, first)):
        assert epoch_best(a_round(), MODEL, order) == first


def retained(rows: int = 100, correct: int = 90, loss: int = 1_000) -> RetentionPart:
    return RetentionPart(b"\1" * 32, rows, 2, correct, loss)


def found(correct: int, loss: int, null_increase: int = 0) -> RetentionScore:
    return RetentionScore(b"\1" * 32, PartScore(loss, correct), null_increase)


@pytest.mark.parametrize(
    ("score", "passes"),
    [
        (found(88, 1_250), True),
        (found(87, 1_250), False),
        (found(88, 1_251), False),
        (found(88, 1_261, null_increase=11), True),
        (found(88, 1_262, null_increase=11), False),
        (found(100, 0), True),
    ],
)
def test_the_gate_allows_epsilon_and_delta(score: RetentionScore, passes: bool) -> None:
    """ε = 2 % of 100 rows, δ = 25 % of a loss of 1,000."""
    assert passes_gate(a_model(retained()), retained(), score) is passes


def test_allowances_round_down() -> None:
    model = a_model(epsilon=19_999, delta=1_999)
    part = retained(rows=100, correct=90, loss=1_000)
    assert passes_gate(model, part, found(89, 1_001))
    assert not passes_gate(model, part, found(88, 1_001))
    assert not passes_gate(model, part, found(89, 1_002))


def test_every_retention_part_has_to_be_scored() -> None:
    other = replace(retained(), part=b"\2" * 32)
    model = a_model(retained(), other)
    one = a_candidate(1, 0, 5, retention=(found(90, 1_000),))
    both = replace(one, retention=(*one.retention, replace(found(90, 1_000), part=b"\2" * 32)))
    assert not remembers(model, one)
    assert remembers(model, both)
    assert ladder(RULES, a_round(), model, [one]) == ()
    assert [rung.candidate for rung in ladder(RULES, a_round(), model, [both])] == [both]
