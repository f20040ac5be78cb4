"""Networks, parameters and growths for tests: fixed small ones, and hypothesis strategies for random ones."""

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from engram.nn.evaluate import Features
from engram.nn.growth import Growth, grown_spec
from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    DenseSquare,
    HiddenSegment,
    Interval,
    MaxPool,
    Output,
)
from engram.nn.logits import GATE
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.spec import NetworkLimits

LIMITS = NetworkLimits()

TWO_LAYERS = NetworkSpec(
    inputs=12,
    classes=3,
    components=(0, 1, 2, 1),
    hidden=(
        DenseRelu(layer=1, lo=0, hi=12, width=6, shift=5, bits=8, weight_bits=8),
        DenseSquare(layer=1, lo=3, hi=9, width=4, s1=4, h=9, s2=6, bits=10, weight_bits=16),
        DenseRelu(layer=2, lo=2, hi=10, width=5, shift=0, bits=16, weight_bits=8),
    ),
    outputs=(
        Output(layer=2, lo=0, hi=5, first=0, width=4, shift=-2, weight_bits=8),
        Output(layer=1, lo=1, hi=7, first=1, width=2, shift=3, weight_bits=16),
        Output(layer=0, lo=0, hi=12, first=3, width=1, shift=0, weight_bits=8),
    ),
)
"""All layer kinds and weight widths, skip connections, both output shifts, a class of two components."""

GROWTH = Growth(
    classes=2,
    hidden=(
        DenseRelu(layer=1, lo=0, hi=12, width=3, shift=6, bits=8, weight_bits=8),
        DenseSquare(layer=2, lo=4, hi=13, width=2, s1=7, h=8, s2=5, bits=8, weight_bits=8),
        DenseRelu(layer=3, lo=0, hi=7, width=4, shift=4, bits=8, weight_bits=8),
    ),
    outputs=(
        Output(layer=1, lo=0, hi=13, first=4, width=3, shift=1, weight_bits=8),
        Output(layer=3, lo=0, hi=4, first=5, width=1, shift=0, weight_bits=8),
    ),
    components=(3, 4, 3),
)
"""On `TWO_LAYERS`: reads old and new neurons, adds a layer, gives one new class two components."""

RELATIVE = Growth(
    classes=2,
    hidden=GROWTH.hidden,
    outputs=(
        Output(layer=1, lo=0, hi=13, first=4, width=4, shift=1, weight_bits=8),
        Output(layer=3, lo=0, hi=4, first=6, width=1, shift=0, weight_bits=8),
    ),
    components=(GATE, 3, 4, 3),
)
"""As `GROWTH`, with a gate before the new classes."""


BESIDE = Growth(
    classes=2,
    hidden=(
        DenseRelu(layer=2, lo=3, hi=10, width=2, shift=5, bits=8, weight_bits=8),
        DenseRelu(layer=1, lo=2, hi=9, width=3, shift=3, bits=8, weight_bits=16),
        DenseRelu(layer=2, lo=8, hi=13, width=1, shift=4, bits=8, weight_bits=8),
    ),
    outputs=(
        Output(layer=2, lo=4, hi=8, first=4, width=3, shift=-3, weight_bits=8, more=(Interval(1, 0, 12),)),
        Output(layer=0, lo=0, hi=12, first=5, width=2, shift=0, weight_bits=8),
    ),
    components=(3, 4, 3),
)
"""On `TWO_LAYERS`, of the same components as `GROWTH`; two segments read old and new neurons together."""

BESIDE_RELATIVE = Growth(
    classes=2,
    hidden=BESIDE.hidden,
    outputs=(
        Output(layer=2, lo=4, hi=8, first=4, width=4, shift=-3, weight_bits=8, more=(Interval(1, 0, 12),)),
    ),
    components=(GATE, 3, 4, 3),
)
"""Likewise, with the components of `RELATIVE`."""


