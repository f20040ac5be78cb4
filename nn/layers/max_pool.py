"""A hidden layer: the largest value under a window that moves over each map, scaled map by map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.fixed import Int64Array
from engram.nn.layers.activations import ReluActivation
from engram.nn.layers.dense import ACTIVATION_MACS
from engram.nn.layers.maps import (
    CHUNK_VALUES,
    TAP_MACS,
    Maps,
    laid_macs,
    laid_values,
    made,
    maps_read,
    padded,
    pixels_made,
    row_chunks,
)
from engram.nn.layers.reading import Further
from engram.nn.layers.segment import Numbers, Shape
from engram.primitives.types import U8, U16, U32


@dataclass(frozen=True)
class MaxPool(ReluActivation, Maps):
    """a[i, y, x] = b[i] + W[i]·max over v, u of map i at (stride·y + v - padding, stride·x + u - padding).

    It makes one map of each map that it reads. Then h = clip(round_shift(a, shift), 0, 2^bits - 1). Outside
    its map a value is 0. With weights of 1, a bias and a shift of 0 it is the plain maximum. W is int8 or
    int16 (maps,), b is int32 (maps,).
    """

    TAG: ClassVar[int] = 7
    layer: U8
    """The hidden layer, from 1, of its neurons. Its first interval lies in the layer below."""
    lo: U32
    hi: U32
    """It reads neurons lo, …, hi - 1 of the layer below, as maps."""
    height: U16
    breadth: U16
    """Height and width in pixels of every map that it reads."""
    kernel: U8
    stride: U8
    padding: U8
    shift: U8
    """0 to 31: how far an accumulator is shifted right."""
    bits: U8
    """The bits of an activation, 1 to 16."""
    weight_bits: U8
    """8 or 16."""
    more: Further = ()
    """What it reads after that, as further maps."""

    @property
    def width(self) -> int:
        """The neurons that the segment makes: the pixels of all maps."""
        return maps_read(self) * pixels_made(self)

    def check(self) -> None:
        self.check_maps()
        self.check_activation()

    def parameter_shapes(self) -> tuple[Shape, Shape]:
        """The shapes of weights and bias: (maps,) each."""
        return (maps_read(self),), (maps_read(self),)

    def macs_per_row(self) -> int:
        """TAP_MACS·kernel·(maps·rows made·(breadth + 2·padding) + width) + ACTIVATION_MACS·width + laid_macs.

        The window is moved down every column first, then along every row that this has made.
        """
        columns = maps_read(self) * made(self, self.height) * (self.breadth + 2 * self.padding)
        return (
            TAP_MACS * self.kernel * (columns + self.width) + ACTIVATION_MACS * self.width + laid_macs(self)
        )

    def reach(self, weights: IntArray, bias: IntArray, x_max: int) -> int:
        """The largest |w|·x_max + |b| of all maps."""
        products: Int64Array = np.abs(weights.astype(np.int64)) * x_max
        return int(np.max(products + np.abs(bias.astype(np.int64))))

    def accumulate(self, x: Numbers, weights: Numbers, bias: Numbers, out: Numbers | None = None) -> Numbers:
        """The accumulators (rows, width), written into `out` if one is given."""
        pixels = pixels_made(self)
        a = np.empty((len(x), self.width), dtype=weights.dtype) if out is None else out
        gains, offsets = np.repeat(weights, pixels), np.repeat(bias, pixels)
        laid = laid_values(self)
        # A chunk fits the processor's cache, but of large maps it holds several rows: each tap of a chunk is
        # a call, which takes as long as hundreds of values.
        for rows in row_chunks(len(x), max(laid, min(8 * laid, CHUNK_VALUES // 16))):
            maps = padded(self, x[rows]).transpose(0, 2, 3, 1)
            best = self._largest(self._largest(maps, 1, self.height), 2, self.breadth)
            np.multiply(best.reshape(len(gains), -1).T, gains, out=a[rows])
            a[rows] += offsets
        return a

    def _largest(self, maps: Numbers, axis: int, length: int) -> Numbers:
        """The largest value under a window that moves along one axis of padded maps.

        The largest of a square window is the largest of the largest of its rows.
        """
        span = self.stride * (made(self, length) - 1) + 1
        taps = [
            maps[(slice(None),) * axis + (slice(tap, tap + span, self.stride),)] for tap in range(self.kernel)
        ]
        best: Numbers = taps[0].copy()
        for seen in taps[1:]:
            np.maximum(best, seen, out=best)
        return best
