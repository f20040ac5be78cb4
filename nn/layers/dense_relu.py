"""A hidden layer: a dense segment with a ReLU that is rounded to integers and clipped to `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.dense import Dense
from engram.nn.layers.segment import MAX_ACTIVATION_BITS, MAX_SHIFT, check_quantization
from engram.nn.layers.steps import Clip, RoundShift, Step
from engram.primitives.types import U8, U32


@dataclass(frozen=True)
class DenseRelu(Dense):
    """h = clip(round_shift(x·W + b, shift), 0, 2^bits - 1)."""

    TAG: ClassVar[int] = 1
    SCALES: ClassVar[frozenset[str]] = frozenset({"shift"})
    layer: U8
    """The hidden layer, from 1, of its neurons. It reads the layer below; layer 0 is the inputs."""
    lo: U32
    hi: U32
    """It reads neurons lo, …, hi - 1 of the layer below."""
    width: U32
    """The number of neurons that it makes."""
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
