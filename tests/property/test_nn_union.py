"""The union of two growths adds the mean of what both add; a second implementation says the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.dtypes import IntArray
from engram.nn.fixed import Int64Array
from engram.nn.growth import Growth, Policy, append, forward_frozen, merge_parameters
from engram.nn.logits import GATE
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters, forward
from engram.nn.spec import layer_widths
from engram.nn.union import unite
from engram.primitives.codec import encode
from engram.primitives.errors import InvalidNetwork
from tests.support import evaluation_oracle, networks_oracle
from tests.support.nn_samples import (
    LIMITS,
    growth_parameters,
    network_parameters,
    networks,
    random_features,
    strict_growths,
)
from tests.support.protocol_oracle import dec

SEEDS = st.integers(0, 2**32 - 1)
Halves = tuple[NetworkSpec, Growth, Growth]


@st.composite
def halves(draw: st.DrawFn) -> Halves:
    """A network and two growths of it with the same components, with a gate or without one."""
    spec = draw(networks())
    widths, gate = dict(enumerate(layer_widths(spec))), draw(st.booleans())
    first = draw(strict_growths(spec, widths, gate=gate))
    return spec, first, draw(strict_growths(spec, widths, gate=gate, beside=first))


def joined(
    spec: NetworkSpec, pair: tuple[Growth, Growth], seed: int
) -> tuple[Parameters, Parameters, Parameters]:
    """Parameters of both halves, and of their union."""
    first, second = (
        growth_parameters(spec, growth, seed + place, 2.0**-14) for place, growth in enumerate(pair)
    )
    ends = len(pair[0].hidden), len(pair[1].hidden)
    return first, second, first[: ends[0]] + second[: ends[1]] + first[ends[0] :] + second[ends[1] :]


def both_of(segment: SegmentParameters) -> tuple[IntArray, IntArray]:
    return segment.weights, segment.bias


def policy_of(growth: Growth) -> Policy:
    return Policy.RELATIVE if GATE in growth.components else Policy.STRICT


def sums(spec: NetworkSpec, growth: Growth, added: Parameters, seed: int) -> Int64Array:
    """The component sums of a network with a growth, before they are clipped, and of the network in front."""
    grown = append(spec, growth, policy=policy_of(growth), limits=LIMITS)
    whole = merge_parameters(spec, network_parameters(spec, seed), growth, added)
    return forward_frozen(grown, whole, random_features(spec.inputs, 5, seed)).sums


def taken(spec: NetworkSpec, union: Growth) -> bool:
    """Whether the union is within the limits: shifts, intervals and whole maps are looked at by `append`."""
    try:
        append(spec, union, policy=policy_of(union), limits=LIMITS)
    except InvalidNetwork:
        return False
    return True


@given(halves(), SEEDS)
def test_the_union_adds_the_mean_of_what_its_halves_add(drawn: Halves, seed: int) -> None:
    spec, *pair = drawn
    union = unite(spec, *pair)
    if not taken(spec, union):
        assert any(output.shift > 31 for output in union.outputs) or any(
            len(segment.intervals) > 1 for segment in (*union.hidden, *union.outputs)
        ), "only a shift above its range, or an interval in two, makes a union that cannot be appended"
        return
    first, second, both = joined(spec, (pair[0], pair[1]), seed)
    alone = sums(spec, pair[0], first, seed) + sums(spec, pair[1], second, seed)
    slack = sum(output.shift > 0 for output in union.outputs)
    slack += sum(output.shift > 0 for growth in pair for output in growth.outputs)
    assert np.abs(2 * sums(spec, union, both, seed) - alone).max() <= slack


@given(halves(), SEEDS)
def test_a_second_implementation_makes_the_same_union_with_the_same_logits(drawn: Halves, seed: int) -> None:
    spec, *pair = drawn
    union = unite(spec, *pair)
    wires = [dec(encode(each)) for each in (spec, *pair)]
    if any(len(segment.more) > 15 for segment in (*union.hidden, *union.outputs)):
        return
    if any(output.shift > 31 for output in union.outputs):
        return
    assert networks_oracle.united(*wires) == dec(encode(union))
    if not taken(spec, union):
        return
    whole = merge_parameters(
        spec, network_parameters(spec, seed), union, joined(spec, (pair[0], pair[1]), seed)[2]
    )
    grown = append(spec, union, policy=policy_of(union), limits=LIMITS)
    features = random_features(spec.inputs, 3, seed)
    weights, biases = ([part.tolist() for part in parts] for parts in zip(*map(both_of, whole), strict=True))
    wire = networks_oracle.grown(wires[0], networks_oracle.united(*wires))
    told = [evaluation_oracle.logits(wire, weights, biases, row) for row in features.tolist()]
    assert forward(grown, whole, features).tolist() == told


@given(halves(), SEEDS)
def test_the_order_of_the_halves_changes_no_logit(drawn: Halves, seed: int) -> None:
    spec, first, second = drawn
    one, other = unite(spec, first, second), unite(spec, second, first)
    if not (taken(spec, one) and taken(spec, other)):
        return
    mine, theirs, both = joined(spec, (first, second), seed)
    ends = len(first.hidden), len(second.hidden)
    turned = theirs[: ends[1]] + mine[: ends[0]] + theirs[ends[1] :] + mine[ends[0] :]
    assert np.array_equal(sums(spec, one, both, seed), sums(spec, other, turned, seed))