def random_parameters(
    spec: NetworkSpec,
    segments: Sequence[HiddenSegment | Output],
    rng: np.random.Generator,
    share: float = 1.0,
) -> Parameters:
    """Uniform parameters of some segments of a network, within `share` of what the bounds surely allow."""
    parameters = []
    for segment in segments:
        shape, columns = segment.parameter_shapes()
        room, operand = share * 2**30, spec.totals.operand(segment)
        terms = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
        weight = min(2 ** (segment.weight_bits - 1) - 1, int(room) // (terms * operand))
        weights = rng.integers(-weight, weight + 1, shape).astype(f"int{segment.weight_bits}")
        bias = rng.integers(-int(room) // 4, int(room) // 4 + 1, columns).astype(np.int32)
        parameters.append(SegmentParameters(weights, bias))
    return tuple(parameters)


def network_parameters(spec: NetworkSpec, seed: int = 0, share: float = 2.0**-12) -> Parameters:
    """Parameters of every segment of a network, fixed by a seed."""
    return random_parameters(spec, (*spec.hidden, *spec.outputs), np.random.default_rng(seed), share)


def growth_parameters(
    spec: NetworkSpec, growth: Growth, seed: int = 1, share: float = 2.0**-12
) -> Parameters:
    """Parameters of every segment of a growth of `spec`, fixed by a seed."""
    segments = (*growth.hidden, *growth.outputs)
    return random_parameters(grown_spec(spec, growth), segments, np.random.default_rng(seed), share)


def random_features(inputs: int, rows: int, seed: int = 2) -> Features:
    """Uniform features; the first rows are all 0 and all 255."""
    features = np.random.default_rng(seed).integers(0, 256, (rows, inputs), dtype=np.uint8)
    features[:1], features[1:2] = 0, 255
    return features


@st.composite
def networks(draw: st.DrawFn, inputs: int | None = None) -> NetworkSpec:
    """Valid networks of up to three hidden layers, with segments in any order that their reading allows."""
    inputs = draw(st.integers(1, 8)) if inputs is None else inputs
    classes = draw(st.integers(1, 4))
    components = draw(st.just(()) | st.lists(st.integers(0, classes - 1), max_size=3).map(tuple))
    if components:
        components = (*range(classes), *components)
    widths = {0: inputs}
    hidden = []
    for _ in range(draw(st.integers(0, 4))):
        segment = draw(hidden_segments(widths, deepest=3))
        widths[segment.layer] = widths.get(segment.layer, 0) + segment.width
        hidden.append(segment)
    count = len(components) or classes
    outputs = draw(st.lists(output_segments(widths, count), min_size=1, max_size=4))
    return NetworkSpec(inputs, classes, components, tuple(hidden), tuple(outputs))


@st.composite
def hidden_segments(draw: st.DrawFn, widths: dict[int, int], deepest: int) -> HiddenSegment:
    """A hidden segment over layers of these widths."""
    layer = 1 + draw(st.sampled_from(sorted(number for number in widths if number < deepest)))
    lo, hi = draw(intervals(widths[layer - 1]))
    bits, weight_bits = draw(st.integers(1, 16)), draw(st.sampled_from((8, 16)))
    shift, shifts = draw(st.integers(0, 24)), (draw(st.integers(1, 15)), draw(st.integers(0, 24)))
    relu, square, sqrt = (shift, bits), (shift, *shifts, bits), (shift, (bits + 1) // 2)
    kind = draw(st.sampled_from(("relu", "square", "root", "pool")))
    if kind != "pool" and draw(st.booleans()):
        width, more = draw(st.integers(1, 4)), draw(further(widths, layer - 1, hi))
        if kind == "relu":
            return DenseRelu(layer, lo, hi, width, *relu, weight_bits, more)
        if kind == "square":
            return DenseSquare(layer, lo, hi, width, *square, weight_bits, more)
        return DenseRoot(layer, lo, hi, width, *sqrt, weight_bits, more)
    shape = draw(convolutions(hi - lo))
    lo = hi - (hi - lo) // (shape[0] * shape[1]) * shape[0] * shape[1]
    if kind == "relu":
        return ConvRelu(layer, lo, hi, *shape, *relu, weight_bits)
    if kind == "square":
        return ConvSquare(layer, lo, hi, *shape, *square, weight_bits)
    if kind == "root":
        return ConvRoot(layer, lo, hi, *shape, *sqrt, weight_bits)
    return MaxPool(layer, lo, hi, *shape[:2], *shape[3:6], *relu, weight_bits)


@st.composite
def further(draw: st.DrawFn, widths: dict[int, int], layer: int, end: int) -> tuple[Interval, ...]:
    """Further intervals after one that ends at neuron `end` of a layer; mostly none."""
    found = []
    if draw(st.booleans()):
        if end + 1 < widths[layer] and draw(st.booleans()):
            found.append(Interval(layer, end + 1, draw(st.integers(end + 2, widths[layer]))))
        for below in sorted((number for number in widths if number < layer), reverse=True):
            if draw(st.booleans()):
                found.append(Interval(below, *draw(intervals(widths[below]))))
    return tuple(found)


@st.composite
def convolutions(draw: st.DrawFn, neurons: int) -> tuple[int, int, int, int, int, int, int]:
    """Height, breadth, channels, kernel, stride, padding and groups of a convolution over so many neurons."""
    height = draw(st.integers(1, min(3, neurons)))
    breadth = draw(st.integers(1, min(3, neurons // height)))
    maps = neurons // (height * breadth)
    groups = draw(st.sampled_from([each for each in range(1, maps + 1) if maps % each == 0]))
    channels = groups * draw(st.integers(1, 2))
    padding = draw(st.integers(0, 1))
    kernel = draw(st.integers(padding + 1, max(padding + 1, min(height, breadth) + 2 * padding)))
    return height, breadth, channels, kernel, draw(st.integers(1, kernel)), padding, groups


@st.composite
def output_segments(draw: st.DrawFn, widths: dict[int, int], components: int, least: int = 0) -> Output:
    """An output segment over layers of these widths, into components from `least` on."""
    layer = draw(st.sampled_from(sorted(widths)))
    lo, hi = draw(intervals(widths[layer]))
    first, end = draw(intervals(components - least))
    shift, weight_bits = draw(st.integers(-16, 31)), draw(st.sampled_from((8, 16)))
    more = draw(further(widths, layer, hi))
    return Output(layer, lo, hi, least + first, end - first, shift, weight_bits, more)


@st.composite
def intervals(draw: st.DrawFn, size: int) -> tuple[int, int]:
    """A non-empty interval [lo, hi) within [0, size)."""
    lo = draw(st.integers(0, size - 1))
    return lo, draw(st.integers(lo + 1, size))


@st.composite
def strict_growths(
    draw: st.DrawFn,
    spec: NetworkSpec,
    widths: dict[int, int],
    *,
    gate: bool = False,
    beside: Growth | None = None,
) -> Growth:
    """Growths of new classes that the strict policy allows on `spec`, whose layers have these widths.

    With `gate`, they are those that the relative policy allows. With `beside`, they add the same classes and
    components as this growth.
    """
    classes = draw(st.integers(1, 3)) if beside is None else beside.classes
    extra = draw(st.lists(st.integers(spec.classes, spec.classes + classes - 1), max_size=2).map(tuple))
    components = (*range(spec.classes, spec.classes + classes), *extra) if extra or gate else ()
    components = (GATE, *components) if gate else components
    components = components if beside is None else beside.components
    made = dict(widths)
    hidden = []
    for _ in range(draw(st.integers(0, 3))):
        segment = draw(hidden_segments(made, deepest=4))
        made[segment.layer] = made.get(segment.layer, 0) + segment.width
        hidden.append(segment)
    old = len(spec.components) or spec.classes
    total = old + (len(components) or classes)
    outputs = draw(st.lists(output_segments(made, total, least=old), min_size=1, max_size=3))
    return Growth(classes, tuple(hidden), tuple(outputs), components)
