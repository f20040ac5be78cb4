"""Which adjacent segments can be run as one, with the same results. It decides what they are charged.

A model that grows many times has many segments of one shape. Hidden segments that differ in width alone read
the same neurons: their products are the columns of one product. Output segments that feed the same components
and read one interval after the other add to the same sums: their products are the rows of one product. Such
neighbours in a list form a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.layers import DenseRelu, DenseRoot, DenseSquare, HiddenSegment, Output

S = TypeVar("S", bound=HiddenSegment | Output)

_DENSE = DenseRelu | DenseSquare | DenseRoot


def continues(before: HiddenSegment | Output, after: HiddenSegment | Output) -> bool:
    """Whether `after`, which stands next to `before` in a list of segments, belongs to the same run.

    Only dense kinds form runs. Hidden segments: all fields but the width are equal. Output segments: all
    fields but the interval are equal, each reads one interval, `after` the neurons that follow those of
    `before`, and nothing is rounded off (shift ≤ 0).
    """
    if type(before) is not type(after):
        return False
    if isinstance(before, Output):
        follows = after.lo == before.hi and not before.more
        return follows and before.shift <= 0 and _agree(before, after, "lo", "hi")
    return isinstance(before, _DENSE) and _agree(before, after, "width")


def _agree(before: HiddenSegment | Output, after: HiddenSegment | Output, *but: str) -> bool:
    """Whether two segments of a kind have equal fields but for these."""
    other = vars(after)
    return all(value == other[name] for name, value in vars(before).items() if name not in but)


def runs(segments: Sequence[S]) -> list[tuple[S, ...]]:
    """The segments in their order, as runs."""
    found: list[list[S]] = []
    for segment in segments:
        if found and continues(found[-1][-1], segment):
            found[-1].append(segment)
        else:
            found.append([segment])
    return [tuple(run) for run in found]


def interval_count(before: Sequence[S], segments: Sequence[S]) -> int:
    """How many intervals are read by the runs that `run_count` counts; a run reads what each of it reads."""
    found = runs((*before, *segments))
    return sum(len(run[0].intervals) for run in found) - sum(len(last.intervals) for last in before)


def run_count(before: Sequence[S], segments: Sequence[S]) -> int:
    """How many runs the segments add to a list that ends with `before`, which holds one segment or none."""
    return len(runs((*before, *segments))) - len(before)


def joined(run: Sequence[S]) -> S:
    """The one segment that does what the run does."""
    first, last = run[0], run[-1]
    if isinstance(first, Output):
        return replace(first, hi=last.hi)
    if isinstance(first, _DENSE):
        return replace(first, width=sum(segment.width for segment in run))
    assert len(run) == 1, "`continues` joins dense kinds only"
    return first


def joined_numbers(
    run: Sequence[HiddenSegment | Output], weights: Sequence[IntArray], biases: Sequence[IntArray]
) -> tuple[IntArray, IntArray]:
    """Weights and bias of `joined(run)`; the biases of outputs are added up, in int64."""
    if len(run) == 1:
        return weights[0], biases[0]
    if isinstance(run[0], Output):
        return np.concatenate(weights), np.sum(biases, axis=0, dtype=np.int64)
    return np.concatenate(weights, axis=1), np.concatenate(biases)


def joined_peak(run: Sequence[HiddenSegment | Output], peaks: Sequence[int]) -> int:
    """The peak of `joined(run)`: outputs add up, hidden segments stand side by side."""
    return sum(peaks) if isinstance(run[0], Output) else max(peaks)
