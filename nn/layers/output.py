"""The output layer: a dense segment without activation that adds to class components, in Q16 nats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from engram.nn.fixed import Int64Array
from engram.nn.layers.dense import Dense
from engram.nn.layers.reading import Further
from engram.nn.layers.segment import MAX_SHIFT, check_quantization
from engram.nn.layers.steps import RoundShift, Step
from engram.primitives.types import I8, U8, U32

MIN_OUTPUT_SHIFT: Final = -16


@dataclass(frozen=True)
class Output(Dense):
    """Adds round_shift(x·W + b, shift), or (x·W + b)·2^-shift for a negative shift, to its components."""

    SCALES: ClassVar[frozenset[str]] = frozenset({"shift"})
    layer: U8
    """The layer of its first interval; 0 stands for the inputs."""
    lo: U32
    hi: U32
    """It reads neurons lo, …, hi - 1 of that layer."""
    first: U32
    """The first component that it feeds."""
    width: U32
    """The number of components that it feeds: first, …, first + width - 1."""
    shift: I8
    """-16 to 31. Shifting right by it, or left if it is negative, turns an accumulator into Q16 nats."""
    weight_bits: U8
    """8 or 16."""
    more: Further = ()
    """What it reads after that."""

    @property
    def reads(self) -> int:
        return self.layer

    def check(self) -> None:
        self.check_fields()
        check_quantization("shift", self.shift, MIN_OUTPUT_SHIFT, MAX_SHIFT)

    def steps(self) -> tuple[Step, ...]:
        return (RoundShift(self.shift),) if self.shift > 0 else ()

    def scaled(self, a: Int64Array) -> Int64Array:
        """Applies what `steps` leaves out of the scaling: the left shift of a negative `shift`.

        It is no step, because its results may need more than 32 bits; components are summed in int64.
        """
        return a << -self.shift if self.shift < 0 else a
