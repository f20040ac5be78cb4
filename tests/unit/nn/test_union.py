"""The union of two growths, by example: what moves, what is halved, and which growths have none."""

from dataclasses import replace

import numpy as np
import pytest

from engram.nn.errors import (
    DimensionOutOfRange,
    GrowthOverlap,
    GrowthsDisagree,
    PolicyViolated,
    QuantizationOutOfRange,
)
from engram.nn.growth import Growth, Policy, append, forward_frozen, forward_growth
from engram.nn.layers import ConvRelu, DenseRelu, Interval, Output
from engram.nn.layers.joining import run_count
from engram.nn.logits import GATE
from engram.nn.network import NetworkSpec
from engram.nn.union import unite
from tests.support.nn_samples import (
    GROWTH,
    LIMITS,
    RELATIVE,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
    random_features,
)

HOST = NetworkSpec(4, 2, (), (DenseRelu(1, 0, 4, 3, 0, 8, 8),), (Output(1, 0, 3, 0, 2, 0, 8),))
"""Three neurons in layer 1."""
FIRST = Growth(1, (DenseRelu(1, 0, 4, 2, 0, 8, 8),), (Output(1, 0, 5, 2, 1, -4, 8),), ())
SECOND = Growth(
    1,
    (DenseRelu(1, 0, 4, 5, 0, 8, 8), DenseRelu(2, 1, 8, 2, 0, 8, 8)),
    (Output(2, 0, 2, 2, 1, -2, 8), Output(1, 0, 3, 2, 1, 3, 8)),
    (),
)


def test_new_neurons_of_the_second_half_stand_behind_those_of_the_first() -> None:
    union = unite(HOST, FIRST, SECOND)
    assert union.hidden == (
        FIRST.hidden[0],
        SECOND.hidden[0],
        DenseRelu(2, 1, 3, 2, 0, 8, 8, (Interval(1, 5, 10),)),
    ), "old neurons keep their index, so an interval of old and new ones becomes two"
    assert union.outputs == (
        Output(1, 0, 5, 2, 1, -3, 8),
        Output(2, 0, 2, 2, 1, -1, 8),
        Output(1, 0, 3, 2, 1, 4, 8),
    ), "every output is halved"
    assert (union.classes, union.components) == (1, ())
    append(HOST, union, policy=Policy.STRICT, limits=LIMITS)


def test_halves_of_one_layer_form_runs() -> None:
    """Both read the same, and their outputs stand one behind the other: so the union costs one run each."""
    own = replace(FIRST, outputs=(Output(1, 3, 5, 2, 1, -4, 8),))
    union = unite(HOST, own, own)
    assert (run_count((), union.hidden), run_count((), union.outputs)) == (1, 1)


def test_components_that_are_written_out_or_implied_are_the_same() -> None:
    stated = replace(SECOND, components=(2,))
    assert unite(HOST, FIRST, stated).components == ()
    assert unite(HOST, stated, FIRST).components == (2,)


@pytest.mark.parametrize(
    "other",
    [replace(SECOND, classes=2), replace(SECOND, components=(2, 2)), replace(SECOND, components=(GATE, 2))],
)
def test_growths_that_add_something_else_have_no_union(other: Growth) -> None:
    with pytest.raises(GrowthsDisagree):
        unite(HOST, FIRST, other)


def test_components_in_another_order_have_no_union() -> None:
    turned = replace(GROWTH, components=(4, 3, 3))
    with pytest.raises(GrowthsDisagree) as caught:
        unite(TWO_LAYERS, GROWTH, turned)
    assert (caught.value.expected, caught.value.got) == ((2, (3, 4, 3)), (2, (4, 3, 3)))


def test_a_union_whose_shift_leaves_its_range_is_refused() -> None:
    highest = replace(FIRST, outputs=(replace(FIRST.outputs[0], shift=31),))
    append(HOST, highest, policy=Policy.STRICT, limits=LIMITS)
    with pytest.raises(QuantizationOutOfRange):
        append(HOST, unite(HOST, highest, SECOND), policy=Policy.STRICT, limits=LIMITS)


def test_maps_that_are_partly_old_are_not_taken_apart() -> None:
    """A map of the three old neurons and a new one has no place in the union: half a map is none."""
    maps = ConvRelu(2, 0, 4, 2, 2, 1, 1, 1, 0, 1, 0, 8, 8)
    reads = Growth(1, (DenseRelu(1, 0, 4, 1, 0, 8, 8), maps), (Output(2, 0, 4, 2, 1, 0, 8),), ())
    append(HOST, reads, policy=Policy.STRICT, limits=LIMITS)
    with pytest.raises(DimensionOutOfRange):
        append(HOST, unite(HOST, FIRST, reads), policy=Policy.STRICT, limits=LIMITS)


def test_a_gate_is_averaged_with_the_rest() -> None:
    """Two equal halves make the logits of one, where no shift rounds."""
    exact = replace(RELATIVE, outputs=tuple(replace(each, shift=-2) for each in RELATIVE.outputs))
    union = unite(TWO_LAYERS, exact, exact)
    append(TWO_LAYERS, union, policy=Policy.RELATIVE, limits=LIMITS)
    old, added = network_parameters(TWO_LAYERS), growth_parameters(TWO_LAYERS, exact)
    frozen = forward_frozen(TWO_LAYERS, old, random_features(12, 9))
    ends = len(exact.hidden)
    twice = added[:ends] * 2 + added[ends:] * 2
    alone = forward_growth(TWO_LAYERS, frozen, exact, added)
    assert np.array_equal(forward_growth(TWO_LAYERS, frozen, union, twice), alone)
    assert len({tuple(row) for row in alone.tolist()}) > 1


def test_a_union_keeps_what_its_halves_must_keep() -> None:
    """What breaks the overlap rule or the policy in a half breaks it in the union."""
    overlap = replace(SECOND, outputs=(Output(1, 2, 8, 1, 1, 0, 8),))
    feeds_old = replace(SECOND, outputs=(Output(1, 3, 8, 1, 1, 0, 8),))
    for growth, error in ((overlap, GrowthOverlap), (feeds_old, PolicyViolated)):
        with pytest.raises(error):
            append(HOST, growth, policy=Policy.STRICT, limits=LIMITS)
        with pytest.raises(error):
            append(HOST, unite(HOST, FIRST, growth), policy=Policy.STRICT, limits=LIMITS)
    append(HOST, unite(HOST, FIRST, feeds_old), policy=Policy.GATED, limits=LIMITS)
