"""Output layer: dense segment without activation that adds to class components, in Q16 nats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.nn.fixed import Int64Array
from engram.nn.layers.dense import Dense
from engram.nn.layers.segment import MAX_SHIFT, check_quantization
from engram.nn.layers.steps import RoundShift, Step
from engram.primitives.types import I8, U8, U32

MIN_OUTPUT_SHIFT: Final = -16


@dataclass(frozen=True)
class Output(Dense):
    """Adds round_shift(x·W + b, shift), or (x·W + b)·2^-shift for a negative shift, to its components."""

    layer: U8
    """The layer it reads; 0: inputs."""
    lo: U32
    hi: U32
    """It reads neurons lo, …, hi - 1 of that layer."""
    first: U32
    """First component it feeds."""
    width: U32
    """Number of components it feeds: first, …, first + width - 1."""
    shift: I8
    """-16 to 31: from the accumulator's scale to Q16 nats."""
    weight_bits: U8
    """8 or 16."""

    @property
    def reads(self) -> int:
        return self.layer

    def check(self) -> None:
        self.check_fields()
        check_quantization("shift", self.shift, MIN_OUTPUT_SHIFT, MAX_SHIFT)

    def steps(self) -> tuple[Step, ...]:
        return (RoundShift(self.shift),) if self.shift > 0 else ()

    def scaled(self, a: Int64Array) -> Int64Array:
        """What is left of the scaling after `steps`: the left shift."""
        return a << -self.shift if self.shift < 0 else a
