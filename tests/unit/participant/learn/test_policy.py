"""When a consolidation is due, what it may cost, and which classes are which."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engram.participant.learn.budget import DAY_MS, SpendingLimits, left_of, noted, renamed
from engram.participant.learn.errors import DayBudgetSpent
from engram.participant.learn.matching import matched
from engram.participant.learn.policy import (
    BACKOFF_MS,
    HOUR_MS,
    LearnPolicy,
    Observed,
    Surprise,
    backoff_ms,
    due,
)
from engram.participant.learn.states import MAX_SPENT, Spent
from engram.participant.pricing import Limits

NOW = 10 * DAY_MS
ROUND, OTHER = b"\1" * 32, b"\2" * 32


def seen(*counts: int, since_ms: int | None = NOW, surprise: float | None = None) -> Observed:
    return Observed(dict(enumerate(counts, 3)), since_ms, surprise)


def test_rows_are_enough_only_if_one_class_has_its_least_number() -> None:
    policy = LearnPolicy(after_rows=60, least_rows=30)
    assert due(policy, seen(30, 29), NOW) is None
    assert due(policy, seen(29, 29, 29), NOW) is None
    assert due(policy, seen(30, 30), NOW) is not None


def test_the_oldest_example_waits_no_longer_than_told() -> None:
    policy = LearnPolicy(after_hours=2.0)
    assert due(policy, seen(20), NOW + 2 * HOUR_MS - 1) is None
    assert due(policy, seen(20), NOW + 2 * HOUR_MS) is not None
    assert due(policy, seen(20, since_ms=None), NOW + 9 * HOUR_MS) is None


def test_surprise_counts_over_a_full_window() -> None:
    policy, window = LearnPolicy(surprise=0.5), Surprise(4)
    shares = []
    for surprises in ([True, True, True], [False], [False, False]):
        window.note(surprises)
        shares.append(window.share)
    assert shares == [None, 0.75, 0.25]
    reasons = [due(policy, seen(20, surprise=share), NOW) for share in shares]
    assert [reason is not None for reason in reasons] == [False, True, False]
    window.clear()
    assert window.share is None


def test_without_a_reason_nothing_is_ever_due() -> None:
    assert due(LearnPolicy(), seen(10**6, since_ms=0, surprise=1.0), NOW) is None


def test_waiting_doubles_with_every_failure_up_to_a_limit() -> None:
    waits = [backoff_ms(failures) for failures in range(1, 12)]
    assert waits[0] == BACKOFF_MS
    assert all(after in (before, 2 * before) for before, after in pairwise(waits))
    assert waits[-1] == waits[-2]


def test_a_day_leaves_what_its_rounds_have_not_taken() -> None:
    limits = SpendingLimits(round_bond=50, day_bond=120, day_fee=10)
    spent = (Spent(NOW - DAY_MS, ROUND, 9, 100), Spent(NOW - 1, OTHER, 4, 80))
    assert left_of(limits, spent, NOW) == Limits(40, 6), "the first one is a day old"
    assert left_of(limits, (), NOW) == Limits(50, 10)
    assert left_of(SpendingLimits(), spent, NOW) == Limits(None, None)
    with pytest.raises(DayBudgetSpent):
        left_of(limits, noted(spent, Spent(NOW, b"\3" * 32, 6, 0)), NOW)


def test_a_round_is_noted_once_at_the_time_of_its_first_note() -> None:
    notes = noted((), Spent(NOW, ROUND, 5, 50))
    notes = noted(notes, Spent(NOW + 7, ROUND, 3, 50))
    assert notes == (Spent(NOW, ROUND, 3, 50),)
    assert renamed(notes, ROUND, OTHER) == (Spent(NOW, OTHER, 3, 50),)
    many: tuple[Spent, ...] = ()
    for number in range(MAX_SPENT + 5):
        many = noted(many, Spent(NOW + number, number.to_bytes(32, "big"), 1, 1))
    assert len(many) == MAX_SPENT
    assert many[0].at_ms == NOW + 5


def test_a_class_is_the_one_that_most_of_its_rows_are_taken_for() -> None:
    given = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    answered = np.array([7, 7, 7, 5, 5, 5, 5, 7, 9])
    assert matched(given, answered, [0, 1, 2, 3]) == {0: 7, 1: 5, 2: 9}
    assert matched(given, answered, [0, 1], least=0.8) == {}
    both = np.array([7, 7, 7, 7, 7, 7, 7, 7, 9])
    assert matched(given, both, [0, 1, 2]) == {2: 9}, "nobody can say which of the two is 7"
