"""The two-dimensional convolution, which several layer kinds share: its shapes, cost, bound and accumulators.

What maps are, and how a kernel moves over them, stands in `maps`. A pooling by fixed weights is a convolution
with as many groups as maps.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.errors import DimensionOutOfRange
from engram.nn.fixed import Int64Array
from engram.nn.layers.dense import ACTIVATION_MACS
from engram.nn.layers.maps import (
    TAP_MACS,
    MapFields,
    Maps,
    check_size,
    laid_macs,
    maps_read,
    padded,
    pixels_made,
    row_chunks,
    windows,
)
from engram.nn.layers.segment import Numbers, Shape

GROUP_MACS: Final = 2**10
"""The charge for the product of one group for a row, as multiply-accumulates that take the same time."""


class _Fields(MapFields, Protocol):
    """The fields of a segment that the convolution needs."""

    @property
    def channels(self) -> int: ...
    @property
    def groups(self) -> int: ...
    def check_maps(self) -> None: ...


class Conv2d(Maps):
    """a[o, y, x] = b[o] + Σ over the maps i of o's group and the taps v, u of W[o, i, v, u]·maps[i, y', x'].

    y' = stride·y + v - padding and x' = stride·x + u - padding; outside its map a value is 0. The maps that
    are read, and those that are made, are divided among the groups in order. W is int8 or int16 (channels,
    maps of a group, kernel, kernel), b is int32 (channels,).
    """

    @property
    def width(self: _Fields) -> int:
        """The neurons that the segment makes: the pixels of all maps."""
        return self.channels * pixels_made(self)

    def check_fields(self: _Fields) -> None:
        """Refuses values that no convolution allows in the fields that all of them have.

        Raises `DimensionOutOfRange`, `IntervalsUnordered`, `QuantizationOutOfRange`.
        """
        self.check_maps()
        check_size("number of channels", self.channels, 2**16 - 1)
        check_size("number of groups", self.groups, self.channels)
        if maps_read(self) % self.groups or self.channels % self.groups:
            raise DimensionOutOfRange(
                "groups must divide the maps that are read and made",
                expected=(maps_read(self), self.channels),
                got=self.groups,
            )

    def parameter_shapes(self: _Fields) -> tuple[Shape, Shape]:
        """The shapes of weights and bias: (channels, maps of a group, kernel, kernel) and (channels,)."""
        return (self.channels, maps_of_a_group(self), self.kernel, self.kernel), (self.channels,)

    def macs_per_row(self: _Fields) -> int:
        """What the products, the fetching and the elementwise work of one row are charged.

        pixels·(channels·taps + TAP_MACS·maps read·kernel² + ACTIVATION_MACS·channels) + laid_macs
        + GROUP_MACS·groups. Pixels are those of one map that is made; taps are the values that one of them is
        made of.
        """
        fetched, taps = maps_read(self) * self.kernel**2, maps_of_a_group(self) * self.kernel**2
        work = self.channels * taps + TAP_MACS * fetched + ACTIVATION_MACS * self.channels
        return pixels_made(self) * work + laid_macs(self) + GROUP_MACS * self.groups

    def reach(self: _Fields, weights: IntArray, bias: IntArray, x_max: int) -> int:
        """A magnitude that no accumulator, and no partial sum on the way to it, exceeds, for x in [0, x_max].

        It is the largest Σ|w|·x_max + |b| of all maps that are made. Padding leaves out some of the terms.
        """
        sums: Int64Array = np.abs(weights).sum(axis=(1, 2, 3), dtype=np.int64)
        return int(np.max(sums * x_max + np.abs(bias.astype(np.int64))))

    def accumulate(
        self: _Fields, x: Numbers, weights: Numbers, bias: Numbers, out: Numbers | None = None
    ) -> Numbers:
        """The accumulators (rows, width), written into `out` if one is given; sums and products only."""
        pixels = pixels_made(self)
        a = np.empty((len(x), self.channels * pixels), dtype=weights.dtype) if out is None else out
        offsets = np.repeat(bias, pixels)
        for rows in row_chunks(len(x), pixels * maps_read(self) * self.kernel**2):
            np.add(_products(self, x[rows], weights), offsets, out=a[rows])
        return a


def maps_of_a_group(segment: _Fields) -> int:
    """The number of maps that each group reads."""
    return maps_read(segment) // max(1, segment.groups)


def _products(segment: _Fields, x: Numbers, weights: Numbers) -> Numbers:
    """The products of some rows without the bias (rows, width)."""
    count, groups = len(x), segment.groups
    # One copy for all taps: a copy of each tap would take many times as long where kernels are large.
    taps = np.ascontiguousarray(windows(segment, padded(segment, x)))
    kernels = weights.reshape(groups, segment.channels // groups, -1)
    products: Numbers = np.matmul(kernels, taps.reshape(groups, kernels.shape[2], -1))
    return products.reshape(-1, count).T
