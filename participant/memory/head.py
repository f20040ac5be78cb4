"""The head: the part of a network above its trunk, as a network whose inputs are the trunk's values.

Engines see heads only. Rows pass the trunk once; a growth of the head becomes one of the whole network by
raising its layers (`lifted`). The head's logits are those of the whole network, integer for integer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engram.nn.fixed import INT32_MAX
from engram.nn.growth import Growth
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.output import MIN_OUTPUT_SHIFT
from engram.nn.layers.segment import MAX_SHIFT
from engram.nn.network import Parameters, SegmentParameters
from engram.nn.spec import NetworkSpec, component_count
from engram.participant.memory.errors import EnginePolicyMismatch, LogitsOutOfRange
from engram.participant.memory.ridge import Matrix
from engram.participant.memory.trunk import Trunk

Q16: Final = 65_536.0
_MOST_WEIGHT: Final = 32_767


def empty_head(values: int) -> NetworkSpec:
    """The head before anything is founded: no class, no segment. A founding is a growth of it."""
    return NetworkSpec(values, 0, (), (), ())


def lifted(growth: Growth, depth: int) -> Growth:
    """A head's growth as one of the network whose trunk ends at layer `depth`."""
    return replace(
        growth,
        hidden=tuple(_moved(segment, depth) for segment in growth.hidden),
        outputs=tuple(replace(segment, layer=segment.layer + depth) for segment in growth.outputs),
    )


def whole_network(trunk: Trunk, spec: NetworkSpec, parameters: Parameters) -> tuple[NetworkSpec, Parameters]:
    """The trunk and a head as one network, and its parameters in the network's order."""
    moved = lifted(Growth(spec.classes, spec.hidden, spec.outputs, spec.components), trunk.depth)
    whole = NetworkSpec(
        trunk.inputs, spec.classes, spec.components, (*trunk.hidden, *moved.hidden), moved.outputs
    )
    return whole, (*trunk.parameters, *parameters)


def head_of(trunk: Trunk, spec: NetworkSpec, parameters: Parameters) -> tuple[NetworkSpec, Parameters]:
    """The head of a whole network that begins with this trunk: the inverse of `whole_network`.

    Raises `EnginePolicyMismatch` if the network begins otherwise.
    """
    count = len(trunk.hidden)
    if spec.inputs != trunk.inputs or spec.hidden[:count] != trunk.hidden:
        raise EnginePolicyMismatch("the network does not begin with this trunk", got=spec.inputs)
    hidden = tuple(_moved(segment, -trunk.depth) for segment in spec.hidden[count:])
    outputs = tuple(replace(segment, layer=segment.layer - trunk.depth) for segment in spec.outputs)
    return NetworkSpec(trunk.values, spec.classes, spec.components, hidden, outputs), parameters[count:]


def _moved(segment: HiddenSegment, by: int) -> HiddenSegment:
    more = tuple(replace(interval, layer=interval.layer + by) for interval in segment.more)
    return replace(segment, layer=segment.layer + by, more=more)


@dataclass(frozen=True)
class Place:
    """Where an output segment stands: neurons lo, …, hi - 1 of a layer feed components from `first` on."""

    layer: int
    lo: int
    hi: int
    first: int


def output_of(
    place: Place, weights: Matrix, bias: Matrix, *, bits: int = 8
) -> tuple[Output, SegmentParameters]:
    """The output segment with 16-bit weights that is closest to these weights and biases in nats.

    Weights are (hi - lo, components) in nats for one unit of an activation of `bits` bits, biases
    (components,) in nats. All columns share the finest shift at which weights fit 16 bits and sums 32. Raises
    `LogitsOutOfRange` if there is none.
    """
    largest = 2**bits - 1
    for shift in range(MAX_SHIFT, MIN_OUTPUT_SHIFT - 1, -1):
        scale = Q16 * 2.0**shift
        top = float(np.abs(weights).max()) * scale
        reach = float(np.max(np.abs(weights).sum(axis=0) * largest + np.abs(bias))) * scale
        slack = len(weights) * largest + 2.0 ** max(shift, 1)
        if top <= _MOST_WEIGHT and reach + slack <= INT32_MAX:
            segment = Output(place.layer, place.lo, place.hi, place.first, weights.shape[1], shift, 16)
            numbers = SegmentParameters(
                np.rint(weights * scale).astype(np.int16), np.rint(bias * scale).astype(np.int32)
            )
            return segment, numbers
    raise LogitsOutOfRange(got=float(np.abs(weights).max()))


def nats_of(spec: NetworkSpec, parameters: Parameters, neurons: int) -> tuple[Matrix, Matrix]:
    """Weights (neurons, components) and biases (components,) in nats by which layer 1 feeds the components.

    Raises `EnginePolicyMismatch` if an output of the head reads another layer.
    """
    weights = np.zeros((neurons, component_count(spec)))
    bias = np.zeros(component_count(spec))
    for segment, given in zip(spec.outputs, parameters[len(spec.hidden) :], strict=True):
        if segment.layer != 1 or segment.more:
            raise EnginePolicyMismatch("an output of the head reads more than the banks", got=segment.layer)
        scale, fed = 2.0**-segment.shift / Q16, slice(segment.first, segment.first + segment.width)
        weights[segment.lo : segment.hi, fed] += given.weights * scale
        bias[fed] += given.bias * scale
    return weights, bias
