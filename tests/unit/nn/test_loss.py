"""Losses by hand and against 50-digit decimals; scores; what is refused."""

from decimal import Decimal

import numpy as np
import pytest

from engram.nn.errors import LabelOutOfRange, ShapeMismatch
from engram.nn.fixed import ln_q24
from engram.nn.loss import LOSSES, LossKind, Score, evaluate_loss, loss_limit, loss_rows, score
from engram.primitives.codec import decode, encode
from tests.support import nn_reference

CROSS_ENTROPY, SQUARED_ERROR, ZERO_ONE = LossKind
ONE = 1 << 16
TOP = 2**30


def rows_of(kind: LossKind, rows: list[list[int]], labels: list[int]) -> list[int]:
    losses: list[int] = loss_rows(kind, np.array(rows, np.int64), np.array(labels, np.uint16)).tolist()
    return losses


def whole(kind: LossKind, rows: list[list[int]], labels: list[int]) -> list[int]:
    """The losses before they are clipped."""
    losses: list[int] = LOSSES[kind](np.array(rows, np.int64), np.array(labels, np.uint16)).tolist()
    return losses


@pytest.mark.parametrize("k", [1, 2, 10, 65_535])
def test_a_row_counts_up_to_ln_of_the_classes_and_eight_nats(k: int) -> None:
    assert loss_limit(k) == ln_q24(k) + (8 << 24)


def test_the_loss_of_a_row_is_clipped_and_no_other_is_changed() -> None:
    """For two classes at ln 2 + 8 = 8.693 nats; a gap of 8.6 nats costs hardly more than itself."""
    below, above = round(8.6 * ONE), round(8.7 * ONE)
    rows = [[0, 0], [below, 0], [above, 0], [TOP, -TOP]]
    limit = loss_limit(2)
    for kind, label in ((CROSS_ENTROPY, 1), (SQUARED_ERROR, 1)):
        exact = whole(kind, rows, [label] * 4)
        assert rows_of(kind, rows, [label] * 4) == [min(loss, limit) for loss in exact]
    assert rows_of(CROSS_ENTROPY, rows, [1] * 4)[1:] == [whole(CROSS_ENTROPY, rows, [1] * 4)[1], limit, limit]
    assert rows_of(ZERO_ONE, rows, [1] * 4) == [1 << 24] * 4


def test_a_number_added_to_all_logits_changes_no_loss() -> None:
    rng = np.random.default_rng(8)
    logits, labels = rng.integers(-(20 << 16), 20 << 16, (200, 5)), rng.integers(0, 5, 200)
    for added in (1, -7 << 16, 2**29):
        shifted = loss_rows(CROSS_ENTROPY, logits + added, labels)
        assert np.array_equal(shifted, loss_rows(CROSS_ENTROPY, logits, labels))


@pytest.mark.parametrize("k", [1, 2, 3, 10, 77, 1000])
def test_equal_logits_cost_exactly_ln_k(k: int) -> None:
    for logit in (0, TOP, -TOP, 12345):
        assert rows_of(CROSS_ENTROPY, [[logit] * k], [k - 1]) == [ln_q24(k)]


def test_cross_entropy_at_the_extremes() -> None:
    rows = [[TOP, -TOP], [TOP, -TOP], [-TOP, TOP], [TOP, TOP - (24 << 16)], [0, 1], [ONE, 0]]
    labels = [0, 1, 0, 1, 0, 1]
    losses = whole(CROSS_ENTROPY, rows, labels)
    assert losses[:2] == [0, 2**31 << 8]
    for loss, row, label in zip(losses, rows, labels, strict=True):
        assert abs(Decimal(loss) / 2**24 - nn_reference.cross_entropy(row, label)) < Decimal("1e-6")


