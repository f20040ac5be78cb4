"""What a baseline measures, what counts as a gain, and what a growth may lose."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.loss import softmax_cross_entropy
from engram.statemachine.rounds.judging import (
    ClassCounts,
    Tally,
    clip_at,
    keeps_every_class,
    ln_rows,
    may_lose_of_owner,
    may_lose_pooled,
    null_losses,
    takes_lead,
    tally,
    worst_share,
)

NAT = 1 << 24
counts_of = st.lists(st.integers(1, 200), min_size=1, max_size=4)


@pytest.mark.parametrize("rows", [1, 2, 3, 1_000, 65_535, 65_536, 65_537, 1_234_567, 2**21, 2**31])
def test_the_logarithm_reaches_all_rows_that_there_can_be(rows: int) -> None:
    assert abs(ln_rows(rows) - math.log(rows) * NAT) <= 4


@given(st.integers(1, 300), counts_of, st.integers(1, 5), st.integers(-20, 20))
def test_no_constant_is_below_the_null_growth(old: int, new: list[int], classes: int, added: int) -> None:
    """Version t knows nothing, and the author answers with the true frequencies: D is not above 0."""
    counts = ClassCounts(old, tuple(new))
    labels = np.array([0] * old + [classes + j for j, n in enumerate(new) for _ in range(n)], np.uint16)
    base = softmax_cross_entropy(np.full((len(labels), classes), added << 16, np.int64), labels % classes)
    shares = [old / counts.rows / classes] * classes + [n / counts.rows for n in new]
    logits = np.array([round((math.log(p) + added) * 65_536) for p in shares], np.int64)
    own = softmax_cross_entropy(np.tile(logits, (len(labels), 1)), labels)
    found = tally(own, null_losses(base, labels, classes, counts), clip_at(classes + len(new)))
    # A logit has 16 bits behind the point, so that frequencies are rounded; that is worth no rung.
    assert not takes_lead((found.loss, found.baseline), (1, 1))
    assert found.gain <= len(labels)


def test_a_gain_must_exceed_its_scatter() -> None:
    assert not Tally(gain=29, squares=100).proves_gain(9)
    assert Tally(gain=30, squares=100).proves_gain(9)
    assert Tally(gain=-30, squares=100).proves_harm(9)
    assert not Tally(gain=0, squares=0).proves_gain(9)
    assert not Tally(gain=-29, squares=100).proves_harm(9)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=50), st.integers(2, 65_535))
def test_sums_fit_their_fields(losses: list[int], classes: int) -> None:
    own, null = np.array(losses, np.int64), np.array(losses[::-1], np.int64)
    found = tally(own, null, clip_at(classes))
    assert found.squares * 2**21 // len(losses) < 2**64
    assert found.baseline <= len(losses) * clip_at(classes)


def test_a_share_is_that_of_the_worst_group_and_a_rung_is_an_eighth() -> None:
    assert worst_share([Tally(loss=1, baseline=2), Tally(loss=3, baseline=5)]) == (3, 5)
    assert takes_lead((7, 8), (1, 1))
    assert not takes_lead((7_001, 8_000), (1, 1))
    assert takes_lead((49, 64), (7, 8))
    assert not takes_lead((50, 64), (7, 8))


def test_what_a_growth_may_lose() -> None:
    assert (may_lose_pooled(20_000, 99), may_lose_pooled(20_000, 100)) == (1, 2)
    assert may_lose_of_owner(20_000, 100) == 2 + 2
    assert may_lose_of_owner(0, 10**6) == 0
    assert keeps_every_class([4, 7], [8, 7]), "seven rows of a class say too little"
    assert not keeps_every_class([5, 0], [8, 7])
