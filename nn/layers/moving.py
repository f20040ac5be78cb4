"""A segment as it is, but for the neurons that it reads: for segments that are put into another network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from engram.nn.layers import HiddenSegment, Interval, Output

S = TypeVar("S", bound=HiddenSegment | Output)


def reading(segment: S, intervals: Sequence[Interval]) -> S:
    """The segment with other intervals, of as many neurons; the first lies in the layer of its first one."""
    first, *more = intervals
    return replace(segment, lo=first.lo, hi=first.hi, more=tuple(more))
