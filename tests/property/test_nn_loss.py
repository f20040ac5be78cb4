"""Losses of random and extreme logits against 50-digit decimals, and their symmetries."""

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.fixed import Int64Array
from engram.nn.loss import CLIP_NATS, LOSSES, LossKind, evaluate_loss, loss_rows, score
from tests.support import nn_reference

CROSS_ENTROPY = LossKind.SOFTMAX_CROSS_ENTROPY
TOLERANCE = Decimal("1e-6")
"""A tenth of what the protocol promises."""

LOGITS = st.one_of(
    st.integers(-(2**30), 2**30),
    st.integers(-(2**20), 2**20),
    st.sampled_from((-(2**30), 2**30, 0, 1, -1, 24 << 16, (24 << 16) - 1)),
)


@st.composite
def samples(draw: st.DrawFn) -> tuple[Int64Array, Int64Array]:
    classes = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(LOGITS, min_size=classes, max_size=classes), min_size=1, max_size=6))
    labels = [draw(st.integers(0, classes - 1)) for _ in rows]
    return np.array(rows, dtype=np.int64), np.array(labels, dtype=np.int64)


@given(samples())
def test_cross_entropy_is_the_real_loss_to_a_millionth_of_a_nat(
    sample: tuple[Int64Array, Int64Array],
) -> None:
    logits, labels = sample
    losses = loss_rows(CROSS_ENTROPY, logits, labels).tolist()
    for loss, row, label in zip(losses, logits.tolist(), labels.tolist(), strict=True):
        real = min(nn_reference.cross_entropy(row, label), Decimal(len(row)).ln() + CLIP_NATS)
        assert abs(Decimal(loss) / 2**24 - real) <= TOLERANCE


@given(samples())
def test_a_total_is_the_sum_of_its_rows_in_any_order(sample: tuple[Int64Array, Int64Array]) -> None:
    logits, labels = sample
    for kind in LOSSES:
        losses = loss_rows(kind, logits, labels)
        assert losses.dtype == np.int64
        assert losses.min() >= 0
        assert evaluate_loss(kind, logits, labels) == sum(losses.tolist())
        assert loss_rows(kind, logits[::-1], labels[::-1]).tolist() == losses.tolist()[::-1]


@given(samples(), st.integers(-(2**29), 2**29))
def test_cross_entropy_ignores_a_shift_of_all_logits(
    sample: tuple[Int64Array, Int64Array], shift: int
) -> None:
    logits, labels = sample[0] // 4, sample[1]
    shifted = evaluate_loss(CROSS_ENTROPY, logits + shift, labels)
    assert shifted == evaluate_loss(CROSS_ENTROPY, logits, labels)


@given(samples(), st.randoms(use_true_random=False))
def test_cross_entropy_ignores_the_names_of_classes(
    sample: tuple[Int64Array, Int64Array], random: np.random.Generator
) -> None:
    logits, labels = sample
    names = list(range(logits.shape[1]))
    random.shuffle(names)
    renamed = np.argsort(names)
    assert evaluate_loss(CROSS_ENTROPY, logits[:, names], renamed[labels]) == evaluate_loss(
        CROSS_ENTROPY, logits, labels
    )


@given(samples())
def test_correct_rows_and_zero_one_loss_are_complements(sample: tuple[Int64Array, Int64Array]) -> None:
    logits, labels = sample
    scored = score(LossKind.ZERO_ONE, logits, labels)
    assert scored.rows == len(labels)
    assert scored.loss == (scored.rows - scored.correct) << 24
