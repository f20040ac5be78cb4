"""What is added up over the segments of a network. A growth adds to it; nothing is added up again.

A network may be looked at before it is checked, so no sum here depends on valid fields, and none of them
takes memory by the size of a field.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Final

from engram.nn.dtypes import INT8, INT16, INT32
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.joining import interval_count, run_count
from engram.nn.tensor import tensor_size

INPUT_MAX: Final = 255
"""The largest input feature: features are uint8."""

Stretch = tuple[int, int]
"""A number of neighbouring neurons, and the largest value that each of them can have."""


@dataclass(frozen=True)
class Totals:
    """Sums over all segments of a network, hidden ones and outputs."""

    stretches: tuple[tuple[Stretch, ...], ...]
    """The neurons of each layer, beginning with layer 0, the inputs: 255 is the largest input."""
    macs_per_row: int
    """Multiply-accumulates that the segments are charged for one row."""
    parameter_bytes: int
    """Canonical bytes of all tensors, seeded ones included."""
    segments: int
    runs: int
    """How many runs the segments form, see `layers.joining`."""
    intervals: int
    """How many intervals these runs read."""

    @classmethod
    def of(cls, inputs: int, hidden: Sequence[HiddenSegment], outputs: Sequence[Output]) -> Totals:
        """The totals of a network with these segments."""
        return cls((((inputs, INPUT_MAX),),), 0, 0, 0, 0, 0).appended((), hidden, (), outputs)

    @cached_property
    def _ends(self) -> tuple[tuple[int, ...], ...]:
        """For each layer, the number of neurons up to the end of each stretch."""
        return tuple(tuple(accumulate(count for count, _ in layer)) for layer in self.stretches)

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of neurons of each layer, beginning with layer 0, the inputs."""
        return tuple(ends[-1] if ends else 0 for ends in self._ends)

    def operand(self, segment: HiddenSegment | Output) -> int:
        """The largest value that a neuron which the segment reads can have."""
        return max(self.largest(each.layer, each.lo, each.hi) for each in segment.intervals)

    def largest(self, layer: int, lo: int, hi: int) -> int:
        """The largest value that a neuron lo, …, hi - 1 of a layer can have; 0 where there is none.

        Looks at nothing but the stretches between lo and hi, of which a layer may have thousands.
        """
        ends = self._ends[layer]
        read = self.stretches[layer][bisect_right(ends, lo) : bisect_left(ends, hi) + 1]
        return max((value for _, value in read), default=0)

    def appended(
        self,
        last_hidden: Sequence[HiddenSegment],
        hidden: Sequence[HiddenSegment],
        last_output: Sequence[Output],
        outputs: Sequence[Output],
    ) -> Totals:
        """The totals with these segments at the end of the lists, of which the last ones so far are given."""
        layers = [list(layer) for layer in self.stretches]
        for segment in hidden:
            layers += [[] for _ in range(segment.layer + 1 - len(layers))]
            _add(layers[segment.layer], segment.width, (1 << segment.bits) - 1)
        segments = (*hidden, *outputs)
        return Totals(
            tuple(map(tuple, layers)),
            self.macs_per_row + sum(segment.macs_per_row() for segment in segments),
            self.parameter_bytes + sum(tensor_bytes_of(segment) for segment in segments),
            self.segments + len(segments),
            self.runs + run_count(last_hidden, hidden) + run_count(last_output, outputs),
            self.intervals + interval_count(last_hidden, hidden) + interval_count(last_output, outputs),
        )


def weight_code(segment: HiddenSegment | Output) -> int:
    """Element type of a segment's weight tensor; a bias is always `INT32`."""
    return INT8 if segment.weight_bits == 8 else INT16


def tensor_bytes_of(segment: HiddenSegment | Output) -> int:
    """Canonical bytes of the two tensors of a segment."""
    weights, bias = segment.parameter_shapes()
    return tensor_size(weight_code(segment), weights) + tensor_size(INT32, bias)


def _add(layer: list[Stretch], count: int, value: int) -> None:
    if layer and layer[-1][1] == value:
        layer[-1] = (layer[-1][0] + count, value)
    else:
        layer.append((count, value))
