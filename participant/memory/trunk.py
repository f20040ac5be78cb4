"""The trunk: layers without learned weights, frozen at the founding, whose values every growth reads.

`convolution_trunk` is for square images. It finds edges of eight orientations (Gabor filters) and halves
their maps. One branch pools these to a quarter of the image's side. A second branch folds the phases of each
orientation into one map, looks for edges in these maps, and pools what it finds further. Both are joined and
mixed by a seeded ternary projection to a few hundred values of eight bits. `plain_trunk` has no layer:
growths read the features as they are, for tables and for a comparison without convolution.

Shifts and offsets are fitted to a sample of the founding's own classes, and to nothing that comes later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.dtypes import INT8
from engram.nn.growth import forward_frozen
from engram.nn.layers import ConvRelu, ConvRoot, DenseRelu, HiddenSegment, Output
from engram.nn.layers.reading import Interval
from engram.nn.network import Features, Parameters, SegmentParameters
from engram.nn.seeded import Seeded, expand
from engram.nn.spec import NetworkSpec, macs_per_row, neurons
from engram.participant.memory.checks import check_features, check_varied
from engram.participant.memory.errors import FeatureCountMismatch
from engram.participant.memory.filters import ORIENTATIONS, PHASES, gabor, window
from engram.primitives.types import Hash

TERNARY: Final = 2
"""The generator of uniform ternary weights, see `nn.seeded`."""
SAMPLE_ROWS: Final = 512
"""The most rows to which shifts are fitted."""
GOAL: Final = 220
"""What the larger accumulators of a sample become, of 255, after the shift."""
QUANTILE: Final = 99.95
"""Which accumulators of a sample count as large, in percent."""
MIDDLE: Final = 128
"""The mean of a projected value."""
SPREAD_GOAL: Final = 32.0
"""The standard deviation of the sample's projected values lies between a half of this and this."""
CHUNK_ROWS: Final = 500
"""So many rows are run through the trunk at once, so that memory does not grow with their number."""

_MAPS: Final = ORIENTATIONS * PHASES


@dataclass(frozen=True, eq=False)
class Trunk:
    """Hidden segments and their parameters; growths read the last layer, `values` neurons of eight bits."""

    inputs: int
    values: int
    hidden: tuple[HiddenSegment, ...]
    parameters: Parameters
    seeded: tuple[Seeded | None, ...]
    """For each segment, the seeded tensor that its weights are, or None if they have to travel."""

    @property
    def depth(self) -> int:
        """The layer that growths read; 0 stands for the features themselves."""
        return self.hidden[-1].layer if self.hidden else 0

    @property
    def macs_per_row(self) -> int:
        """Multiply-accumulates that the chain charges for the trunk on one row."""
        return macs_per_row(self._network()[0]) - macs_per_row(_bare(self.inputs, ())) if self.hidden else 0

    @property
    def neurons(self) -> int:
        return neurons(self._network()[0])

    def run(self, rows: Features) -> Features:
        """The values uint8 (n, values) that growths read, of rows uint8 (n, inputs), by the chain's network.

        Raises `FeatureCountMismatch`, `FeaturesNotIntegers`.
        """
        checked = check_features(rows, self.inputs)
        if not self.hidden:
            return checked
        spec, parameters = self._network()
        made = np.empty((len(checked), self.values), dtype=np.uint8)
        for begin in range(0, len(checked), CHUNK_ROWS):
            frozen = forward_frozen(spec, parameters, checked[begin : begin + CHUNK_ROWS])
            made[begin : begin + CHUNK_ROWS] = frozen.layers[self.depth]
        return made

    def _network(self) -> tuple[NetworkSpec, Parameters]:
        """The trunk as a network: with one output that weighs nothing, because networks have outputs."""
        spec = _bare(self.inputs, self.hidden)
        nothing = SegmentParameters(np.zeros((1, 1), np.int8), np.zeros(1, np.int32))
        return spec, (*self.parameters, nothing)


