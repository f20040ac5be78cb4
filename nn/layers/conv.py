"""The two-dimensional convolution, which several layer kinds share: its shapes, cost, bound and accumulators.

A segment reads an interval of `hi - lo` neurons as maps of the same height and width, one after the other
(channel-major). It makes maps in the same order, so maps that are appended to a layer are an interval again.
A pooling by fixed weights is a convolution with as many groups as maps.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.errors import DimensionOutOfRange
from engram.nn.fixed import Int64Array
from engram.nn.layers.dense import ACTIVATION_MACS
from engram.nn.layers.segment import WEIGHT_BITS, Numbers, Shape, check_quantization

VALUE_MACS: Final = 32
"""The charge for laying out one value of the maps that are read, as multiply-accumulates that take the same
time."""

TAP_MACS: Final = 32
"""The charge for fetching one value under the kernel, in the same unit."""

GROUP_MACS: Final = 2**10
"""The charge for the product of one group for a row."""

MOST_MAP: Final = 4_096
"""The greatest height or width of a map."""

_CHUNK_TAPS: Final = 2**21
"""Rows are convolved so many fetched values at a time, so that memory does not grow with their number."""


class _Fields(Protocol):
    """The fields of a segment that the convolution needs."""

    @property
    def lo(self) -> int: ...
    @property
    def hi(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def breadth(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def kernel(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def padding(self) -> int: ...
    @property
    def groups(self) -> int: ...
    @property
    def weight_bits(self) -> int: ...


class Conv2d:
    """a[o, y, x] = b[o] + Σ over the maps i of o's group and the taps v, u of W[o, i, v, u]·maps[i, y', x'].

    y' = stride·y + v - padding and x' = stride·x + u - padding; outside its map a value is 0. The maps that
    are read, and those that are made, are divided among the groups in order. W is int8 or int16 (channels,
    maps of a group, kernel, kernel), b is int32 (channels,).
    """

    @property
    def width(self: _Fields) -> int:
        """The neurons that the segment makes: the pixels of all maps."""
        return self.channels * made(self, self.height) * made(self, self.breadth)

    def check_fields(self: _Fields) -> None:
        """Refuses values that no convolution allows in the fields that all of them have.

        Raises `DimensionOutOfRange`, `QuantizationOutOfRange`.
        """
        if not 0 <= self.lo < self.hi:
            raise DimensionOutOfRange("a segment reads an empty interval", got=(self.lo, self.hi))
        for name, value, most in (
            ("height", self.height, MOST_MAP),
            ("breadth", self.breadth, MOST_MAP),
            ("channels", self.channels, 2**16 - 1),
            ("kernel", self.kernel, min(self.height, self.breadth) + 2 * self.padding),
            ("stride", self.stride, self.kernel),
            ("groups", self.groups, self.channels),
        ):
            if not 1 <= value <= most:
                raise DimensionOutOfRange(
                    f"the {name} of a convolution is outside its limits", expected=f"1..{most}", got=value
                )
        if self.padding >= self.kernel:
            raise DimensionOutOfRange(
                "a kernel would see nothing but padding", expected=f"0..{self.kernel - 1}", got=self.padding
            )
        if (self.hi - self.lo) % (self.height * self.breadth):
            raise DimensionOutOfRange(
                "a convolution reads whole maps", expected=self.height * self.breadth, got=self.hi - self.lo
            )
        if maps_read(self) % self.groups or self.channels % self.groups:
            raise DimensionOutOfRange(
                "groups must divide the maps that are read and made",
                expected=(maps_read(self), self.channels),
                got=self.groups,
            )
        check_quantization("weight_bits", self.weight_bits, *WEIGHT_BITS, choices=WEIGHT_BITS)

    def parameter_shapes(self: _Fields) -> tuple[Shape, Shape]:
        """The shapes of weights and bias: (channels, maps of a group, kernel, kernel) and (channels,)."""
        return (self.channels, maps_of_a_group(self), self.kernel, self.kernel), (self.channels,)

    def macs_per_row(self: _Fields) -> int:
        """What the products, the fetching and the elementwise work of one row are charged.

        pixels·(channels·taps + TAP_MACS·maps read·kernel² + ACTIVATION_MACS·channels)
        + VALUE_MACS·values of the maps read, with their padding + GROUP_MACS·groups. Pixels are those of one
        map that is made; taps are the values that one of them is made of.
        """
        pixels = made(self, self.height) * made(self, self.breadth)
        fetched, taps = maps_read(self) * self.kernel**2, maps_of_a_group(self) * self.kernel**2
        work = self.channels * taps + TAP_MACS * fetched + ACTIVATION_MACS * self.channels
        laid = maps_read(self) * (self.height + 2 * self.padding) * (self.breadth + 2 * self.padding)
        return pixels * work + VALUE_MACS * laid + GROUP_MACS * self.groups

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
        pixels = made(self, self.height) * made(self, self.breadth)
        size = max(1, _CHUNK_TAPS // (pixels * maps_read(self) * self.kernel**2))
        a = np.empty((len(x), self.channels * pixels), dtype=weights.dtype) if out is None else out
        offsets = np.repeat(bias, pixels)
        for begin in range(0, len(x), size):
            rows = slice(begin, begin + size)
            np.add(_products(self, x[rows], weights), offsets, out=a[rows])
        return a


def made(segment: _Fields, length: int) -> int:
    """The height or width of the maps that a convolution makes of maps of this height or width.

    A shape may be asked for before `check` has refused a stride of 0 or a kernel that does not fit: no such
    kernel makes anything.
    """
    return max(0, (length + 2 * segment.padding - segment.kernel) // max(1, segment.stride) + 1)


def maps_read(segment: _Fields) -> int:
    """The number of maps that a convolution reads."""
    return max(0, segment.hi - segment.lo) // max(1, segment.height * segment.breadth)


def maps_of_a_group(segment: _Fields) -> int:
    """The number of maps that each group reads."""
    return maps_read(segment) // max(1, segment.groups)


def places(segment: _Fields) -> list[tuple[int, int]]:
    """The taps (v, u) of the kernel, row by row."""
    return [(v, u) for v in range(segment.kernel) for u in range(segment.kernel)]


def under(segment: _Fields, maps: Numbers, v: int, u: int) -> Numbers:
    """What every pixel that is made sees under one tap, of padded maps (…, height, breadth); a view."""
    down, right = (
        slice(first, first + segment.stride * (made(segment, length) - 1) + 1, segment.stride)
        for first, length in ((v, segment.height), (u, segment.breadth))
    )
    return maps[..., down, right]


def _products(segment: _Fields, x: Numbers, weights: Numbers) -> Numbers:
    """The products of some rows without the bias (rows, width).

    The rows are the innermost axis on the way, so that every copy and product runs over long stretches of
    memory, however small the maps are.
    """
    count, groups, edge = len(x), segment.groups, segment.padding
    shape = (maps_read(segment), segment.height + 2 * edge, segment.breadth + 2 * edge, count)
    maps = np.zeros(shape, dtype=x.dtype) if edge else np.empty(shape, dtype=x.dtype)
    inside = maps[:, edge : edge + segment.height, edge : edge + segment.breadth]
    inside[...] = x.T.reshape(inside.shape)
    height, breadth = made(segment, segment.height), made(segment, segment.breadth)
    seen = maps.transpose(0, 3, 1, 2)
    if segment.channels == groups == shape[0]:
        sums = np.zeros((groups, height, breadth, count), dtype=weights.dtype)
        for v, u in places(segment):
            tap = under(segment, seen, v, u).transpose(0, 2, 3, 1)
            sums += weights[:, 0, v, u, None, None, None] * tap
        return sums.reshape(-1, count).T
    taps = np.empty((shape[0], segment.kernel**2, height, breadth, count), dtype=x.dtype)
    for place, (v, u) in enumerate(places(segment)):
        taps[:, place] = under(segment, seen, v, u).transpose(0, 2, 3, 1)
    kernels = weights.reshape(groups, segment.channels // groups, -1)
    products: Numbers = np.matmul(kernels, taps.reshape(groups, kernels.shape[2], -1))
    return products.reshape(-1, count).T
