"""Lists of intervals: the one order that is allowed, what they cost, and that they join branches exactly."""

from dataclasses import replace

import numpy as np
import pytest

from engram.nn.engine import REFERENCE
from engram.nn.errors import (
    DimensionOutOfRange,
    GrowthOverlap,
    GrowthReadsForward,
    IntervalsUnordered,
    QuantizationOutOfRange,
    ShapeMismatch,
)
from engram.nn.growth import Growth, Policy, adopt, append, forward_frozen, forward_growth, merge_parameters
from engram.nn.layers import DenseRelu, DenseRoot, HiddenSegment, Interval, MaxPool, Output
from engram.nn.layers.dense import ACTIVATION_MACS, READ_MACS
from engram.nn.layers.joining import continues
from engram.nn.layers.maps import TAP_MACS, VALUE_MACS
from engram.nn.layers.reading import MAX_INTERVALS
from engram.nn.network import forward
from engram.nn.spec import check_spec
from engram.primitives.errors import InvalidNetwork
from engram.statemachine.additions import TrainUpdate
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import network_macs
from tests.support import nn_reference
from tests.support.nn_convolved import BRANCHED
from tests.support.nn_samples import (
    LIMITS,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
    random_features,
)

JOINING = DenseRelu(2, 4, 6, 3, 5, 8, 8, (Interval(1, 7, 9), Interval(0, 2, 5)))
POOL = MaxPool(1, 0, 24, 3, 4, 2, 1, 1, 3, 8, 8)


def test_the_neurons_of_all_intervals_are_read_in_order() -> None:
    assert JOINING.fan_in == 2 + 2 + 3
    assert JOINING.parameter_shapes() == ((7, 3), (3,))
    spec = replace(TWO_LAYERS, hidden=(*TWO_LAYERS.hidden, JOINING))
    check_spec(spec, LIMITS)
    parameters, features = network_parameters(spec), random_features(12, 20)
    for engine in (None, REFERENCE):
        found = (
            forward(spec, parameters, features)
            if engine is None
            else forward(spec, parameters, features, engine=engine)
        )
        assert found.tolist() == [nn_reference.row_logits(spec, parameters, row) for row in features.tolist()]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ((Interval(1, 6, 8),), "intervals_unordered"),  # touches the first
        ((Interval(1, 5, 8),), "intervals_unordered"),  # overlaps
        ((Interval(1, 1, 3),), "intervals_unordered"),  # falls within a layer
        ((Interval(0, 0, 2), Interval(1, 7, 9)), "intervals_unordered"),  # rises to a higher layer
        ((Interval(2, 7, 9),), "intervals_unordered"),  # its own layer
        ((Interval(0, 0, 2), Interval(0, 2, 4)), "intervals_unordered"),
        ((Interval(0, 3, 3),), "dimension_out_of_range"),
        ((Interval(1, 7, 11),), "shape_mismatch"),
        ((Interval(0, 2, 13),), "shape_mismatch"),
        (tuple(Interval(0, at, at + 1) for at in range(0, 32, 2)), "dimension_out_of_range"),
    ],
)
def test_other_orders_and_missing_neurons_are_refused(more: tuple[Interval, ...], code: str) -> None:
    spec = replace(TWO_LAYERS, hidden=(*TWO_LAYERS.hidden, replace(JOINING, more=more)))
    with pytest.raises((IntervalsUnordered, DimensionOutOfRange, ShapeMismatch)) as caught:
        check_spec(spec, LIMITS)
    assert caught.value.code == code
    output = Output(2, 0, 5, 0, 1, 0, 8, (Interval(2, 5, 7),))
    with pytest.raises(InvalidNetwork):
        check_spec(replace(TWO_LAYERS, outputs=(output,)), LIMITS)


def test_as_many_intervals_as_allowed() -> None:
    more = tuple(Interval(0, at, at + 1) for at in range(2, 2 * MAX_INTERVALS, 2))
    segment = DenseRelu(1, 0, 1, 1, 0, 8, 8, more)
    segment.check()
    assert segment.fan_in == MAX_INTERVALS


def test_every_interval_is_charged_as_a_call() -> None:
    spec = replace(TWO_LAYERS, hidden=(*TWO_LAYERS.hidden, JOINING))
    one = replace(spec, hidden=(*TWO_LAYERS.hidden, DenseRelu(2, 0, 7, 3, 5, 8, 8)))
    rules = Rules()
    charges = [network_macs(rules, TrainUpdate(each, (), ()), 10) for each in (spec, one)]
    assert charges[0] - charges[1] == 2 * 2**19 + 10 * READ_MACS * 7
    assert (spec.totals.runs, spec.totals.intervals) == (one.totals.runs, one.totals.intervals + 2)


def test_outputs_with_further_intervals_form_no_run() -> None:
    first, second = Output(1, 0, 3, 0, 2, 0, 8), Output(1, 3, 6, 0, 2, 0, 8)
    more = (Interval(0, 0, 2),)
    assert continues(first, second)
    assert not continues(replace(first, more=more), second)
    assert not continues(first, replace(second, more=more))
    hidden = DenseRelu(2, 0, 3, 2, 0, 8, 8, more)
    assert continues(hidden, replace(hidden, width=5))
    assert not continues(hidden, replace(hidden, more=()))


