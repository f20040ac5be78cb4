"""What growth may append under each policy, by example; adoption; what is refused by which name."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.nn.engine import FAST, REFERENCE
from engram.nn.errors import (
    BoundViolated,
    ComponentsMismatch,
    DimensionOutOfRange,
    GrowthEmpty,
    GrowthOverlap,
    GrowthReadsForward,
    GrowthRepeatsClass,
    PolicyViolated,
    ShapeMismatch,
    TooManyMacs,
)
from engram.nn.fixed import ln_q24
from engram.nn.growth import (
    Growth,
    Policy,
    adopt,
    append,
    forward_frozen,
    forward_growth,
    grown_spec,
    growth_macs_per_row,
    merge_parameters,
    null_growth_logits,
    prove_growth,
)
from engram.nn.layers import DenseRelu, Output
from engram.nn.loss import LossKind, evaluate_loss
from engram.nn.network import NetworkSpec, SegmentParameters, forward
from engram.nn.spec import canonical_components, layer_widths, macs_per_row
from tests.support.nn_samples import (
    GROWTH,
    LIMITS,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
    random_features,
)

STRICT, GATED = Policy.STRICT, Policy.GATED
HOST = NetworkSpec(4, 2, (), (DenseRelu(1, 0, 4, 3, 0, 8, 8),), (Output(1, 0, 3, 0, 2, 0, 8),))
NEURONS = DenseRelu(1, 0, 4, 2, 0, 8, 8)
CLASS = Growth(1, (NEURONS,), (Output(1, 0, 5, 2, 1, 0, 8),), ())
CAPACITY = Growth(0, (NEURONS,), (Output(1, 3, 5, 0, 2, 0, 8),), ())


def refused(growth: Growth, policy: Policy, error: type[Exception], **options: Any) -> Any:
    with pytest.raises(error) as caught:
        append(HOST, growth, policy=policy, limits=LIMITS, **options)
    return caught.value


def test_new_classes_grow_under_both_policies() -> None:
    for policy in (STRICT, GATED):
        grown = append(HOST, CLASS, policy=policy, limits=LIMITS)
        assert grown == NetworkSpec(4, 3, (), (*HOST.hidden, NEURONS), (*HOST.outputs, *CLASS.outputs))
        assert layer_widths(grown) == (4, 5)


def test_components_of_the_grown_network_have_one_form() -> None:
    named = replace(CLASS, components=(2,))
    assert append(HOST, named, policy=STRICT, limits=LIMITS) == append(
        HOST, CLASS, policy=STRICT, limits=LIMITS
    )
    assert append(HOST, named, policy=STRICT, limits=LIMITS).components == ()
    doubled = replace(CLASS, components=(2, 2))
    assert append(HOST, doubled, policy=STRICT, limits=LIMITS).components == (0, 1, 2, 2)
    assert append(TWO_LAYERS, GROWTH, policy=STRICT, limits=LIMITS).components == (0, 1, 2, 1, 3, 4, 3)


@pytest.mark.parametrize("old", [(), (0, 1, 1), (1, 0), (0, 0, 1)])
@pytest.mark.parametrize("classes", [0, 1, 2])
def test_the_components_are_those_of_the_whole_list_in_its_one_form(
    old: tuple[int, ...], classes: int
) -> None:
    host = replace(HOST, classes=2, components=old)
    for added in ((), (2,), (2, 3), (3, 2), (0, 2, 3), (1,)):
        growth = Growth(classes, (), (), added)
        named = (old or (0, 1)) + (added or tuple(range(2, 2 + classes)))
        assert grown_spec(host, growth).components == canonical_components(2 + classes, named)


def test_strict_capacity_reaches_the_last_growth_only() -> None:
    value = refused(CAPACITY, STRICT, PolicyViolated)
    assert (value.code, value.got) == ("policy_violated", 0)
    refused(CAPACITY, STRICT, PolicyViolated, capacity_from=1)
    append(HOST, CAPACITY, policy=STRICT, limits=LIMITS, capacity_from=0)
    one = replace(CAPACITY, outputs=(Output(1, 3, 5, 1, 1, 0, 8),))
    append(HOST, one, policy=STRICT, limits=LIMITS, capacity_from=1)
    refused(one, STRICT, PolicyViolated)
    component = replace(one, outputs=(Output(1, 0, 5, 2, 1, 0, 8),), components=(1,))
    append(HOST, component, policy=STRICT, limits=LIMITS, capacity_from=1)
    refused(component, STRICT, PolicyViolated, capacity_from=2)


def test_strict_new_classes_never_reach_old_ones() -> None:
    across = replace(CLASS, outputs=(Output(1, 3, 5, 1, 2, 0, 8),))
    assert refused(across, STRICT, PolicyViolated, capacity_from=0).got == 1
    append(HOST, across, policy=GATED, limits=LIMITS)


def test_gated_neurons_reach_old_components() -> None:
    append(HOST, CAPACITY, policy=GATED, limits=LIMITS)
    component = replace(CAPACITY, outputs=(Output(1, 0, 5, 2, 1, 0, 8),), components=(0,))
    append(HOST, component, policy=GATED, limits=LIMITS)


@pytest.mark.parametrize("growth", [Growth(0, (), (), ()), Growth(3, (), (), ()), replace(CLASS, outputs=())])
def test_a_growth_that_reaches_no_logit_is_empty(growth: Growth) -> None:
    for policy in (STRICT, GATED):
        assert refused(growth, policy, GrowthEmpty).code == "growth_empty"


@pytest.mark.parametrize(
    "output",
    [
        Output(1, 0, 3, 0, 2, 0, 8),
        Output(1, 2, 5, 1, 1, 0, 8),
        Output(1, 2, 3, 1, 2, 0, 8),
        Output(0, 3, 4, 1, 1, 0, 8),
    ],
)
def test_writing_where_the_frozen_network_writes_overlaps(output: Output) -> None:
    for policy in (STRICT, GATED):
        assert (
            refused(replace(CLASS, outputs=(*CLASS.outputs, output)), policy, GrowthOverlap).code
            == "growth_overlap"
        )


def test_a_growth_may_not_teach_a_class_again() -> None:
    for components in ((1, 2), (0, 2)):
        again = replace(CLASS, components=components)
        assert refused(again, STRICT, GrowthRepeatsClass).code == "growth_repeats_class"
        append(HOST, again, policy=GATED, limits=LIMITS)


def test_a_new_segment_reads_only_what_stands_before_it() -> None:
    upper = DenseRelu(2, 3, 5, 2, 0, 8, 8)
    append(HOST, replace(CLASS, hidden=(NEURONS, upper)), policy=STRICT, limits=LIMITS)
    value = refused(replace(CLASS, hidden=(upper, NEURONS)), STRICT, GrowthReadsForward)
    assert (value.code, value.expected, value.got) == ("growth_reads_forward", 3, 5)
    refused(replace(CLASS, hidden=(replace(upper, hi=6), NEURONS)), STRICT, ShapeMismatch)


@pytest.mark.parametrize(
    ("growth", "error"),
    [
        (replace(CLASS, hidden=(replace(NEURONS, layer=0),)), DimensionOutOfRange),
        (replace(CLASS, hidden=(replace(NEURONS, layer=17),)), DimensionOutOfRange),
        (replace(CLASS, classes=1023), DimensionOutOfRange),
        (replace(CLASS, components=(3,)), ComponentsMismatch),
        (replace(CLASS, classes=2, components=(2,)), ComponentsMismatch),
        (replace(CLASS, outputs=(Output(1, 0, 6, 2, 1, 0, 8),)), ShapeMismatch),
        (replace(CLASS, outputs=(Output(3, 0, 1, 2, 1, 0, 8),)), ShapeMismatch),
        (replace(CLASS, outputs=(Output(1, 0, 5, 2, 2, 0, 8),)), ShapeMismatch),
    ],
)
def test_the_grown_network_must_be_sound(growth: Growth, error: type[Exception]) -> None:
    refused(growth, STRICT, error)


def test_the_grown_network_must_fit_the_limits() -> None:
    grown = append(HOST, CLASS, policy=STRICT, limits=LIMITS)
    with pytest.raises(TooManyMacs):
        append(HOST, CLASS, policy=STRICT, limits=replace(LIMITS, max_macs_per_row=macs_per_row(grown) - 1))


def test_a_growth_costs_what_it_adds_and_the_loss() -> None:
    grown = append(HOST, CLASS, policy=STRICT, limits=LIMITS)
    assert (
        growth_macs_per_row(HOST, CLASS)
        == (4 * 2 + 8 * 4 + 128 * 2) + (5 * 1 + 8 * 5 + 128) + 3 * 128 + 3 * 512
    )
    assert growth_macs_per_row(HOST, CLASS) == macs_per_row(grown) - macs_per_row(HOST) + 2 * 128 + 2 * 512


def test_gated_growth_changes_old_logits_by_its_new_neurons_only() -> None:
    spec, features = HOST, random_features(4, 8)
    old, new = network_parameters(spec), growth_parameters(spec, CAPACITY, share=2.0**-10)
    frozen = forward_frozen(spec, old, features)
    alone = NetworkSpec(4, 2, (), (NEURONS,), (replace(CAPACITY.outputs[0], lo=0, hi=2),))
    added = forward(alone, new, features)
    assert np.any(added)
    for engine in (FAST, REFERENCE):
        grown = forward_growth(spec, frozen, CAPACITY, new, engine=engine)
        assert np.array_equal(grown, forward(spec, old, features) + added)


def test_the_null_growth_of_a_model_that_knows_one_class() -> None:
    logits = null_growth_logits(np.zeros((3, 1), np.int64), 4)
    assert logits.tolist() == [[0] * 5] * 3
    assert evaluate_loss(
        LossKind.SOFTMAX_CROSS_ENTROPY, logits, np.array([0, 3, 4], np.uint16)
    ) == 3 * ln_q24(5)


def test_a_growth_proves_its_own_bounds() -> None:
    new = growth_parameters(HOST, CLASS)
    broken = (SegmentParameters(new[0].weights, np.full(2, 2**31 - 1, np.int32)), new[1])
    with pytest.raises(BoundViolated):
        prove_growth(HOST, CLASS, broken)
    frozen = forward_frozen(HOST, network_parameters(HOST), random_features(4, 5))
    with pytest.raises(BoundViolated):
        forward_growth(HOST, frozen, CLASS, broken)


def test_activations_of_another_network_are_refused() -> None:
    wider = DenseRelu(1, 0, 4, 4, 0, 8, 8)
    other = replace(HOST, hidden=(wider,))
    frozen = forward_frozen(other, network_parameters(other), random_features(4, 2))
    with pytest.raises(ShapeMismatch):
        forward_growth(HOST, frozen, CLASS, growth_parameters(HOST, CLASS))


def test_merged_parameters_stand_in_the_order_of_the_grown_network() -> None:
    old, new = network_parameters(HOST), growth_parameters(HOST, CLASS)
    assert merge_parameters(HOST, old, CLASS, new) == (old[0], new[0], old[1], new[1])


def donor(depth: int, classes: int = 2) -> NetworkSpec:
    segments = tuple(DenseRelu(layer, 0, 4 if layer == 1 else 2, 2, 4, 8, 8) for layer in range(1, depth + 1))
    outputs = (Output(depth, 0, 2 if depth else 4, 0, classes, 0, 8), Output(0, 1, 3, 0, 1, 0, 8))
    return NetworkSpec(4, classes, (), segments, outputs)


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_a_donor_of_any_depth_is_adopted_as_a_column(depth: int) -> None:
    guest, features = donor(depth), random_features(4, 12)
    for host in (HOST, TWO_LAYERS_OF_FOUR):
        growth = adopt(host, guest, new_classes=2)
        assert growth.components == ()
        grown = append(host, growth, policy=STRICT, limits=LIMITS)
        mine, theirs = network_parameters(host), network_parameters(guest, 9)
        logits = forward(grown, merge_parameters(host, mine, growth, theirs), features)
        assert np.array_equal(
            logits, np.hstack([forward(host, mine, features), forward(guest, theirs, features)])
        )


TWO_LAYERS_OF_FOUR = replace(
    HOST,
    hidden=(*HOST.hidden, DenseRelu(2, 1, 3, 2, 3, 8, 8)),
    outputs=(*HOST.outputs, Output(2, 0, 2, 1, 1, 0, 8)),
)


def test_an_adopted_donor_may_name_its_classes_anew() -> None:
    guest, features = donor(1), random_features(4, 12)
    growth = adopt(HOST, guest, new_classes=2, classes=(3, 2))
    assert growth.components == (3, 2)
    grown = append(HOST, growth, policy=STRICT, limits=LIMITS)
    mine, theirs = network_parameters(HOST), network_parameters(guest, 9)
    logits = forward(grown, merge_parameters(HOST, mine, growth, theirs), features)
    assert np.array_equal(logits[:, 2:], forward(guest, theirs, features)[:, ::-1])


def test_a_donor_may_know_old_classes_where_the_policy_lets_it() -> None:
    growth = adopt(HOST, donor(1, classes=3), new_classes=1, classes=(0, 2, 1))
    assert growth.components == (0, 2, 1)
    append(HOST, growth, policy=GATED, limits=LIMITS)
    refused(growth, STRICT, GrowthRepeatsClass)


@pytest.mark.parametrize(
    ("guest", "options", "error"),
    [
        (replace(donor(1), inputs=5), {"new_classes": 2}, ShapeMismatch),
        (donor(1), {"new_classes": 1}, ShapeMismatch),
        (donor(1), {"new_classes": 3}, ShapeMismatch),
        (donor(1), {"new_classes": 2, "classes": (2,)}, ShapeMismatch),
        (donor(1), {"new_classes": 2, "classes": (2, 4)}, ShapeMismatch),
        (donor(1), {"new_classes": 2, "classes": (1, 2)}, ShapeMismatch),
        (donor(1), {"new_classes": 1, "classes": (2, 2)}, GrowthRepeatsClass),
    ],
)
def test_a_donor_that_does_not_fit_is_refused(
    guest: NetworkSpec, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        adopt(HOST, guest, **options)
