"""Measures the recipe of a lasting memory: a frozen convolution that reads images, and banks that grow on it.

The network is the one that `participant.memory` founds for images of 28 x 28 pixels, with five banks of 1,000
neurons. It is compared with the same network in float32 numpy, which rounds nothing.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Row, interleaved
from benchmarks.samples import images
from engram.nn.growth import Growth, Policy, append, forward_frozen, forward_growth, merge_parameters
from engram.nn.layers import ConvRelu, ConvRoot, DenseRelu, DenseRoot, HiddenSegment, Output
from engram.nn.layers.maps import places, under
from engram.nn.loss import LossKind, score
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters, forward
from engram.nn.spec import NetworkLimits
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.head import whole_network
from engram.participant.memory.trunk import Trunk, convolution_trunk

Floats = npt.NDArray[np.float32]
BANKS = 5
WIDTH = 1_000
CHUNK_ROWS = 100
"""The float network works on so many rows at a time; more would not fit a processor's cache."""


def rows(quick: bool) -> Iterable[Row]:
    rng = np.random.default_rng(1)
    count, pairs = (200, 1) if quick else (2_000, 7)
    features, labels = images(rng, count), rng.integers(0, 10, count).astype(np.uint16)
    trunk = convolution_trunk(features, seed=bytes(32))
    banks = Banks(declare(trunk.run(features[:500]), seed=bytes(32), width=WIDTH, count=BANKS))
    base, old = _network(trunk, banks, BANKS - 1, rng)
    growth, added = _growth(base, trunk, banks, rng)
    grown = append(base, growth, policy=Policy.GATED, limits=NetworkLimits())
    whole = merge_parameters(base, old, growth, added)
    yield _against_floats(grown, whole, features, pairs)
    frozen = forward_frozen(base, old, features)
    kind = LossKind.SOFTMAX_CROSS_ENTROPY
    timed = interleaved(
        lambda: score(kind, forward_growth(base, frozen, growth, added), labels),
        lambda: score(kind, forward(grown, whole, features), labels),
        pairs,
    )
    ratio = 1 / timed.speed
    yield Row(
        "verify_growth_of_the_recipe_ms",
        timed.median_candidate_s * 1e3,
        timed.median_baseline_s * 1e3,
        ratio,
        "ratio <= 0.15",
        ratio <= 0.15,
    )


def _network(
    trunk: Trunk, banks: Banks, count: int, rng: np.random.Generator
) -> tuple[NetworkSpec, Parameters]:
    """The trunk with so many banks, and two classes for each."""
    segment, classes = banks.rule.segment(), 2 * count
    output = Output(1, 0, WIDTH * count, 0, classes, 0, 16)
    head = NetworkSpec(trunk.values, classes, (), (segment,) * count, (output,))
    numbers = (*banks.parameters[:count], _outputs(output, rng))
    return whole_network(trunk, head, numbers)


def _growth(
    base: NetworkSpec, trunk: Trunk, banks: Banks, rng: np.random.Generator
) -> tuple[Growth, Parameters]:
    """The last bank, two new classes that read all banks, and what the new bank adds to the old classes."""
    number, layer = BANKS - 1, trunk.depth + 1
    hidden = DenseRelu(layer, 0, trunk.values, WIDTH, banks.rule.shift, 8, 8)
    new = Output(layer, 0, WIDTH * BANKS, base.classes, 2, 0, 16)
    correction = Output(layer, WIDTH * number, WIDTH * BANKS, 0, base.classes, 0, 16)
    growth = Growth(2, (hidden,), (correction, new), ())
    return growth, (banks.parameters[number], _outputs(correction, rng), _outputs(new, rng))


def _outputs(output: Output, rng: np.random.Generator) -> SegmentParameters:
    weights, bias = output.parameter_shapes()
    return SegmentParameters(rng.integers(-99, 100, weights).astype(np.int16), np.zeros(bias, np.int32))