def test_a_growth_that_joins_old_and_new_layers() -> None:
    growth = Growth(
        1,
        (
            DenseRelu(1, 0, 12, 2, 5, 8, 8),
            DenseRelu(3, 1, 5, 4, 5, 8, 8, (Interval(1, 10, 12), Interval(0, 0, 3))),
        ),
        (Output(3, 0, 4, 4, 1, 0, 8, (Interval(1, 2, 4),)),),
        (3,),
    )
    grown = append(TWO_LAYERS, growth, policy=Policy.STRICT, limits=LIMITS)
    old, new = network_parameters(TWO_LAYERS), growth_parameters(TWO_LAYERS, growth)
    features = random_features(12, 30)
    whole = merge_parameters(TWO_LAYERS, old, growth, new)
    expected = forward(grown, whole, features)
    frozen = forward_frozen(TWO_LAYERS, old, features)
    assert np.array_equal(forward_growth(TWO_LAYERS, frozen, growth, new), expected)
    row = features[3].tolist()
    assert expected[3].tolist() == nn_reference.row_logits(grown, whole, row)


def test_old_neurons_in_any_interval_count_for_the_rules_of_growth() -> None:
    own = DenseRelu(1, 0, 12, 2, 5, 8, 8)
    late = DenseRelu(2, 0, 10, 2, 5, 8, 8, (Interval(0, 0, 1),))
    forward_reading = replace(late, layer=3, lo=0, hi=5, more=(Interval(1, 10, 12),))
    output = Output(2, 5, 7, 0, 1, 0, 8, (Interval(0, 0, 2),))
    with pytest.raises(GrowthReadsForward):
        append(
            TWO_LAYERS,
            Growth(0, (forward_reading, own), (Output(2, 5, 6, 0, 1, 0, 8),), ()),
            policy=Policy.GATED,
            limits=LIMITS,
        )
    with pytest.raises(GrowthOverlap):
        append(TWO_LAYERS, Growth(0, (late,), (output,), ()), policy=Policy.GATED, limits=LIMITS)


def test_an_adopted_donor_keeps_its_intervals() -> None:
    parameters = network_parameters(BRANCHED, share=2.0**-8)
    growth = adopt(BRANCHED, BRANCHED, new_classes=2)
    grown = append(BRANCHED, growth, policy=Policy.STRICT, limits=LIMITS)
    features = random_features(32, 16)
    alone = forward(BRANCHED, parameters, features)
    whole = forward(grown, merge_parameters(BRANCHED, parameters, growth, parameters), features)
    assert np.array_equal(whole, np.concatenate([alone, alone], axis=1))


def test_shapes_and_costs_of_a_pooling() -> None:
    assert POOL.width == 2 * 4 * 5
    assert POOL.parameter_shapes() == ((2,), (2,))
    assert (
        POOL.macs_per_row() == TAP_MACS * 2 * (2 * 4 * 6 + 40) + ACTIVATION_MACS * 40 + VALUE_MACS * 2 * 5 * 6
    )


def test_the_plain_maximum() -> None:
    pool = MaxPool(1, 0, 16, 4, 4, 2, 2, 0, 0, 8, 8)
    maps = np.arange(16, dtype=np.int64)[None]
    assert pool.accumulate(maps, np.ones(1, np.int64), np.zeros(1, np.int64)).tolist() == [[5, 7, 13, 15]]


@pytest.mark.parametrize(
    ("segment", "error"),
    [
        (replace(POOL, kernel=7), DimensionOutOfRange),
        (replace(POOL, stride=3), DimensionOutOfRange),
        (replace(POOL, padding=2), DimensionOutOfRange),
        (replace(POOL, hi=23), DimensionOutOfRange),
        (replace(POOL, more=(Interval(0, 30, 41),)), DimensionOutOfRange),
        (replace(POOL, weight_bits=9), QuantizationOutOfRange),
        (replace(POOL, bits=17), QuantizationOutOfRange),
        (DenseRoot(1, 0, 4, 2, 32, 8, 8), QuantizationOutOfRange),
        (DenseRoot(1, 0, 4, 2, 0, 9, 8), QuantizationOutOfRange),
    ],
)
def test_fields_out_of_range_are_refused(
    segment: HiddenSegment, error: type[DimensionOutOfRange | QuantizationOutOfRange]
) -> None:
    POOL.check()
    with pytest.raises(error):
        segment.check()


def test_roots_are_exact_up_to_the_last_one() -> None:
    root = DenseRoot(1, 0, 1, 1, 0, 8, 16)
    for steps in root.steps()[2:]:
        values = np.arange(2**16, dtype=np.int64)
        found = steps.exact(values)
        assert np.all(found * found <= values)
        assert np.all((found + 1) ** 2 > values)
        assert np.array_equal(np.floor(np.sqrt(values.astype(np.float32))), found)