def test_cross_entropy_of_many_classes() -> None:
    """The most classes that limits allow by default, logits around the end of the exp table."""
    logits = np.random.default_rng(3).integers(-(26 << 16), 0, (3, 4096))
    logits[:, 0] = 0
    losses = LOSSES[CROSS_ENTROPY](logits.astype(np.int64), np.array([0, 1, 4095], np.uint16))
    for loss, row, label in zip(losses.tolist(), logits.tolist(), (0, 1, 4095), strict=True):
        assert abs(Decimal(loss) / 2**24 - nn_reference.cross_entropy(row, label)) < Decimal("1e-6")


def test_squared_error_by_hand() -> None:
    assert rows_of(SQUARED_ERROR, [[ONE, 0], [0, ONE], [0, 0], [ONE // 2, -ONE]], [0, 0, 1, 0]) == [
        0,
        2 << 24,
        1 << 24,
        (1 << 24) * 5 // 4,
    ]
    assert whole(SQUARED_ERROR, [[TOP, -TOP]], [0]) == [(15**2 + 16**2) << 24]
    assert rows_of(SQUARED_ERROR, [[ONE + 1], [ONE + 12], [ONE - 11]], [0, 0, 0]) == [0, 1, 0]


def test_no_row_costs_2_to_the_40_before_it_is_clipped() -> None:
    classes = 65_535
    worst = np.full((1, classes), TOP, np.int64)
    worst[0, -1] = -TOP
    for kind, expected in (
        (SQUARED_ERROR, 2**39),
        (ZERO_ONE, 2**24),
        (CROSS_ENTROPY, 2**39 + ln_q24(classes - 1)),
    ):
        assert LOSSES[kind](worst, np.array([classes - 1])).tolist() == [expected]
        assert rows_of(kind, worst.tolist(), [classes - 1]) == [min(expected, loss_limit(classes))]


def test_zero_one_by_hand() -> None:
    assert rows_of(ZERO_ONE, [[1, 1], [1, 1], [0, 1]], [0, 1, 1]) == [0, 1 << 24, 0]


def test_a_score_is_loss_correct_rows() -> None:
    logits, labels = np.array([[0, 0], [0, 5], [7, 0]], np.int64), np.array([1, 1, 0], np.uint16)
    scored = score(ZERO_ONE, logits, labels)
    assert scored == Score(1 << 24, 2, 3)
    assert decode(Score, encode(scored)) == scored
    assert score(CROSS_ENTROPY, logits, labels).loss == sum(
        rows_of(CROSS_ENTROPY, logits.tolist(), [1, 1, 0])
    )


def test_a_sum_of_many_rows_is_exact() -> None:
    rows = 2**18
    worst = np.broadcast_to(np.array([TOP, 1 - TOP], np.int64), (rows, 2))
    assert evaluate_loss(CROSS_ENTROPY, worst, np.ones(rows, np.uint16)) == rows * loss_limit(2)


def test_chunks_leave_no_row_out() -> None:
    rng = np.random.default_rng(4)
    logits, labels = rng.integers(-TOP, TOP, (300_000, 2)), rng.integers(0, 2, 300_000)
    for kind, function in LOSSES.items():
        clipped = np.minimum(function(logits, labels), loss_limit(2))
        assert np.array_equal(loss_rows(kind, logits, labels), clipped)


def test_no_rows_cost_nothing() -> None:
    assert score(CROSS_ENTROPY, np.zeros((0, 3), np.int64), np.zeros(0, np.uint16)) == Score(0, 0, 0)


@pytest.mark.parametrize(("label", "got"), [(2, 2), (65_535, 65_535), (-1, -1)])
def test_a_label_that_is_no_class_is_refused(label: int, got: int) -> None:
    for kind in LOSSES:
        with pytest.raises(LabelOutOfRange) as caught:
            loss_rows(kind, np.zeros((2, 2), np.int64), np.array([0, label], np.int64))
        assert (caught.value.code, caught.value.got) == ("label_out_of_range", got)


def test_labels_of_another_length_are_refused() -> None:
    for labels in (np.zeros(3, np.uint16), np.zeros((2, 1), np.uint16)):
        with pytest.raises(ShapeMismatch):
            evaluate_loss(CROSS_ENTROPY, np.zeros((2, 2), np.int64), labels)
