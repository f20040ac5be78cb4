"""The dense product x·W + b, which several layer kinds share: its shapes, cost, bound and accumulators.

A layer kind that is not dense defines the methods of `Dense` itself, in its own file, and shares nothing
here.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.errors import DimensionOutOfRange
from engram.nn.fixed import Int64Array
from engram.nn.layers.reading import Interval, Reading
from engram.nn.layers.segment import WEIGHT_BITS, Numbers, Shape, check_quantization

ACTIVATION_MACS: Final = 128
"""The charge for the elementwise work on one accumulator, as multiply-accumulates that take the same time."""

READ_MACS: Final = 8
"""The charge for fetching and converting one operand of a row, in the same unit."""

_LONG_ROW: Final = 512
"""Sums over rows of at least so many elements are fast."""
_FEW_ROWS: Final = 64
"""So few rows are added up fast, however short they are."""


class _Fields(Protocol):
    """The fields of a segment that the dense product needs."""

    @property
    def fan_in(self) -> int: ...
    @property
    def more(self) -> tuple[Interval, ...]: ...
    @property
    def width(self) -> int: ...
    @property
    def weight_bits(self) -> int: ...
    def check_intervals(self) -> None: ...


class Dense(Reading):
    """a = x·W + b over the neurons that the segment reads.

    x holds integers of at least 0, (rows, fan_in). W is int8 or int16 (fan_in, width), b is int32 (width,).
    """

    def check_fields(self: _Fields) -> None:
        """Refuses values that no dense kind allows in the fields that all of them have.

        Raises `DimensionOutOfRange`, `IntervalsUnordered`, `QuantizationOutOfRange`.
        """
        self.check_intervals()
        if self.width < 1:
            raise DimensionOutOfRange("a segment has a width of 0", expected="1 or more", got=self.width)
        check_quantization("weight_bits", self.weight_bits, *WEIGHT_BITS, choices=WEIGHT_BITS)

    def parameter_shapes(self: _Fields) -> tuple[Shape, Shape]:
        """The shapes of weights and bias: (fan_in, width) and (width,)."""
        return (self.fan_in, self.width), (self.width,)

    def macs_per_row(self: _Fields) -> int:
        """fan_in·width + READ_MACS·fan_in + ACTIVATION_MACS·width; READ_MACS counts twice for many intervals.

        What stands in several places is put side by side before it is converted.
        """
        fan_in, fetches = self.fan_in, 2 if self.more else 1
        return fan_in * self.width + fetches * READ_MACS * fan_in + ACTIVATION_MACS * self.width

    def reach(self: _Fields, weights: IntArray, bias: IntArray, x_max: int) -> int:
        """A magnitude that no accumulator, and no partial sum on the way to it, exceeds, for x in [0, x_max].

        It is the largest Σ|w|·x_max + |b| of all columns. A partial sum adds up some of the terms w·x and b,
        so it cannot exceed the sum of all their largest magnitudes, whatever the order of summation.
        """
        sums = _column_sums(weights)
        return int(np.max(sums * x_max + np.abs(bias.astype(np.int64))))

    def accumulate(
        self: _Fields, x: Numbers, weights: Numbers, bias: Numbers, out: Numbers | None = None
    ) -> Numbers:
        """x·W + b (rows, width), written into `out` if one is given.

        It uses sums and products only, so it is exact in every element type that holds all integers up to
        `reach`.
        """
        a: Numbers = np.matmul(x, weights, out=out)
        np.add(a, bias, out=a)
        return a


def _column_sums(weights: IntArray) -> Int64Array:
    """Σ|w| of each column. No element is the least one of its type, which has no magnitude in that type.

    Rows are short where columns are few. Then several of them are added up as one long row: sums over short
    rows take up to fifty times as long.
    """
    rows, width = weights.shape
    fold = min(rows, max(1, _LONG_ROW // width))
    if fold == 1 or rows < _FEW_ROWS:
        return _long_sums(weights)
    whole = rows - rows % fold
    sums: Int64Array = _long_sums(weights[:whole].reshape(-1, fold * width)).reshape(fold, width).sum(axis=0)
    sums += np.abs(weights[whole:]).sum(axis=0, dtype=np.int64)
    return sums


def _long_sums(weights: IntArray) -> Int64Array:
    """Σ|w| of each column of long rows.

    Narrow sums take a fraction of the time of 64-bit ones, so those of as many rows as cannot overflow are
    added up narrowly: 512·127 < 2^16 and 2^16·32,767 < 2^32.
    """
    narrow: dict[int, tuple[int, type]] = {1: (512, np.uint16), 2: (2**16, np.uint32)}
    rows, dtype = narrow.get(weights.dtype.itemsize, (max(1, weights.shape[0]), np.int64))
    sums: Int64Array = np.zeros(weights.shape[1], dtype=np.int64)
    for first in range(0, weights.shape[0], rows):
        sums += np.abs(weights[first : first + rows]).sum(axis=0, dtype=dtype)
    return sums
