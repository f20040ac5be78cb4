"""A hidden layer: a convolution with a square root, rounded down to integers of `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.activations import SqrtActivation
from engram.nn.layers.shifted import ShiftedConv


@dataclass(frozen=True)
class ConvRoot(SqrtActivation, ShiftedConv):
    """h = ⌊√clip(round_shift(a, shift), 0, 2^(2·bits) - 1)⌋, where a is an accumulator of the convolution."""

    TAG: ClassVar[int] = 6