def trunk_in(spec: NetworkSpec, parameters: Parameters, segments: int) -> Trunk:
    """The trunk of a network of which so many hidden segments, at the front of its list, are the trunk.

    Raises `FeatureCountMismatch` if the network has fewer.
    """
    if not 0 <= segments <= len(spec.hidden):
        raise FeatureCountMismatch(
            "the network has fewer hidden segments", expected=segments, got=len(spec.hidden)
        )
    hidden = spec.hidden[:segments]
    values = hidden[-1].width if hidden else spec.inputs
    return Trunk(spec.inputs, values, hidden, parameters[:segments], (None,) * segments)


def plain_trunk(inputs: int) -> Trunk:
    """No layer at all: growths read the features."""
    return Trunk(inputs, inputs, (), (), ())


def convolution_trunk(
    sample: Features, *, seed: Hash, side: int = 28, values: int = 512, root: bool = True
) -> Trunk:
    """The trunk for square images of `side` pixels, which must be a multiple of 4 from 8 on.

    `sample` holds rows of the founding's classes, uint8 (n, side²). `root` passes the pooled values through a
    square root, which evens out strong and weak edges. Raises `FeatureCountMismatch`, `FeaturesNotIntegers`,
    `ConstantFeatures`.
    """
    if side % 4 or side < 8:
        raise FeatureCountMismatch(
            "the side of an image must be a multiple of 4", expected="8, 12, …", got=side
        )
    rows = check_features(sample, side * side)[:SAMPLE_ROWS]
    check_varied(rows)
    draft = _Draft(rows)
    edges = draft.add(
        ConvRelu(1, 0, side * side, side, side, _MAPS, 7, 1, 3, 1, 0, 8, 8),
        gabor(7, spread=1.8, frequency=1.2)[:, np.newaxis],
    )
    half = side // 2
    halved = draft.add(
        ConvRelu(2, edges.lo, edges.hi, side, side, _MAPS, 2, 2, 0, _MAPS, 0, 8, 8), _each(window(2), _MAPS)
    )
    near = draft.add(_pooling(halved, half, _MAPS, 4, 1, root), _each(window(4), _MAPS))
    folded = draft.add(
        ConvRelu(3, halved.lo, halved.hi, half, half, ORIENTATIONS, 1, 1, 0, ORIENTATIONS, 0, 8, 8),
        _phases(window(1), ORIENTATIONS),
    )
    crossed = ORIENTATIONS * _MAPS
    corners = draft.add(
        ConvRelu(4, folded.lo, folded.hi, half, half, crossed, 7, 2, 3, ORIENTATIONS, 0, 8, 8),
        np.tile(gabor(7, spread=1.8, frequency=1.2)[:, np.newaxis], (ORIENTATIONS, 1, 1, 1)),
    )
    far = draft.add(
        _pooling(corners, (half + 1) // 2, crossed // PHASES, 3, 1, root),
        _phases(window(3), crossed // PHASES),
    )
    draft.project(far, near, values, seed)
    return Trunk(side * side, values, *draft.made())


def _pooling(
    below: Interval, side: int, groups: int, kernel: int, edge: int, root: bool
) -> ConvRelu | ConvRoot:
    """A pooling to half the side."""
    kind = ConvRoot if root else ConvRelu
    return kind(below.layer + 1, below.lo, below.hi, side, side, groups, kernel, 2, edge, groups, 0, 8, 8)


def _each(weights: npt.NDArray[np.int8], maps: int) -> npt.NDArray[np.int8]:
    """The same window for every map."""
    return np.repeat(weights[np.newaxis, np.newaxis], maps, axis=0)


def _phases(weights: npt.NDArray[np.int8], groups: int) -> npt.NDArray[np.int8]:
    """The same window for every phase of every group."""
    return np.tile(weights[np.newaxis, np.newaxis], (groups, PHASES, 1, 1))


class _Draft:
    """A trunk that is being made: its segments so far, and what they give on the sample."""

    def __init__(self, sample: Features) -> None:
        self._layers: dict[int, npt.NDArray[np.float32]] = {0: sample.astype(np.float32)}
        self._segments: list[HiddenSegment] = []
        self._parameters: list[SegmentParameters] = []
        self._seeded: list[Seeded | None] = []

    def made(self) -> tuple[tuple[HiddenSegment, ...], Parameters, tuple[Seeded | None, ...]]:
        return tuple(self._segments), tuple(self._parameters), tuple(self._seeded)

    def add(self, segment: ConvRelu | ConvRoot, weights: npt.NDArray[np.signedinteger[Any]]) -> Interval:
        """Appends a segment with a fitted shift; the interval that it makes."""
        bias = np.zeros(segment.channels, dtype=np.int32)
        sums = self._sums(segment, weights, bias)
        goal = GOAL**2 if isinstance(segment, ConvRoot) else GOAL
        large = float(np.percentile(sums, QUANTILE))
        shift = int(np.ceil(np.log2(max(large, 1.0) / goal)))
        fitted = replace(segment, shift=min(max(shift, 0), 31))
        return self._append(fitted, weights, bias, sums, None)

    def project(self, far: Interval, near: Interval, values: int, seed: Hash) -> None:
        """Appends the projection of both branches: centred on MIDDLE, with a fitted shift."""
        fan_in = far.size + near.size
        seeded = Seeded(TERNARY, seed, INT8, (fan_in, values))
        weights = expand(seeded)
        segment = DenseRelu(far.layer + 1, far.lo, far.hi, values, 0, 8, 8, (near,))
        sums = self._sums(segment, weights, np.zeros(values, dtype=np.int32))
        spread = float(np.sqrt(np.mean(np.var(sums, axis=0))))
        shift = min(max(int(np.ceil(np.log2(max(spread, 1.0) / SPREAD_GOAL))), 0), 22)
        bias = np.rint((MIDDLE << shift) - sums.mean(axis=0)).astype(np.int32)
        fitted = replace(segment, shift=shift)
        self._append(fitted, weights, bias, sums + bias.astype(np.float32), seeded)

    def _sums(
        self, segment: HiddenSegment, weights: npt.NDArray[Any], bias: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float32]:
        """The accumulators on the sample."""
        read = [self._layers[each.layer][:, each.lo : each.hi] for each in segment.intervals]
        x = read[0] if len(read) == 1 else np.concatenate(read, axis=1)
        sums: npt.NDArray[np.float32] = segment.accumulate(
            x, weights.astype(np.float32), bias.astype(np.float32)
        )
        return sums

    def _append(
        self,
        segment: HiddenSegment,
        weights: npt.NDArray[Any],
        bias: npt.NDArray[np.int32],
        sums: npt.NDArray[np.float32],
        seeded: Seeded | None,
    ) -> Interval:
        values = sums.astype(np.int64)
        for step in segment.steps():
            values = step.exact(values)
        before = self._layers.get(segment.layer, np.empty((len(sums), 0), dtype=np.float32))
        self._layers[segment.layer] = np.concatenate([before, values.astype(np.float32)], axis=1)
        self._segments.append(segment)
        self._parameters.append(SegmentParameters(weights, bias))
        self._seeded.append(seeded)
        return Interval(segment.layer, before.shape[1], before.shape[1] + segment.width)


def _bare(inputs: int, hidden: tuple[HiddenSegment, ...]) -> NetworkSpec:
    layer = hidden[-1].layer if hidden else 0
    return NetworkSpec(inputs, 1, (), hidden, (Output(layer, 0, 1, 0, 1, 0, 8),))


def shifted_images(rows: Features, side: int) -> Iterator[Features]:
    """The images (n, side²) moved by one pixel up, down, left and right; what moves in is 0."""
    images = rows.reshape(-1, side, side)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        moved = padded[:, down : down + side, right : right + side]
        yield np.ascontiguousarray(moved).reshape(len(rows), side * side)
