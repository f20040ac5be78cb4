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
    TAP_MACS,
    Maps,
    laid_macs,
    maps_read,
    padded,
    pixels_made,
    places,
    row_chunks,
    under,
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
        """maps·pixels·(TAP_MACS·kernel² + ACTIVATION_MACS) + laid_macs, with the pixels of a map made."""
        return self.width * (TAP_MACS * self.kernel**2 + ACTIVATION_MACS) + laid_macs(self)

    def reach(self, weights: IntArray, bias: IntArray, x_max: int) -> int:
        """The largest |w|·x_max + |b| of all maps."""
        products: Int64Array = np.abs(weights.astype(np.int64)) * x_max
        return int(np.max(products + np.abs(bias.astype(np.int64))))

    def accumulate(self, x: Numbers, weights: Numbers, bias: Numbers, out: Numbers | None = None) -> Numbers:
        """The accumulators (rows, width), written into `out` if one is given."""
        pixels = pixels_made(self)
        a = np.empty((len(x), self.width), dtype=weights.dtype) if out is None else out
        gains, offsets = np.repeat(weights, pixels), np.repeat(bias, pixels)
        for rows in row_chunks(self, len(x)):
            maps = padded(self, x[rows])
            seen = [under(self, maps, v, u).transpose(0, 2, 3, 1) for v, u in places(self)]
            best = seen[0].copy()
            for tap in seen[1:]:
                np.maximum(best, tap, out=best)
            np.multiply(best.reshape(len(gains), -1).T, gains, out=a[rows])
            a[rows] += offsets
        return a
