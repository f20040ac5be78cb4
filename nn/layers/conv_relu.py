"""A hidden layer: a convolution with a ReLU that is rounded to integers and clipped to `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.conv import Conv2d
from engram.nn.layers.segment import MAX_ACTIVATION_BITS, MAX_SHIFT, check_quantization
from engram.nn.layers.steps import Clip, RoundShift, Step
from engram.primitives.types import U8, U16, U32


@dataclass(frozen=True)
class ConvRelu(Conv2d):
    """h = clip(round_shift(a, shift), 0, 2^bits - 1), where a are the accumulators of the convolution."""

    TAG: ClassVar[int] = 3
    SCALES: ClassVar[frozenset[str]] = frozenset({"shift"})
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
    shift: U8
    """0 to 31: how far an accumulator is shifted right."""
    bits: U8
    """The bits of an activation, 1 to 16."""
    weight_bits: U8
    """8 or 16."""

    @property
    def reads(self) -> int:
        return self.layer - 1

    def check(self) -> None:
        self.check_fields()
        check_quantization("shift", self.shift, 0, MAX_SHIFT)
        check_quantization("bits", self.bits, 1, MAX_ACTIVATION_BITS)

    def steps(self) -> tuple[Step, ...]:
        return RoundShift(self.shift), Clip(0, (1 << self.bits) - 1)
