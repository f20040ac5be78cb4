"""The dense product, which several layer kinds share: shapes, cost, bound and accumulators of x·W + b.

A layer kind that is not dense brings these five functions itself, in its own file, and shares none of these.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.errors import DimensionOutOfRange
from engram.nn.fixed import Int64Array
from engram.nn.layers.segment import WEIGHT_BITS, Numbers, Shape, check_quantization

ACTIVATION_MACS: Final = 128
"""What the elementwise work of one accumulator costs, in multiply-accumulates of equal time."""

READ_MACS: Final = 8
"""What fetching and converting one operand of a row costs, in multiply-accumulates of equal time."""


class _Fields(Protocol):
    """What the dense product must know of a segment."""

    @property
    def lo(self) -> int: ...
    @property
    def hi(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def weight_bits(self) -> int: ...


class Dense:
    """a = x·W + b over the segment's interval [lo, hi).

    x: unsigned integers (rows, hi - lo). W: int8 or int16 (hi - lo, width). b: int32 (width,).
    """

    def check_fields(self: _Fields) -> None:
        """The rules of the fields that every dense kind has.

        Raises `DimensionOutOfRange`, `QuantizationOutOfRange`.
        """
        if not 0 <= self.lo < self.hi:
            raise DimensionOutOfRange("a segment reads an empty interval", got=(self.lo, self.hi))
        if self.width < 1:
            raise DimensionOutOfRange("a segment has no columns", expected="1 or more", got=self.width)
        check_quantization("weight_bits", self.weight_bits, *WEIGHT_BITS, choices=WEIGHT_BITS)

    def parameter_shapes(self: _Fields) -> tuple[Shape, Shape]:
        """Shapes of weights and bias: (hi - lo, width) and (width,)."""
        return (self.hi - self.lo, self.width), (self.width,)

    def macs_per_row(self: _Fields) -> int:
        """(hi - lo)·width + READ_MACS·(hi - lo) + ACTIVATION_MACS·width."""
        fan_in = self.hi - self.lo
        return fan_in * self.width + READ_MACS * fan_in + ACTIVATION_MACS * self.width

    def reach(self: _Fields, weights: IntArray, bias: IntArray, x_max: int) -> int:
        """Largest magnitude of any accumulator and of any partial sum on the way to it, for x in [0, x_max].

        The accumulator of a column lies within ±(Σ|w|·x_max + |b|), whatever the order of summation.
        """
        sums: Int64Array = np.abs(weights).sum(axis=0, dtype=np.int64)
        return int(np.max(sums * x_max + np.abs(bias.astype(np.int64))))

    def accumulate(
        self: _Fields, x: Numbers, weights: Numbers, bias: Numbers, out: Numbers | None = None
    ) -> Numbers:
        """x·W + b (rows, width), in `out` if one is given.

        Sums and products only, so that it is exact in every element type that holds `reach`.
        """
        a: Numbers = np.matmul(x, weights, out=out)
        np.add(a, bias, out=a)
        return a
