"""Losses of integer logits as exact integers in Q24 nats: one per row, summed without rounding.

Logits z are int64 (n, classes) in Q16 nats, within ±2^30. Labels y are integers (n,) below the number of
classes, which is below 2^16.

- 1 `softmax_cross_entropy`: d_j = max z - z_j; round_shift(ln_q32(Σ_j exp_q32(d_j)), 8) + (d_y << 8), with
  the tables of `fixed`. Within 1e-6 nat of the real-number loss of the same logits.
- 2 `squared_error`: Σ_j (clip(z_j, ±16 nats) - [j = y])², one-hot targets 0 and 1 in units of a nat:
  min(round_shift(Σ_j (clip(z_j, -2^20, 2^20) - 2^16·[j = y])², 8), 2^39).
- 3 `zero_one`: 2^24 for a row whose largest logit (the lowest class on a tie) is not its label, else 0.

The loss of a row counts at most ln(classes) + 8 nats, whatever the function gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.data import Labels, check_labels
from engram.nn.errors import ShapeMismatch
from engram.nn.fixed import LOGIT_BITS, LOSS_BITS, Int64Array, exp_q32, ln_q24, ln_q32, round_shift, saturate
from engram.nn.logits import predict
from engram.primitives.types import U32, U64

LossFunction = Callable[[Int64Array, Labels], Int64Array]

SQUARED_ERROR_LIMIT: Final = 16 << LOGIT_BITS
SQUARED_ERROR_ROW_LIMIT: Final = 2**39
CLIP_NATS: Final = 8
_CHUNK_ELEMENTS: Final = 2**17


class LossKind(IntEnum):
    """The loss functions, by the numbers that stand for them in records."""

    SOFTMAX_CROSS_ENTROPY = 1
    SQUARED_ERROR = 2
    ZERO_ONE = 3


@dataclass(frozen=True)
class Score:
    """How well a network does on a set of rows."""

    loss: U64
    """The sum of the losses of all rows, in Q24 nats."""
    correct: U32
    """The number of rows whose predicted class is their label."""
    rows: U32


@dataclass(frozen=True, eq=False)
class Measure:
    """What the logits of rows are held against."""

    kind: LossKind
    labels: Labels
    """(n,): the label of each row; one of `classes` or more counts as wrong."""
    classes: int
    """At least the classes of the network. Those that it lacks have logit 0."""


@dataclass(frozen=True, eq=False)
class RowScores:
    """How well a network does on each row of a part."""

    losses: npt.NDArray[np.int32]
    """(n,) clipped losses in Q24 nats."""
    right: npt.NDArray[np.bool_]
    """(n,) whether the predicted class is the label."""

    @property
    def total(self) -> Score:
        """The sums over all rows."""
        return Score(
            int(np.sum(self.losses, dtype=np.int64)), int(np.count_nonzero(self.right)), len(self.right)
        )

    @property
    def size_bytes(self) -> int:
        """Bytes of memory that the arrays take."""
        return self.losses.nbytes + self.right.nbytes


def softmax_cross_entropy(logits: Int64Array, labels: Labels) -> Int64Array:
    """The softmax cross-entropy of each row: int64 (n,) in Q24 nats."""
    columns = np.ascontiguousarray(logits.T)  # classes first: sums along the short axis run over long rows
    gaps = np.max(columns, axis=0) - columns
    log_sum = ln_q32(np.sum(exp_q32(gaps), axis=0, dtype=np.int64))
    losses: Int64Array = gaps[labels, np.arange(len(labels))] << (LOSS_BITS - LOGIT_BITS)
    losses += round_shift(log_sum, 32 - LOSS_BITS)
    return losses


def squared_error(logits: Int64Array, labels: Labels) -> Int64Array:
    """The squared error of each row: int64 (n,) in Q24 nats."""
    errors = saturate(logits, -SQUARED_ERROR_LIMIT, SQUARED_ERROR_LIMIT)
    errors[np.arange(len(labels)), labels] -= 1 << LOGIT_BITS
    squares: Int64Array = np.sum(np.square(errors), axis=1, dtype=np.int64)
    return np.minimum(round_shift(squares, 2 * LOGIT_BITS - LOSS_BITS), SQUARED_ERROR_ROW_LIMIT)


def zero_one(logits: Int64Array, labels: Labels) -> Int64Array:
    """The zero-one loss of each row: int64 (n,) in Q24 nats."""
    wrong: Int64Array = np.not_equal(predict(logits), labels).astype(np.int64)
    return wrong << LOSS_BITS


LOSSES: Final[Mapping[LossKind, LossFunction]] = {
    LossKind.SOFTMAX_CROSS_ENTROPY: softmax_cross_entropy,
    LossKind.SQUARED_ERROR: squared_error,
    LossKind.ZERO_ONE: zero_one,
}


def loss_rows(kind: LossKind, logits: Int64Array, labels: Labels) -> Int64Array:
    """The clipped loss of each row: int64 (n,) in Q24 nats, from 0 to `loss_limit` of the logits' classes.

    That is below 2^29, so the sum over 2^24 rows fits the 64 bits of `Score.loss`. Raises `ShapeMismatch`,
    `LabelOutOfRange`.
    """
    losses = [np.zeros(0, dtype=np.int64)]
    losses += [np.minimum(LOSSES[kind](z, y), loss_limit(z.shape[1])) for z, y in _chunks(logits, labels)]
    return np.concatenate(losses)


def loss_limit(classes: int) -> int:
    """The most that the loss of one row counts: ln(classes) + 8 nats, in Q24 nats.

    So no row decides alone about a network, and the baselines of all networks stay comparable.
    """
    return ln_q24(classes) + (CLIP_NATS << LOSS_BITS)


def evaluate_loss(kind: LossKind, logits: Int64Array, labels: Labels) -> int:
    """The exact sum of `loss_rows`, as a Python integer. Raises what `loss_rows` raises."""
    return int(np.sum(loss_rows(kind, logits, labels)))


def score(kind: LossKind, logits: Int64Array, labels: Labels) -> Score:
    """The loss and the number of correct rows. Raises what `loss_rows` raises."""
    loss = evaluate_loss(kind, logits, labels)
    return Score(loss, int(np.count_nonzero(predict(logits) == labels)), len(labels))


def score_rows(measure: Measure, logits: Int64Array) -> RowScores:
    """The loss of each row by its logits (n, the network's classes), and whether it is right.

    A row whose label is `measure.classes` or more is wrong, and its loss has no meaning. Raises
    `ShapeMismatch` where there is not one label for each row.
    """
    labels, classes = measure.labels, measure.classes
    padded = np.pad(logits, ((0, 0), (0, max(0, classes - logits.shape[1]))))
    losses = loss_rows(measure.kind, padded, np.where(labels < classes, labels, 0))
    return RowScores(losses.astype(np.int32), predict(padded) == labels)


def _chunks(logits: Int64Array, labels: Labels) -> Iterator[tuple[Int64Array, Labels]]:
    """Checked logits and labels, in chunks that fit the processor's cache and whose sums cannot overflow."""
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ShapeMismatch(
            "there must be one label for each row of logits", expected=logits.shape[:1], got=labels.shape
        )
    if labels.size:
        check_labels(labels, logits.shape[1])
    size = max(1, _CHUNK_ELEMENTS // logits.shape[1])
    for begin in range(0, len(labels), size):
        yield logits[begin : begin + size], labels[begin : begin + size]
