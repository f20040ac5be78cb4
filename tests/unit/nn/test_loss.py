"""Losses by hand and against 50-digit decimals; scores; what is refused."""

from decimal import Decimal

import numpy as np
import pytest

from engram.nn.errors import LabelOutOfRange, ShapeMismatch
from engram.nn.fixed import ln_q24
from engram.nn.loss import LOSSES, LossKind, Score, evaluate_loss, loss_rows, score
from engram.primitives.codec import decode, encode
from tests.support import nn_reference

CROSS_ENTROPY, SQUARED_ERROR, ZERO_ONE = LossKind
ONE = 1 << 16
TOP = 2**30


def rows_of(kind: LossKind, rows: list[list[int]], labels: list[int]) -> list[int]:
    losses: list[int] = loss_rows(kind, np.array(rows, np.int64), np.array(labels, np.uint16)).tolist()
    return losses


@pytest.mark.parametrize("k", [1, 2, 3, 10, 77, 1000])
def test_equal_logits_cost_exactly_ln_k(k: int) -> None:
    for logit in (0, TOP, -TOP, 12345):
        assert rows_of(CROSS_ENTROPY, [[logit] * k], [k - 1]) == [ln_q24(k)]


def test_cross_entropy_at_the_extremes() -> None:
    rows = [[TOP, -TOP], [TOP, -TOP], [-TOP, TOP], [TOP, TOP - (24 << 16)], [0, 1], [ONE, 0]]
    labels = [0, 1, 0, 1, 0, 1]
    losses = rows_of(CROSS_ENTROPY, rows, labels)
    assert losses[:2] == [0, 2**31 << 8]
    for loss, row, label in zip(losses, rows, labels, strict=True):
        assert abs(Decimal(loss) / 2**24 - nn_reference.cross_entropy(row, label)) < Decimal("1e-6")


def test_cross_entropy_of_many_classes() -> None:
    """The most classes that limits allow by default, logits around the end of the exp table."""
    logits = np.random.default_rng(3).integers(-(26 << 16), 0, (3, 4096))
    logits[:, 0] = 0
    losses = loss_rows(CROSS_ENTROPY, logits.astype(np.int64), np.array([0, 1, 4095], np.uint16))
    for loss, row, label in zip(losses.tolist(), logits.tolist(), (0, 1, 4095), strict=True):
        assert abs(Decimal(loss) / 2**24 - nn_reference.cross_entropy(row, label)) < Decimal("1e-6")


def test_squared_error_by_hand() -> None:
    assert rows_of(SQUARED_ERROR, [[ONE, 0], [0, ONE], [0, 0], [ONE // 2, -ONE]], [0, 0, 1, 0]) == [
        0,
        2 << 24,
        1 << 24,
        (1 << 24) * 5 // 4,
    ]
    assert rows_of(SQUARED_ERROR, [[TOP, -TOP]], [0]) == [(15**2 + 16**2) << 24]
    assert rows_of(SQUARED_ERROR, [[ONE + 1], [ONE + 12], [ONE - 11]], [0, 0, 0]) == [0, 1, 0]


def test_no_row_costs_2_to_the_40() -> None:
    classes = 65_535
    worst = np.full((1, classes), TOP, np.int64)
    worst[0, -1] = -TOP
    for kind, expected in (
        (SQUARED_ERROR, 2**39),
        (ZERO_ONE, 2**24),
        (CROSS_ENTROPY, 2**39 + ln_q24(classes - 1)),
    ):
        assert loss_rows(kind, worst, np.array([classes - 1])).tolist() == [expected]


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


def test_a_sum_beyond_the_digits_of_a_float_is_exact() -> None:
    rows = 2**18
    worst = np.broadcast_to(np.array([TOP, 1 - TOP], np.int64), (rows, 2))
    assert evaluate_loss(CROSS_ENTROPY, worst, np.ones(rows, np.uint16)) == rows * (2**39 - 2**8)


def test_chunks_leave_no_row_out() -> None:
    rng = np.random.default_rng(4)
    logits, labels = rng.integers(-TOP, TOP, (300_000, 2)), rng.integers(0, 2, 300_000)
    for kind, function in LOSSES.items():
        assert np.array_equal(loss_rows(kind, logits, labels), function(logits, labels))


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
