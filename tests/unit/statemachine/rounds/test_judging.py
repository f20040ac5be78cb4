"""What a baseline measures, what counts as a gain, and what a growth may lose."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.fixed import ln_q24
from engram.nn.loss import LossKind, loss_limit, softmax_cross_entropy
from engram.statemachine.rounds.judging import (
    TABLE_SLACK,
    add_tallies,
    falls_behind,
    frequency_table,
    group_forgets,
    is_lower,
    ln_rows,
    lower_baseline,
    may_forget,
    null_growth_losses,
    null_growth_table,
    proves_gain,
    proves_harm,
    removed,
    takes_lead,
    tally,
    threshold_loss,
    worst_share,
)
from engram.statemachine.rounds.records import EpochBest, Tally
from tests.support.round_samples import a_group, a_share

NAT = 1 << 24
counts_of = st.lists(st.integers(1, 200), min_size=1, max_size=4)


def labels_of(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts).astype(np.uint16)


def constant(shares: list[float], labels: np.ndarray, added: int = 0) -> np.ndarray:
    """The losses of a network that answers every row with the same frequencies."""
    logits = np.array([round((math.log(share) + added) * 65_536) for share in shares], np.int64)
    return softmax_cross_entropy(np.tile(logits, (len(labels), 1)), labels)


@pytest.mark.parametrize("rows", [1, 2, 3, 1_000, 65_535, 65_536, 65_537, 1_234_567, 2**21, 2**31])
def test_the_logarithm_reaches_all_rows_that_there_can_be(rows: int) -> None:
    assert abs(ln_rows(rows) - math.log(rows) * NAT) <= 4


def test_the_null_growth_adds_how_often_each_class_occurs() -> None:
    """Of 12 rows, 6 are old, 4 of the first new class, 2 of the second."""
    counts = [1, 5, 4, 2]
    expected = [math.log(2), math.log(2), math.log(3), math.log(6)]
    for value, nats in zip(null_growth_table(2, counts), expected, strict=True):
        assert abs(value + TABLE_SLACK - nats * NAT) <= 8
    base = np.array([100, 7, 55, 55], np.int64)
    table = null_growth_table(2, counts)
    found = null_growth_losses(base, np.array([0, 1, 2, 3], np.uint16), 2, counts)
    assert found.tolist() == [table[0] + 100, table[1] + 7, table[2], table[3]]


def test_a_null_growth_that_adds_nothing_is_not_below_zero() -> None:
    base = np.array([0, TABLE_SLACK + 5], np.int64)
    assert null_growth_losses(base, np.array([0, 1], np.uint16), 2, [1, 1]).tolist() == [0, 5]


def test_a_row_of_the_baseline_is_clipped_after_its_addition() -> None:
    limit = loss_limit(3)
    base = np.array([limit - 1, limit], np.int64)
    assert null_growth_losses(base, np.array([0, 1], np.uint16), 2, [1, 1, 8]).tolist() == [limit, limit]


@given(st.integers(1, 300), counts_of, st.integers(1, 5), st.integers(-20, 20))
def test_no_constant_is_below_the_null_growth(old: int, new: list[int], classes: int, added: int) -> None:
    """Version t knows nothing, and the author answers with the true frequencies: nothing is proved."""
    counts = [old, *[0] * (classes - 1), *new]
    labels, rows = labels_of(counts), sum(counts)
    base = softmax_cross_entropy(np.full((rows, classes), added << 16, np.int64), labels % classes)
    base = base.astype(np.int64)
    own = constant([old / rows / classes] * classes + [n / rows for n in new], labels, added).astype(np.int64)
    found = tally(own, null_growth_losses(base, labels, classes, counts))
    assert not takes_lead(a_share(1, int(own.sum()), found.baseline), EpochBest())
    # Logits have 16 bits behind the point, so frequencies are rounded; that is worth a unit a row.
    assert found.gained - found.lost <= rows


@given(st.lists(st.integers(1, 200), min_size=2, max_size=6))
def test_no_constant_is_below_the_frequencies_of_the_classes(counts: list[int]) -> None:
    labels, rows = labels_of(counts), sum(counts)
    own = constant([count / rows for count in counts], labels).astype(np.int64)
    table = np.array(frequency_table(LossKind.SOFTMAX_CROSS_ENTROPY, counts), np.int64)
    found = tally(own, table[labels])
    assert found.gained - found.lost <= rows
    assert not takes_lead(a_share(1, int(own.sum()), found.baseline), EpochBest())


@pytest.mark.parametrize("kind", list(LossKind))
def test_a_class_that_is_alone_is_no_surprise(kind: LossKind) -> None:
    assert frequency_table(kind, [0, 9, 0])[1] == 0


def test_the_frequencies_of_other_losses_come_from_the_loss_itself() -> None:
    """For 0/1 loss the best constant names the most frequent class."""
    table = frequency_table(LossKind.ZERO_ONE, [3, 5])
    assert (table[0], table[1]) == (NAT - TABLE_SLACK, 0)
    squared = frequency_table(LossKind.SQUARED_ERROR, [4, 4])
    assert squared[0] == squared[1] > 0, "each of two equal classes surprises as much"


def test_a_class_without_rows_surprises_nobody() -> None:
    assert frequency_table(LossKind.SOFTMAX_CROSS_ENTROPY, [4, 0, 4])[1] == 0


def test_a_gain_must_exceed_its_scatter() -> None:
    assert not proves_gain(Tally(gained=29, squares=100), 9)
    assert proves_gain(Tally(gained=30, squares=100), 9)
    assert proves_gain(Tally(gained=37, lost=7, squares=100), 9)
    assert not proves_gain(Tally(gained=36, lost=7, squares=100), 9)
    assert not proves_gain(Tally(gained=30, squares=100), 10)
    assert not proves_gain(Tally(lost=30, squares=100), 9)
    assert not proves_gain(Tally(), 9)


def test_harm_is_proved_like_a_gain() -> None:
    assert proves_harm(Tally(lost=30, squares=100), 9)
    assert not proves_harm(Tally(lost=29, squares=100), 9)
    assert not proves_harm(Tally(gained=30, squares=100), 9)
    assert not proves_harm(Tally(), 9)


def test_rows_fall_behind_others_by_the_scatter_of_both() -> None:
    """Means 2 and 0 of ten and twenty rows; the gap is 400, its scatter 100·20² + 400·10² = 80,000."""
    ahead, behind = Tally(gained=20, squares=400), Tally(gained=5, lost=5, squares=100)
    assert falls_behind(behind, 20, Tally(gained=20, squares=100), 10, 2)
    assert not falls_behind(behind, 20, ahead, 10, 2)
    assert not falls_behind(ahead, 10, behind, 20, 1), "it is the other one that falls behind"
    proved = Tally(gained=30, squares=100)
    assert not falls_behind(proved, 100, Tally(gained=10_000, squares=1), 1, 9), "who gains is not behind"


@given(
    st.integers(0, 999), st.integers(1, 999), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(1, 9)
)
def test_proved_harm_is_behind_every_proved_gain(
    gained: int, lost: int, first: int, second: int, z_squared: int
) -> None:
    ahead, behind = Tally(gained=gained, squares=first), Tally(lost=lost, squares=second)
    if proves_gain(ahead, z_squared) and proves_harm(behind, z_squared):
        assert falls_behind(behind, 7, ahead, 11, z_squared)


@given(st.lists(st.integers(0, 2**29), min_size=1, max_size=50))
def test_the_tally_of_rows_is_that_of_their_gains(losses: list[int]) -> None:
    own, null = np.array(losses, np.int64), np.array(losses[::-1], np.int64)
    found = tally(own, null)
    assert found.baseline == sum(losses)
    # What one row gains another loses, but for the rounding of each.
    assert abs(found.gained - found.lost) <= len(losses)
    assert found.squares >= (found.gained + found.lost) ** 2 // len(losses)


@given(st.integers(2, 65_535))
def test_sums_of_squares_fit_their_field(classes: int) -> None:
    limit = loss_limit(classes)
    found = tally(np.array([0], np.int64), np.array([limit], np.int64))
    assert found.squares << 21 < 2**64, "as many rows as a round can open"


def test_tallies_of_parts_add_up() -> None:
    own, null = np.array([5 << 8, 9 << 8, 0], np.int64), np.array([7 << 8, 2 << 8, 3 << 8], np.int64)
    together = add_tallies(tally(own[:1], null[:1]), tally(own[1:], null[1:]))
    assert together == tally(own, null) == Tally(12 << 8, 5, 7, 4 + 49 + 9)


def test_in_train_the_lower_baseline_counts() -> None:
    low, high = Tally(baseline=10, gained=3), Tally(baseline=11, gained=4)
    group = a_group(5, 10, gained=3, lost=0, squares=0, frequencies=high)
    assert lower_baseline(group, train=True) == low
    group = a_group(5, 12, frequencies=high)
    assert lower_baseline(group, train=True) == high
    assert lower_baseline(group, train=False).baseline == 12


def test_a_share_is_that_of_the_worst_group() -> None:
    assert worst_share([(1, 2), (3, 5)]) == (3, 5)
    assert worst_share([(3, 5), (1, 2)]) == (3, 5)
    assert worst_share([(1, 2), (2, 4)]) == (1, 2)


def test_a_rung_takes_an_eighth_of_what_is_left() -> None:
    assert takes_lead(a_share(1, 875), EpochBest())
    assert not takes_lead(a_share(1, 876), EpochBest())
    assert takes_lead(a_share(2, 49, 64), a_share(1, 7, 8))
    assert not takes_lead(a_share(2, 50, 64), a_share(1, 7, 8))
    assert takes_lead(a_share(1, 0), a_share(2, 1))


def test_of_an_epoch_the_lowest_share_counts_then_the_earlier_commit_then_the_address() -> None:
    assert is_lower(a_share(2, 1, 2), a_share(1, 2, 3))
    assert is_lower(a_share(2, 2, 4, committed=9), a_share(1, 1, 2, committed=10))
    assert is_lower(a_share(1, 1, 2), a_share(2, 2, 4))
    assert not is_lower(a_share(1, 1, 2), a_share(1, 1, 2))


def test_what_was_removed_is_rounded_down() -> None:
    assert removed(1_000, a_share(1, 300), EpochBest()) == 700
    assert removed(10, a_share(1, 2, 3), EpochBest()) == 3
    assert removed(2**63, a_share(2, 1, 2**60), a_share(1, 1, 2)) == 2**62 - 8


def test_what_a_growth_may_forget() -> None:
    assert (may_forget(20_000, 99), may_forget(20_000, 100)) == (1, 2)
    for epsilon, rows, most in ((20_000, 100, 2 + 2), (20_000, 40, 0 + 1), (0, 10**6, 0)):
        assert [group_forgets(epsilon, rows, gone) for gone in range(6)] == [gone > most for gone in range(6)]


def test_the_threshold_is_a_part_of_what_ignorance_loses() -> None:
    assert threshold_loss(1_000_000, 5, 3) == 3 * ln_q24(5)
    assert threshold_loss(500_000, 5, 3) == 3 * ln_q24(5) // 2
    assert threshold_loss(500_000, 1, 3) == 0
