"""Runs the segments of a network over rows in chunks, from the start or on top of kept results.

Frozen segments never change, so what they compute on given rows never changes either. `FrozenActivations`
keeps these values; evaluating a growth then runs the new segments only, and gives the same integers as
running the whole network. Which segments a growth may append is decided in `growth`, not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from engram.nn.errors import ShapeMismatch
from engram.nn.fixed import Int64Array
from engram.nn.gemm import Arithmetic, Kernel
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.joining import joined, joined_numbers, joined_peak, runs
from engram.nn.layers.segment import Numbers
from engram.nn.logits import logits_of
from engram.nn.parameters import Bounds, Parameters, SegmentParameters
from engram.nn.spec import NetworkSpec, chunk_rows, component_count, first_neurons, layer_widths

Features = npt.NDArray[np.uint8]
Layer = npt.NDArray[np.unsignedinteger[Any]]
S = TypeVar("S", bound=HiddenSegment | Output)


@dataclass(frozen=True, eq=False)
class FrozenActivations:
    """Everything that the first segments of a network compute on some rows; appended segments start from it.

    It depends only on these segments, their parameters and the rows, so it may be cached under their ids.
    """

    hidden: int
    """The number of hidden segments that have been computed."""
    outputs: int
    """The number of output segments that have been computed."""
    layers: tuple[Layer, ...]
    """The features (n, inputs), then each hidden layer (n, width): uint8 if all its segments make at most 8
    bits, otherwise uint16.
    """
    sums: Int64Array
    """The component sums (n, components) in Q16 nats, before maximum and clip: a growth may add to them."""

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of inputs, then of the neurons of each hidden layer that have been computed."""
        return tuple(layer.shape[1] for layer in self.layers)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.sums)

    @property
    def size_bytes(self) -> int:
        """The bytes of memory that everything except the features takes."""
        return sum(layer.nbytes for layer in self.layers[1:]) + self.sums.nbytes

    def counted(self, hidden: int, outputs: int) -> FrozenActivations:
        """The same values, said to be of so many segments: for those of a `joined_network`."""
        return replace(self, hidden=hidden, outputs=outputs)

    def on_host(self) -> FrozenActivations:
        """These very values: numpy has them in this machine's memory already."""
        return self


def frozen_size_bytes(spec: NetworkSpec, rows: int) -> int:
    """What `FrozenActivations.size_bytes` will be for a network on so many rows."""
    widths = enumerate(layer_widths(spec)[1:], 1)
    stored = sum(width * _stored_type(spec, number).itemsize for number, width in widths)
    return rows * (stored + 8 * component_count(spec))


def unstarted(spec: NetworkSpec, features: Features) -> FrozenActivations:
    """The start of an evaluation in which no segment has been computed yet.

    Raises `ShapeMismatch` if the features are not uint8 (n, inputs).
    """
    if features.dtype != np.uint8 or features.ndim != 2 or features.shape[1] != spec.inputs:
        raise ShapeMismatch(
            "the features are not rows of this network's inputs",
            expected=("uint8", "n", spec.inputs),
            got=(str(features.dtype), *features.shape),
        )
    return FrozenActivations(0, 0, (features,), np.zeros((len(features), 0), dtype=np.int64))


def resume(
    spec: NetworkSpec,
    parameters: Parameters,
    peaks: Sequence[int],
    start: FrozenActivations,
    arithmetic: Arithmetic,
) -> Int64Array:
    """Logits (n, classes) int64 of the whole network; runs only the segments that `start` does not hold.

    `parameters` and `peaks` are those of the segments to run, hidden segments first. Rows are run in chunks,
    so apart from the result the memory does not grow with their number.
    """
    logits = np.empty((len(start.sums), spec.classes), dtype=np.int64)
    for rows, _, sums in _chunks(_plan(spec, parameters, peaks, start, arithmetic), start):
        logits[rows] = logits_of(spec.components, sums)
    return logits


