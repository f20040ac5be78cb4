"""Which neurons a segment reads: one interval of the layer below it, and then perhaps further ones.

The values of all intervals, one after the other, are what the segment's product runs over. So a segment can
join what two branches of a network have made. Further intervals stand in a fixed order, and none of them
touches another, so the same reading is written in one way only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Protocol

from engram.nn.errors import DimensionOutOfRange, IntervalsUnordered
from engram.primitives.types import U8, U32, Size

MAX_INTERVALS: Final = 16
"""The most intervals that one segment reads."""


@dataclass(frozen=True)
class Interval:
    """Neurons lo, …, hi - 1 of a layer; layer 0 is the inputs."""

    layer: U8
    lo: U32
    hi: U32

    @property
    def size(self) -> int:
        """The number of its neurons; 0 where a field that nobody has checked yet makes no sense."""
        return max(0, self.hi - self.lo)


Further = Annotated[tuple[Interval, ...], Size(0, MAX_INTERVALS - 1)]
"""What a segment reads after its first interval: of lower layers, or further up in the same layer."""


class _Fields(Protocol):
    @property
    def reads(self) -> int: ...
    @property
    def lo(self) -> int: ...
    @property
    def hi(self) -> int: ...
    @property
    def more(self) -> tuple[Interval, ...]: ...
    @property
    def intervals(self) -> tuple[Interval, ...]: ...


class Reading:
    """What every kind of segment says about the neurons that it reads."""

    @property
    def intervals(self: _Fields) -> tuple[Interval, ...]:
        """All intervals in the order in which their values are read."""
        return (Interval(self.reads, self.lo, self.hi), *self.more)

    @property
    def fan_in(self: _Fields) -> int:
        """The number of neurons that the segment reads."""
        return sum(interval.size for interval in self.intervals)

    def check_intervals(self: _Fields) -> None:
        """Refuses an empty interval, too many of them, or another order than the one that is allowed.

        The layers fall from interval to interval, or stay the same; within a layer, the neurons rise, with at
        least one between two intervals. Raises `DimensionOutOfRange`, `IntervalsUnordered`.
        """
        intervals = self.intervals
        if len(intervals) > MAX_INTERVALS:
            raise DimensionOutOfRange(
                "a segment reads too many intervals", expected=MAX_INTERVALS, got=len(intervals)
            )
        for each in intervals:
            if not 0 <= each.lo < each.hi:
                raise DimensionOutOfRange("a segment reads an empty interval", got=(each.lo, each.hi))
        for before, after in pairwise(intervals):
            if after.layer > before.layer or (after.layer == before.layer and after.lo <= before.hi):
                raise IntervalsUnordered(expected=(before.layer, before.hi + 1), got=(after.layer, after.lo))
