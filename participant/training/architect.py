"""Makes untrained networks and growths: random weights, and shifts fitted to a sample of rows.

A shift divides a neuron's sum by a power of two. It is chosen so that the activations of the sample fill a
fair part of their range and the first logits have a standard deviation of about 0.7 nat. Then one learning
rate suits every segment (see `qat.py`), and training starts without neurons that are always zero or always at
their limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engram.nn.growth import Growth
from engram.nn.layers import DenseRelu, HiddenSegment, Output
from engram.nn.network import Parameters, SegmentParameters
from engram.nn.spec import NetworkSpec, component_count
from engram.participant.datasets import Dataset
from engram.participant.errors import NotEnoughRows
from engram.participant.training.layers import kind_of
from engram.participant.training.qat import FINENESS
from engram.participant.training.shapes import Reach, growth_shape, hidden_segment

SAMPLE_ROWS = 512
"""The most rows to which shifts are fitted."""
HIDDEN_SPREAD = 30.0
"""Standard deviation of fresh hidden weights, in integer steps of int8."""
OUTPUT_SPREAD = 20.0
"""Standard deviation of fresh output weights, in integer steps of int8."""
ACTIVATION_GOAL = 40.0
"""Wanted standard deviation of an accumulator after its shift, for activations of 8 bits."""
LOGIT_GOAL = 0.7 * 2**16
"""Wanted standard deviation of fresh logits, in Q16 nats."""


def dense_network(
    sample: Dataset,
    hidden: Sequence[int],
    classes: int,
    rng: np.random.Generator,
    *,
    kind: type[HiddenSegment] = DenseRelu,
    weight_bits: int = 8,
) -> tuple[NetworkSpec, Parameters]:
    """A fresh fully connected network with hidden layers of widths `hidden`; shifts fitted to `sample`.

    Parameters come in the order of the segments: hidden ones by layer, then the output. Raises
    `NotEnoughRows` for an empty sample.
    """
    x = _sample(sample, rng)
    segments: list[HiddenSegment] = []
    parameters: list[SegmentParameters] = []
    for layer, width in enumerate(hidden, start=1):
        segment = hidden_segment(kind, layer, x.shape[1], width, weight_bits)
        fitted, drawn = _fresh_hidden(segment, x, rng)
        segments.append(fitted)
        parameters.append(drawn)
        x = _activations(fitted, drawn, x)
    output = Output(len(hidden), 0, x.shape[1], 0, classes, 0, weight_bits)
    fitted_output, drawn = _fresh_output(output, x, rng)
    spec = NetworkSpec(sample.inputs, classes, (), tuple(segments), (fitted_output,))
    return spec, (*parameters, drawn)


def grown_network(
    spec: NetworkSpec,
    activations: Sequence[npt.NDArray[np.float32]],
    neurons: int,
    new_classes: int,
    rng: np.random.Generator,
    reach: Reach,
) -> tuple[Growth, Parameters]:
    """A fresh growth of the shape that `growth_shape` gives, and the parameters of its segments.

    `activations` holds the frozen network's activations on one sample of rows, layer by layer, each (rows,
    width); layer 0 is the features. Weights from new neurons to old classes begin at zero, so that at first
    no old logit changes.
    """
    shape = growth_shape(spec, neurons, new_classes, reach)
    hidden: list[HiddenSegment] = []
    parameters: list[SegmentParameters] = []
    layers = list(activations[:2]) if len(activations) > 1 else [activations[0], activations[0][:, :0]]
    for segment in shape.hidden:
        fitted, drawn = _fresh_hidden(segment, layers[0], rng)
        hidden.append(fitted)
        parameters.append(drawn)
        layers[1] = np.concatenate([layers[1], _activations(fitted, drawn, layers[0])], axis=1)
    outputs = []
    for output in shape.outputs:
        fitted_output, drawn = _fresh_output(output, layers[output.layer], rng)
        if output.first < component_count(spec):
            drawn = SegmentParameters(np.zeros_like(drawn.weights), drawn.bias)
        outputs.append(fitted_output)
        parameters.append(drawn)
    return Growth(new_classes, tuple(hidden), tuple(outputs), shape.components), tuple(parameters)


def _sample(data: Dataset, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    if data.rows == 0:
        raise NotEnoughRows("there is no row to fit a network to", expected="1 or more", got=0)
    index = rng.permutation(data.rows)[:SAMPLE_ROWS]
    return data.features[index].astype(np.float32)


def _fresh_hidden(
    segment: HiddenSegment, x: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[HiddenSegment, SegmentParameters]:
    drawn = _draw(segment, HIDDEN_SPREAD, rng)
    weights, bias = drawn.weights.astype(np.float32), drawn.bias.astype(np.float32)
    spread = float(segment.accumulate(x[:, segment.lo : segment.hi], weights, bias).std())
    shift = min(max(round(np.log2(max(spread, 1.0) / ACTIVATION_GOAL)), 0), 31)
    if isinstance(segment, DenseRelu):
        return replace(segment, shift=shift), drawn
    return replace(segment, s1=shift), drawn


def _fresh_output(
    segment: Output, x: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[Output, SegmentParameters]:
    drawn = _draw(segment, OUTPUT_SPREAD, rng)
    weights, bias = drawn.weights.astype(np.float32), drawn.bias.astype(np.float32)
    spread = float(segment.accumulate(x[:, segment.lo : segment.hi], weights, bias).std())
    shift = round(np.log2(max(spread, 1.0) / LOGIT_GOAL))
    return replace(segment, shift=min(max(shift, -16), 31)), drawn


def _draw(segment: HiddenSegment | Output, spread: float, rng: np.random.Generator) -> SegmentParameters:
    shape, bias_shape = segment.parameter_shapes()
    if segment.weight_bits == 8:
        weights = np.clip(np.rint(rng.normal(0, spread, shape)), -127, 127).astype(np.int8)
        return SegmentParameters(weights, np.zeros(bias_shape, np.int32))
    finer = np.rint(rng.normal(0, spread * FINENESS, shape))
    return SegmentParameters(finer.astype(np.int16), np.zeros(bias_shape, np.int32))


def _activations(
    segment: HiddenSegment, drawn: SegmentParameters, x: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    weights, bias = drawn.weights.astype(np.float32), drawn.bias.astype(np.float32)
    accumulators = segment.accumulate(x[:, segment.lo : segment.hi], weights, bias)
    value, _ = kind_of(segment).activate(segment, accumulators)
    return value
