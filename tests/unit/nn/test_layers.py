"""Layer kinds: their own checks, their steps on exhaustive small ranges, their costs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.nn.dtypes import IntArray
from engram.nn.errors import BoundViolated, DimensionOutOfRange, QuantizationOutOfRange
from engram.nn.fixed import INT32_MAX
from engram.nn.layers import DenseRelu, DenseSquare, HiddenSegment, Output
from engram.nn.layers.dense import ACTIVATION_MACS, READ_MACS
from engram.nn.layers.segment import exact_forward, prove_peak
from engram.nn.layers.steps import Clip, RoundShift, Square, Step
from tests.support.nn_reference import activation

RELU = DenseRelu(layer=1, lo=2, hi=5, width=4, shift=3, bits=8, weight_bits=8)
SQUARE = DenseSquare(layer=1, lo=2, hi=5, width=4, s1=3, h=6, s2=2, bits=8, weight_bits=8)
OUTPUT = Output(layer=1, lo=2, hi=5, first=1, width=4, shift=3, weight_bits=8)
SEGMENTS = (RELU, SQUARE, OUTPUT)


@pytest.mark.parametrize(
    ("segment", "changes"),
    [
        *[(segment, {"lo": 5}) for segment in SEGMENTS],
        *[(segment, {"lo": 6}) for segment in SEGMENTS],
        *[(segment, {"width": 0}) for segment in SEGMENTS],
    ],
)
def test_empty_dimensions_are_refused(segment: HiddenSegment | Output, changes: dict[str, Any]) -> None:
    segment.check()
    with pytest.raises(DimensionOutOfRange):
        replace(segment, **changes).check()


@pytest.mark.parametrize(
    ("segment", "changes"),
    [
        *[(segment, {"weight_bits": bits}) for segment in SEGMENTS for bits in (0, 7, 9, 12, 32)],
        *[(segment, {"bits": bits}) for segment in (RELU, SQUARE) for bits in (0, 17)],
        (RELU, {"shift": 32}),
        (SQUARE, {"s1": 32}),
        (SQUARE, {"s2": 32}),
        (SQUARE, {"h": 0}),
        (SQUARE, {"h": 16}),
        (OUTPUT, {"shift": 32}),
        (OUTPUT, {"shift": -17}),
    ],
)
def test_undefined_quantization_is_refused(segment: HiddenSegment | Output, changes: dict[str, Any]) -> None:
    segment.check()
    with pytest.raises(QuantizationOutOfRange) as caught:
        replace(segment, **changes).check()
    assert caught.value.code == "quantization_out_of_range"


@pytest.mark.parametrize(
    "segment",
    [
        RELU,
        replace(RELU, shift=0, bits=1),
        SQUARE,
        replace(SQUARE, s1=0, s2=0, bits=16),
        replace(SQUARE, s1=1, h=1, s2=1, bits=1),
    ],
)
def test_an_activation_is_its_formula(segment: DenseRelu | DenseSquare) -> None:
    """One input, one weight of 1 and a running bias: the accumulator takes every value from -3000 to 3000."""
    values = np.arange(-3000, 3001, dtype=np.int32)
    one = replace(segment, lo=0, hi=1, width=len(values))
    weights = np.ones((1, len(values)), dtype=np.int8)
    result = exact_forward(one, np.zeros((1, 1), dtype=np.int64), weights, values)
    assert result.tolist() == [[activation(segment, a) for a in values.tolist()]]


@pytest.mark.parametrize("step", [RoundShift(0), RoundShift(3), Clip(-4, 9), Clip(0, 255), Square()])
@pytest.mark.parametrize(("lo", "hi"), [(-20, 20), (-20, -3), (2, 17), (0, 0), (-1, 30)])
def test_a_step_stays_within_its_image_and_peak(step: Step, lo: int, hi: int) -> None:
    values = step.exact(np.arange(lo, hi + 1, dtype=np.int64))
    assert (int(values.min()), int(values.max())) == step.image(lo, hi)
    assert max(abs(lo), abs(hi)) <= step.peak(lo, hi)
    assert int(np.abs(values).max()) <= step.peak(lo, hi)


def test_a_peak_counts_product_bias_and_rounding() -> None:
    weights = np.array([[1, -2], [3, 4]], dtype=np.int8)
    bias = np.array([-10, 5], dtype=np.int32)
    segment = replace(RELU, lo=0, hi=2, width=2, shift=4)
    assert prove_peak(segment, weights, bias, 255) == 6 * 255 + 5 + 8
    assert prove_peak(replace(OUTPUT, lo=0, hi=2, width=2, shift=-9), weights, bias, 15) == 6 * 15 + 5
    square = replace(SQUARE, lo=0, hi=2, width=2, s1=4, h=6, s2=0)
    assert prove_peak(square, weights, bias, 255) == 64**2
    assert prove_peak(replace(square, h=11), weights, bias, 255) == ((6 * 255 + 5 + 8) // 16) ** 2


@pytest.mark.parametrize(
    ("bias", "fits"), [(INT32_MAX - 255 * 127 - 4, True), (INT32_MAX - 255 * 127 - 3, False)]
)
def test_a_bound_holds_to_the_last_integer(bias: int, fits: bool) -> None:
    segment = replace(RELU, lo=0, hi=1, width=1)
    weights, biases = np.array([[127]], dtype=np.int8), np.array([bias], dtype=np.int32)
    if fits:
        assert prove_peak(segment, weights, biases, 255) == INT32_MAX
        return
    with pytest.raises(BoundViolated) as caught:
        prove_peak(segment, weights, biases, 255)
    assert (caught.value.code, caught.value.expected, caught.value.got) == (
        "bound_violated",
        INT32_MAX,
        INT32_MAX + 1,
    )


def test_a_late_step_can_break_the_bound() -> None:
    segment = replace(SQUARE, lo=0, hi=1, width=1, s1=0, h=15, s2=31)
    with pytest.raises(BoundViolated):
        prove_peak(segment, np.array([[127]], dtype=np.int8), np.array([2**20], dtype=np.int32), 255)


def test_shapes_and_costs() -> None:
    for segment in SEGMENTS:
        assert segment.parameter_shapes() == ((3, 4), (4,))
        assert segment.macs_per_row() == 3 * 4 + READ_MACS * 3 + ACTIVATION_MACS * 4


def test_hidden_segments_read_the_layer_below_and_outputs_any() -> None:
    assert [segment.reads for segment in SEGMENTS] == [0, 0, 1]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
@pytest.mark.parametrize("rows", [1, 511, 512, 513, 65_536, 70_000])
def test_the_reach_of_extreme_weights_overflows_nothing(dtype: type, rows: int) -> None:
    extreme = int(np.iinfo(min(dtype, np.int16, key=lambda each: np.dtype(each).itemsize)).max)
    weights: IntArray = np.full((rows, 2), -extreme, dtype=dtype)
    weights[:, 1] = extreme - 1
    bias = np.array([1, -2], dtype=np.int32)
    assert RELU.reach(weights, bias, 255) == rows * extreme * 255 + 1
    assert RELU.reach(weights[:, 1:], bias[1:], 255) == rows * (extreme - 1) * 255 + 2