def run_and_keep(
    spec: NetworkSpec,
    parameters: Parameters,
    peaks: Sequence[int],
    features: Features,
    arithmetic: Arithmetic,
) -> FrozenActivations:
    """Runs the whole network, and keeps the activations of every layer and the component sums."""
    start, count = unstarted(spec, features), len(features)
    kept = [
        np.empty((count, width), dtype=_stored_type(spec, number))
        for number, width in enumerate(layer_widths(spec)[1:], 1)
    ]
    sums = np.empty((count, component_count(spec)), dtype=np.int64)
    for rows, layers, chunk_sums in _chunks(_plan(spec, parameters, peaks, start, arithmetic), start):
        sums[rows] = chunk_sums
        for number, store in enumerate(kept, 1):
            store[rows] = layers[number]
    return FrozenActivations(len(spec.hidden), len(spec.outputs), (features, *kept), sums)


def joined_network(
    spec: NetworkSpec, parameters: Parameters, bounds: Bounds
) -> tuple[NetworkSpec, Parameters, Bounds]:
    """The same network with each run of segments as one segment: it computes the same values.

    Its outputs may have biases of more than 32 bits, so it is for evaluation only. A network that has grown
    often, and is evaluated often, is put into this form once.
    """
    split = len(spec.hidden)
    hidden, hidden_numbers, hidden_peaks = joined_segments(spec.hidden, parameters[:split], bounds.hidden)
    outputs, output_numbers, output_peaks = joined_segments(spec.outputs, parameters[split:], bounds.outputs)
    whole = NetworkSpec(spec.inputs, spec.classes, spec.components, hidden, outputs)
    return whole, hidden_numbers + output_numbers, Bounds(hidden_peaks, output_peaks)


def joined_segments(
    segments: Sequence[S], parameters: Parameters, peaks: Sequence[int]
) -> tuple[tuple[S, ...], Parameters, tuple[int, ...]]:
    """Each run of the segments as one segment, with its numbers and its peak.

    The numbers of a segment that is alone in its run are the very ones that were given.
    """
    found: list[S] = []
    numbers, highest, begin = [], [], 0
    for run in runs(segments):
        end = begin + len(run)
        given = parameters[begin:end]
        if len(run) > 1:
            weights, bias = joined_numbers(
                run, [each.weights for each in given], [each.bias for each in given]
            )
            given = (SegmentParameters(weights, bias),)
        found.append(joined(run))
        numbers.append(given[0])
        highest.append(joined_peak(run, peaks[begin:end]))
        begin = end
    return tuple(found), tuple(numbers), tuple(highest)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be run: the segments in the arithmetic's form, and the layers that they read and make."""

    hidden: tuple[tuple[HiddenSegment, Kernel, int], ...]
    """A run of segments as one, its kernel, the index of its first neuron in its layer."""
    outputs: tuple[tuple[Output, Kernel, np.dtype[Any]], ...]
    """A run of segments as one, its kernel, the element type of its accumulators."""
    loads: tuple[tuple[int, int, int], ...]
    """Layer, lo, hi: the columns of the kept layers that some segment to run reads."""
    firsts: tuple[int, ...]
    """For each layer, the neuron with which its buffer begins."""
    widths: tuple[int, ...]
    components: int
    chunk_rows: int
    dtype: np.dtype[Any]
    """The element type in which activations are kept between segments."""


def _plan(
    spec: NetworkSpec,
    parameters: Parameters,
    peaks: Sequence[int],
    start: FrozenActivations,
    arithmetic: Arithmetic,
) -> _Plan:
    hidden, outputs = spec.hidden[start.hidden :], spec.outputs[start.outputs :]
    split, widths = len(hidden), layer_widths(spec)
    made = [*start.widths, *[0] * (len(widths) - len(start.widths))]
    placed = []
    for segment, kernel, _ in _kernels(hidden, parameters[:split], peaks[:split], arithmetic):
        placed.append((segment, kernel, made[segment.layer]))
        made[segment.layer] += segment.width
    fed = [
        (segment, kernel, arithmetic.accumulators(peak))
        for segment, kernel, peak in _kernels(outputs, parameters[split:], peaks[split:], arithmetic)
    ]
    whole = (*(segment for segment, _, _ in placed), *(segment for segment, _, _ in fed))
    resumed = start.hidden or start.outputs
    firsts = first_neurons(widths, start.widths, whole) if resumed else (0,) * len(widths)
    return _Plan(
        tuple(placed),
        tuple(fed),
        _loads(whole, start),
        firsts,
        widths,
        component_count(spec),
        chunk_rows(sum(widths) - sum(firsts), component_count(spec)),
        arithmetic.activations,
    )


