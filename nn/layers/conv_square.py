"""A hidden layer: a convolution with a square that is rounded to integers and clipped to `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.conv import Conv2d
from engram.nn.layers.dense_square import MAX_ROOT_BITS
from engram.nn.layers.segment import MAX_ACTIVATION_BITS, MAX_SHIFT, check_quantization
from engram.nn.layers.steps import Clip, RoundShift, Square, Step
from engram.primitives.types import U8, U16, U32


@dataclass(frozen=True)
class ConvSquare(Conv2d):
    """q = clip(round_shift(a, s1), -2^h, 2^h - 1), then clip(round_shift(q², s2), 0, 2^bits - 1)."""

    TAG: ClassVar[int] = 4
    SCALES: ClassVar[frozenset[str]] = frozenset({"s1", "h", "s2"})
    layer: U8
    """The hidden layer, from 1, of its neurons. It reads the layer below; layer 0 is the inputs."""
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

    @property
    def reads(self) -> int:
        return self.layer - 1

    def check(self) -> None:
        self.check_fields()
        check_quantization("s1", self.s1, 0, MAX_SHIFT)
        check_quantization("h", self.h, 1, MAX_ROOT_BITS)
        check_quantization("s2", self.s2, 0, MAX_SHIFT)
        check_quantization("bits", self.bits, 1, MAX_ACTIVATION_BITS)

    def steps(self) -> tuple[Step, ...]:
        root = 1 << self.h
        return (
            RoundShift(self.s1),
            Clip(-root, root - 1),
            Square(),
            RoundShift(self.s2),
            Clip(0, (1 << self.bits) - 1),
        )
