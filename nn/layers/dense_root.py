"""A hidden layer: a dense segment with a square root, rounded down to integers of `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.activations import SqrtActivation
from engram.nn.layers.shifted import ShiftedDense


@dataclass(frozen=True)
class DenseRoot(SqrtActivation, ShiftedDense):
    """h = ⌊√clip(round_shift(x·W + b, shift), 0, 2^(2·bits) - 1)⌋."""

    TAG: ClassVar[int] = 5