def _kernels(
    segments: Sequence[S], parameters: Parameters, peaks: Sequence[int], arithmetic: Arithmetic
) -> Iterator[tuple[S, Kernel, int]]:
    """Each run of the segments as one segment, with its kernel and its peak."""
    for whole, given, peak in zip(*joined_segments(segments, parameters, peaks), strict=True):
        yield whole, arithmetic.kernel(whole, given.weights, given.bias, peak), peak


def _loads(
    segments: Sequence[HiddenSegment | Output], start: FrozenActivations
) -> tuple[tuple[int, int, int], ...]:
    """For each kept layer, the columns that some of `segments` reads there, as disjoint intervals."""
    loads: list[tuple[int, int, int]] = []
    for number, layer in enumerate(start.layers):
        end = 0
        read = (each for segment in segments for each in segment.intervals if each.layer == number)
        for lo, hi in sorted((each.lo, each.hi) for each in read):
            begin, end = max(lo, end), max(end, min(hi, layer.shape[1]))
            if begin < end:
                loads.append((number, begin, end))
    return tuple(loads)


def _chunks(plan: _Plan, start: FrozenActivations) -> Iterator[tuple[slice, Sequence[Numbers], Int64Array]]:
    """For each chunk: its row range, layers and component sums, in buffers that the next chunk overwrites."""
    count, old = start.sums.shape
    size = max(1, min(plan.chunk_rows, count))
    kept = zip(plan.widths, plan.firsts, strict=True)
    buffers = [np.empty((size, width - first), dtype=plan.dtype) for width, first in kept]
    sums_buffer = np.empty((size, plan.components), dtype=np.int64)
    for begin in range(0, count, size):
        rows = slice(begin, min(begin + size, count))
        layers = [buffer[: rows.stop - begin] for buffer in buffers]
        sums = sums_buffer[: rows.stop - begin]
        for number, lo, hi in plan.loads:
            first = plan.firsts[number]
            layers[number][:, lo - first : hi - first] = start.layers[number][rows, lo:hi]
        sums[:, :old] = start.sums[rows]
        sums[:, old:] = 0
        _run_chunk(plan, layers, sums)
        yield rows, layers, sums


def _run_chunk(plan: _Plan, layers: Sequence[Numbers], sums: Int64Array) -> None:
    """Fills the new columns of `layers` and adds the new outputs to `sums`, for one chunk of rows."""
    firsts = plan.firsts
    for segment, kernel, column in plan.hidden:
        begin, end = column - firsts[segment.layer], column - firsts[segment.layer] + segment.width
        kernel(_read(plan, layers, segment), layers[segment.layer][:, begin:end])
    for output, kernel, dtype in plan.outputs:
        accumulators = np.empty((len(sums), output.width), dtype=dtype)
        kernel(_read(plan, layers, output), accumulators)
        sums[:, output.first : output.first + output.width] += output.scaled(accumulators.astype(np.int64))


def _read(plan: _Plan, layers: Sequence[Numbers], segment: HiddenSegment | Output) -> Numbers:
    """The columns that a segment reads, its intervals side by side."""
    columns = [
        layers[each.layer][:, each.lo - plan.firsts[each.layer] : each.hi - plan.firsts[each.layer]]
        for each in segment.intervals
    ]
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def _stored_type(spec: NetworkSpec, number: int) -> np.dtype[np.unsignedinteger[Any]]:
    most = max(value for _, value in spec.totals.stretches[number])
    return np.dtype(np.uint8 if most < 256 else np.uint16)
