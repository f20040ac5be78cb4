"""A hidden layer: a dense segment with a square root, rounded down to integers of `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.activations import SqrtActivation
from engram.nn.layers.dense import Dense
from engram.nn.layers.reading import Further
from engram.primitives.types import U8, U32


@dataclass(frozen=True)
class DenseRoot(SqrtActivation, Dense):
    """h = ⌊√clip(round_shift(x·W + b, shift), 0, 2^(2·bits) - 1)⌋."""

    TAG: ClassVar[int] = 5
    layer: U8
    """The hidden layer, from 1, of its neurons. Its first interval lies in the layer below."""
    lo: U32
    hi: U32
    """It reads neurons lo, …, hi - 1 of the layer below."""
    width: U32
    """The number of neurons that it makes."""
    shift: U8
    """0 to 31: how far an accumulator is shifted right."""
    bits: U8
    """The bits of an activation, 1 to 8."""
    weight_bits: U8
    """8 or 16."""
    more: Further = ()
    """What it reads after that."""

    def check(self) -> None:
        self.check_fields()
        self.check_activation()