def _against_floats(
    spec: NetworkSpec, parameters: Parameters, features: npt.NDArray[np.uint8], pairs: int
) -> Row:
    floats = [(each.weights.astype(np.float32), each.bias.astype(np.float32)) for each in parameters]
    x = features.astype(np.float32)
    timed = interleaved(
        lambda: forward(spec, parameters, features), lambda: _float_logits(spec, floats, x), pairs
    )
    count = len(features)
    return Row(
        "recipe_rows_per_s_vs_float32",
        count / timed.median_candidate_s,
        count / timed.median_baseline_s,
        timed.speed,
        "ratio >= 0.90",
        timed.speed >= 0.90,
    )


def _float_logits(spec: NetworkSpec, parameters: list[tuple[Floats, Floats]], features: Floats) -> Floats:
    made = []
    for begin in range(0, len(features), CHUNK_ROWS):
        layers = [features[begin : begin + CHUNK_ROWS]]
        for layer in range(1, 1 + max(segment.layer for segment in spec.hidden)):
            parts = [
                _activated(segment, _sums(segment, _read(layers, segment), *given))
                for segment, given in zip(spec.hidden, parameters, strict=False)
                if segment.layer == layer
            ]
            layers.append(np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0])
        logits = np.zeros((len(layers[0]), spec.classes), np.float32)
        for output, (weights, bias) in zip(spec.outputs, parameters[len(spec.hidden) :], strict=True):
            columns = slice(output.first, output.first + output.width)
            logits[:, columns] += _read(layers, output) @ weights + bias
        made.append(logits)
    return np.concatenate(made)


def _read(layers: list[Floats], segment: HiddenSegment | Output) -> Floats:
    read = [layers[each.layer][:, each.lo : each.hi] for each in segment.intervals]
    return read[0] if len(read) == 1 else np.concatenate(read, axis=1)


def _sums(segment: HiddenSegment, x: Floats, weights: Floats, bias: Floats) -> Floats:
    if isinstance(segment, DenseRelu | DenseRoot):
        return x @ weights + bias
    assert isinstance(segment, ConvRelu | ConvRoot), "the recipe has dense layers and convolutions"
    edge, groups = segment.padding, segment.groups
    maps = x.reshape(len(x), -1, segment.height, segment.breadth).transpose(1, 0, 2, 3)
    laid = np.pad(maps, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    kernels = weights.reshape(groups, segment.channels // groups, -1)
    if kernels.shape[1] == 1 or segment.kernel == 1:
        sums = _tap_by_tap(segment, laid, kernels)
    else:
        taps = np.stack([under(segment, laid, v, u) for v, u in places(segment)], axis=1)
        sums = kernels @ taps.reshape(groups, kernels.shape[2], -1)
    sums = sums.reshape(segment.channels, len(x), -1) + bias[:, np.newaxis, np.newaxis]
    return sums.transpose(1, 0, 2).reshape(len(x), -1)


def _tap_by_tap(segment: ConvRelu | ConvRoot, laid: Floats, kernels: Floats) -> Floats:
    """Where a group makes one map, a product of matrices has one row: adding up maps is faster."""
    by_group = laid.reshape(segment.groups, -1, *laid.shape[1:])
    total: Floats | None = None
    for index in range(by_group.shape[1]):
        for place, (v, u) in enumerate(places(segment)):
            weight = kernels[:, 0, index * segment.kernel**2 + place]
            share = under(segment, by_group[:, index], v, u) * weight[:, None, None, None]
            total = share if total is None else np.add(total, share, out=total)
    assert total is not None, "a kernel has at least one tap"
    return total


def _activated(segment: HiddenSegment, sums: Floats) -> Floats:
    assert isinstance(segment, DenseRelu | DenseRoot | ConvRelu | ConvRoot), "the recipe has no other kinds"
    scale = np.float32(2.0**-segment.shift)
    np.multiply(sums, scale, out=sums)
    np.maximum(sums, 0, out=sums)
    return np.sqrt(sums, out=sums) if isinstance(segment, ConvRoot | DenseRoot) else sums
