"""The geometry of maps, which convolutions and pooling share: what is read and made, what a kernel sees.

A segment reads its neurons as maps of the same height and width, one after the other (channel-major), each
row by row. It makes maps in the same order, so maps that are appended to a layer are an interval again.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from engram.nn.errors import DimensionOutOfRange
from engram.nn.layers.reading import Interval, Reading
from engram.nn.layers.segment import WEIGHT_BITS, Numbers, check_quantization

VALUE_MACS: Final = 32
"""The charge for laying out one value of the maps that are read, as multiply-accumulates that take the same
time."""

TAP_MACS: Final = 32
"""The charge for fetching one value under the kernel, in the same unit."""

MOST_MAP: Final = 4_096
"""The greatest height or width of a map."""

CHUNK_VALUES: Final = 2**21
"""Rows are worked on so many values at a time, so that memory does not grow with their number."""


class MapFields(Protocol):
    """The fields of a segment that the geometry needs."""

    @property
    def intervals(self) -> tuple[Interval, ...]: ...
    @property
    def fan_in(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def breadth(self) -> int: ...
    @property
    def kernel(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def padding(self) -> int: ...
    @property
    def weight_bits(self) -> int: ...
    def check_intervals(self) -> None: ...


class Maps(Reading):
    """Checks of the fields that all kinds that work on maps have in common."""

    def check_maps(self: MapFields) -> None:
        """Refuses maps and kernels that no kind allows.

        Raises `DimensionOutOfRange`, `IntervalsUnordered`, `QuantizationOutOfRange`.
        """
        self.check_intervals()
        for name, value, most in (
            ("height", self.height, MOST_MAP),
            ("breadth", self.breadth, MOST_MAP),
            ("kernel", self.kernel, min(self.height, self.breadth) + 2 * self.padding),
            ("stride", self.stride, self.kernel),
        ):
            check_size(name, value, most)
        if self.padding >= self.kernel:
            raise DimensionOutOfRange(
                "a kernel would see nothing but padding", expected=f"0..{self.kernel - 1}", got=self.padding
            )
        for interval in self.intervals:
            if interval.size % (self.height * self.breadth):
                raise DimensionOutOfRange(
                    "an interval does not hold whole maps",
                    expected=self.height * self.breadth,
                    got=interval.size,
                )
        check_quantization("weight_bits", self.weight_bits, *WEIGHT_BITS, choices=WEIGHT_BITS)


def check_size(name: str, value: int, most: int) -> None:
    """Refuses a field outside [1, most]. Raises `DimensionOutOfRange`."""
    if not 1 <= value <= most:
        raise DimensionOutOfRange(
            f"the {name} of a segment that reads maps is outside its limits",
            expected=f"1..{most}",
            got=value,
        )


def made(segment: MapFields, length: int) -> int:
    """The height or width of the maps that are made of maps of this height or width.

    A shape may be asked for before the checks have refused a stride of 0 or a kernel that does not fit: no
    such kernel makes anything.
    """
    return max(0, (length + 2 * segment.padding - segment.kernel) // max(1, segment.stride) + 1)


def pixels_made(segment: MapFields) -> int:
    """The pixels of one map that is made."""
    return made(segment, segment.height) * made(segment, segment.breadth)


def maps_read(segment: MapFields) -> int:
    """The number of maps that are read."""
    return segment.fan_in // max(1, segment.height * segment.breadth)


def laid_macs(segment: MapFields) -> int:
    """What laying out the maps of one row is charged: VALUE_MACS for each value, padding included."""
    return VALUE_MACS * laid_values(segment)


def laid_values(segment: MapFields) -> int:
    """The values of the maps of one row, padding included."""
    height, breadth = segment.height + 2 * segment.padding, segment.breadth + 2 * segment.padding
    return maps_read(segment) * height * breadth


def places(segment: MapFields) -> list[tuple[int, int]]:
    """The taps (v, u) of the kernel, row by row."""
    return [(v, u) for v in range(segment.kernel) for u in range(segment.kernel)]


def under(segment: MapFields, maps: Numbers, v: int, u: int) -> Numbers:
    """What every pixel that is made sees under one tap, of padded maps (…, height, breadth); a view."""
    down, right = (
        slice(first, first + segment.stride * (made(segment, length) - 1) + 1, segment.stride)
        for first, length in ((v, segment.height), (u, segment.breadth))
    )
    return maps[..., down, right]


def windows(segment: MapFields, maps: Numbers) -> Numbers:
    """What every pixel that is made sees under every tap, of padded maps (maps, rows, height, breadth).

    A read-only view (maps, kernel, kernel, height made, breadth made, rows).
    """
    kernel, step = segment.kernel, segment.stride
    seen = np.lib.stride_tricks.sliding_window_view(maps, (kernel, kernel), axis=(2, 3))
    view: Numbers = seen[:, :, ::step, ::step].transpose(0, 4, 5, 2, 3, 1)
    return view


def padded(segment: MapFields, x: Numbers) -> Numbers:
    """Values (rows, fan_in) as maps (maps, rows, height, breadth), with zeros around each map.

    The rows are the innermost axis in memory, so that every copy and product runs over long stretches of it,
    however small the maps are.
    """
    count, edge = len(x), segment.padding
    shape = (maps_read(segment), segment.height + 2 * edge, segment.breadth + 2 * edge, count)
    maps = np.zeros(shape, dtype=x.dtype) if edge else np.empty(shape, dtype=x.dtype)
    inside = maps[:, edge : edge + segment.height, edge : edge + segment.breadth]
    inside[...] = x.T.reshape(inside.shape)
    return maps.transpose(0, 3, 1, 2)


def row_chunks(rows: int, values: int) -> list[slice]:
    """The rows in chunks that take little memory, where a row takes so many values."""
    size = max(1, CHUNK_VALUES // values)
    return [slice(begin, begin + size) for begin in range(0, rows, size)]
