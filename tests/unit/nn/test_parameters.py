"""Parameters are refused by number, type, shape and range, each with its own error."""

import numpy as np
import pytest

from engram.nn.errors import BoundViolated, ShapeMismatch, WeightOutOfRange
from engram.nn.fixed import INT32_MAX
from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters, forward
from engram.nn.parameters import Bounds, check_parameters, prove_bounds
from engram.nn.totals import Totals

SPEC = NetworkSpec(3, 2, (), (DenseRelu(1, 0, 3, 2, 0, 4, 8),), (Output(1, 0, 2, 0, 2, 0, 16),))
HIDDEN = SegmentParameters(np.full((3, 2), -127, np.int8), np.full(2, INT32_MAX - 3 * 127 * 255, np.int32))
OUT = SegmentParameters(np.full((2, 2), 32767, np.int16), np.zeros(2, np.int32))


def changed(weights: object, bias: object) -> Parameters:
    return (SegmentParameters(np.asarray(weights), np.asarray(bias)), OUT)


def test_extreme_parameters_pass() -> None:
    check_parameters(SPEC, (HIDDEN, OUT))
    assert prove_bounds(SPEC, (HIDDEN, OUT)) == Bounds((INT32_MAX,), (2 * 15 * 32767,))


@pytest.mark.parametrize(
    "parameters",
    [
        (),
        (HIDDEN,),
        (HIDDEN, OUT, OUT),
        (OUT, HIDDEN),
        changed(HIDDEN.weights.T, HIDDEN.bias),
        changed(HIDDEN.weights.astype(np.int16), HIDDEN.bias),
        changed(HIDDEN.weights.astype(np.float64), HIDDEN.bias),
        changed(HIDDEN.weights.reshape(1, 3, 2), HIDDEN.bias),
        changed(HIDDEN.weights, HIDDEN.bias.astype(np.int64)),
        changed(HIDDEN.weights, HIDDEN.bias[:1]),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters: Parameters) -> None:
    with pytest.raises(ShapeMismatch) as caught:
        check_parameters(SPEC, parameters)
    assert caught.value.code == "shape_mismatch"


@pytest.mark.parametrize(
    ("parameters", "worst"),
    [
        (changed(np.array([[0, 0], [0, -128], [0, 0]], np.int8), HIDDEN.bias), -128),
        (changed(HIDDEN.weights, np.array([0, -(2**31)], np.int32)), -(2**31)),
        ((HIDDEN, SegmentParameters(np.array([[0, 0], [-32768, 0]], np.int16), OUT.bias)), -32768),
    ],
)
def test_the_asymmetric_end_of_a_type_is_out_of_range(parameters: Parameters, worst: int) -> None:
    for judge in (check_parameters, prove_bounds):
        with pytest.raises(WeightOutOfRange) as caught:
            judge(SPEC, parameters)
        assert (caught.value.code, caught.value.got) == ("weight_out_of_range", worst)


def test_a_forward_pass_proves_its_bounds_first() -> None:
    over = changed(HIDDEN.weights, HIDDEN.bias + np.int32(1))
    with pytest.raises(BoundViolated):
        forward(SPEC, over, np.zeros((1, 3), np.uint8))


def test_the_largest_values_follow_the_bits_of_each_neuron() -> None:
    hidden = tuple(DenseRelu(layer, 0, 1, 2, 0, bits, 8) for layer, bits in ((1, 8), (2, 1), (1, 3), (1, 12)))
    totals = NetworkSpec(3, 1, (), hidden, ()).totals
    assert totals.widths == (3, 6, 2)
    ones = [[totals.largest(layer, at, at + 1) for at in range(totals.widths[layer])] for layer in range(3)]
    assert ones == [[255] * 3, [255, 255, 7, 7, 4095, 4095], [1, 1]]
    assert (totals.largest(1, 2, 4), totals.largest(1, 1, 4), totals.largest(1, 0, 6)) == (7, 255, 4095)


def test_the_largest_of_every_interval_is_that_of_its_neurons() -> None:
    bits = (8, 3, 3, 1, 16, 2, 12, 2)
    hidden = tuple(DenseRelu(1, 0, 4, 1 + at % 3, 0, own, 8) for at, own in enumerate(bits))
    totals = Totals.of(4, hidden, ())
    values = [2**segment.bits - 1 for segment in hidden for _ in range(segment.width)]
    assert totals.widths == (4, len(values))
    for lo in range(len(values)):
        for hi in range(lo + 1, len(values) + 1):
            assert totals.largest(1, lo, hi) == max(values[lo:hi]), (lo, hi)


def test_a_bound_counts_only_what_its_segment_reads() -> None:
    wide, narrow = DenseRelu(1, 0, 3, 2, 0, 16, 8), DenseRelu(1, 0, 3, 2, 0, 2, 8)
    readers = [Output(1, lo, lo + 1, 0, 1, 0, 8) for lo in range(4)]
    spec = NetworkSpec(3, 1, (), (wide, narrow), tuple(readers))
    one = SegmentParameters(np.ones((1, 1), np.int8), np.zeros(1, np.int32))
    zero = SegmentParameters(np.zeros((3, 2), np.int8), np.zeros(2, np.int32))
    assert prove_bounds(spec, (zero, zero, *[one] * 4)) == Bounds((0, 0), (65_535, 65_535, 3, 3))


@pytest.mark.parametrize("shift", [-16, -1, 0])
def test_the_bound_of_a_negative_output_shift_is_its_reach(shift: int) -> None:
    spec = NetworkSpec(1, 1, (), (), (Output(0, 0, 1, 0, 1, shift, 8),))
    highest = SegmentParameters(np.array([[1]], np.int8), np.array([INT32_MAX - 255], np.int32))
    assert prove_bounds(spec, (highest,)) == Bounds((), (INT32_MAX,))
    beyond = SegmentParameters(highest.weights, highest.bias + np.int32(1))
    with pytest.raises(BoundViolated):
        prove_bounds(spec, (beyond,))
