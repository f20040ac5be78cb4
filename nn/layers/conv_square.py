"""A hidden layer: a convolution with a square that is rounded to integers and clipped to `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.activations import SquareActivation
from engram.nn.layers.conv import Conv2d
from engram.nn.layers.reading import Further
from engram.primitives.types import U8, U16, U32


@dataclass(frozen=True)
class ConvSquare(SquareActivation, Conv2d):
    """q = clip(round_shift(a, s1), -2^h, 2^h - 1), then clip(round_shift(q², s2), 0, 2^bits - 1)."""

    TAG: ClassVar[int] = 4
    layer: U8
    """The hidden layer, from 1, of its neurons. Its first interval lies in the layer below."""
    lo: U32
    hi: U32
    """It reads neurons lo, …, hi - 1 of the layer below, as maps."""
    height: U16
    breadth: U16
    """Height and width in pixels of every map that it reads."""
    channels: U16
    """The number of maps that it makes."""
    kernel: U8
    stride: U8
    padding: U8
    groups: U16
    s1: U8
    """0 to 31: the shift before the square."""
    h: U8
    """The bits of |q|, 1 to 15. From 12 on, the fast engine needs float64, at half the speed."""
    s2: U8
    """0 to 31: the shift after the square."""
    bits: U8
    """The bits of an activation, 1 to 16."""
    weight_bits: U8
    """8 or 16."""
    more: Further = ()
    """What it reads after that."""

    def check(self) -> None:
        self.check_fields()
        self.check_activation()
