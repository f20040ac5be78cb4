"""The activations of hidden kinds, dense or convolving: their fields, checks and steps."""

from __future__ import annotations

from typing import ClassVar, Final, Protocol

from engram.nn.layers.segment import MAX_ACTIVATION_BITS, MAX_SHIFT, check_quantization
from engram.nn.layers.steps import Clip, Root, RoundShift, Square, Step

MAX_ROOT_BITS: Final = 15
MAX_SQRT_BITS: Final = 8


class _Layered(Protocol):
    @property
    def layer(self) -> int: ...


class _ShiftFields(Protocol):
    MOST_BITS: ClassVar[int]

    @property
    def shift(self) -> int: ...
    @property
    def bits(self) -> int: ...


class _SquareFields(Protocol):
    @property
    def s1(self) -> int: ...
    @property
    def h(self) -> int: ...
    @property
    def s2(self) -> int: ...
    @property
    def bits(self) -> int: ...


class _LayerBelow:
    """What reads the layer below its own."""

    @property
    def reads(self: _Layered) -> int:
        """The layer below."""
        return self.layer - 1


class ShiftActivation(_LayerBelow):
    """Activations that are scaled by one shift."""

    SCALES: ClassVar[frozenset[str]] = frozenset({"shift"})
    MOST_BITS: ClassVar[int]
    """The most bits of an activation."""

    def check_activation(self: _ShiftFields) -> None:
        """Refuses shifts and bits out of range. Raises `QuantizationOutOfRange`."""
        check_quantization("shift", self.shift, 0, MAX_SHIFT)
        check_quantization("bits", self.bits, 1, self.MOST_BITS)


class ReluActivation(ShiftActivation):
    """clip(round_shift(a, shift), 0, 2^bits - 1)."""

    MOST_BITS: ClassVar[int] = MAX_ACTIVATION_BITS

    def steps(self: _ShiftFields) -> tuple[Step, ...]:
        return RoundShift(self.shift), Clip(0, (1 << self.bits) - 1)


class SqrtActivation(ShiftActivation):
    """⌊√clip(round_shift(a, shift), 0, 2^(2·bits) - 1)⌋."""

    MOST_BITS: ClassVar[int] = MAX_SQRT_BITS

    def steps(self: _ShiftFields) -> tuple[Step, ...]:
        return RoundShift(self.shift), Clip(0, (1 << 2 * self.bits) - 1), Root()


class SquareActivation(_LayerBelow):
    """q = clip(round_shift(a, s1), -2^h, 2^h - 1), then clip(round_shift(q², s2), 0, 2^bits - 1)."""

    SCALES: ClassVar[frozenset[str]] = frozenset({"s1", "h", "s2"})

    def check_activation(self: _SquareFields) -> None:
        """Refuses shifts and bits out of range. Raises `QuantizationOutOfRange`."""
        check_quantization("s1", self.s1, 0, MAX_SHIFT)
        check_quantization("h", self.h, 1, MAX_ROOT_BITS)
        check_quantization("s2", self.s2, 0, MAX_SHIFT)
        check_quantization("bits", self.bits, 1, MAX_ACTIVATION_BITS)

    def steps(self: _SquareFields) -> tuple[Step, ...]:
        root = 1 << self.h
        return (
            RoundShift(self.s1),
            Clip(-root, root - 1),
            Square(),
            RoundShift(self.s2),
            Clip(0, (1 << self.bits) - 1),
        )
