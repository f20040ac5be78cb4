"""Convolutions: what they refuse, their shapes and bounds, and that every way of running them is exact."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from engram.nn.errors import DimensionOutOfRange, QuantizationOutOfRange
from engram.nn.gemm import FLOATS, INTEGERS
from engram.nn.layers import ConvRelu, ConvRoot, ConvSquare, HiddenSegment, maps
from engram.nn.layers.conv import GROUP_MACS
from engram.nn.layers.dense import ACTIVATION_MACS
from engram.nn.layers.maps import TAP_MACS, VALUE_MACS
from engram.nn.layers.segment import exact_forward, prove_peak
from engram.nn.parameters import SegmentParameters
from engram.nn.totals import Totals
from engram.participant.training.layers import kind_of
from engram.primitives.errors import InvalidNetwork
from tests.support.nn_reference import activation, convolved

RELU = ConvRelu(1, 3, 75, 4, 6, 6, 3, 2, 1, 3, 6, 8, 8)
"""Three maps of 4 x 6, padded by 1, to six maps of 2 x 3, two of each."""
SQUARE = ConvSquare(1, 0, 18, 3, 3, 2, 2, 1, 0, 2, 4, 7, 3, 8, 8)
"""Two maps of 3 x 3 to two of 2 x 2, each of its own."""

SHAPES: Sequence[ConvRelu | ConvSquare] = (
    RELU,
    SQUARE,
    replace(RELU, groups=1),
    replace(RELU, stride=1, padding=0),
    replace(RELU, stride=3, padding=2),
    replace(RELU, kernel=1, padding=0, stride=1, channels=3),
    replace(RELU, kernel=4, padding=0, stride=4),
    replace(RELU, channels=3, bits=16, shift=0, weight_bits=16),
    replace(SQUARE, padding=1),
    replace(SQUARE, groups=1, channels=1),
)


def drawn(segment: ConvRelu | ConvSquare, rows: int = 5) -> tuple[np.ndarray[Any, Any], SegmentParameters]:
    rng = np.random.default_rng(7)
    weights, bias = segment.parameter_shapes()
    limit = 2 ** (segment.weight_bits - 1) - 1
    x = rng.integers(0, 256, (rows, segment.hi - segment.lo))
    w = rng.integers(-limit, limit + 1, weights).astype(f"int{segment.weight_bits}")
    return x, SegmentParameters(w, rng.integers(-(2**12), 2**12, bias).astype(np.int32))


@pytest.mark.parametrize("segment", SHAPES)
def test_a_convolution_is_its_formula_in_every_engine(segment: ConvRelu | ConvSquare) -> None:
    segment.check()
    x, given = drawn(segment)
    expected = [[activation(segment, a) for a in convolved(segment, given, row)] for row in x.tolist()]
    assert exact_forward(segment, x.astype(np.int64), given.weights, given.bias).tolist() == expected
    peak = prove_peak(segment, given.weights, given.bias, 255)
    for arithmetic in (FLOATS, INTEGERS):
        out = np.zeros((len(x), segment.width), dtype=arithmetic.activations)
        arithmetic.kernel(segment, given.weights, given.bias, peak)(x.astype(arithmetic.activations), out)
        assert out.tolist() == expected


def test_the_size_of_a_chunk_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x, given = drawn(RELU, rows=7)
    whole = RELU.accumulate(x, given.weights.astype(np.int64), given.bias.astype(np.int64))
    monkeypatch.setattr(maps, "CHUNK_VALUES", 1)
    assert np.array_equal(
        RELU.accumulate(x, given.weights.astype(np.int64), given.bias.astype(np.int64)), whole
    )


@pytest.mark.parametrize("segment", SHAPES)
def test_no_accumulator_exceeds_the_reach_and_one_may_meet_it(segment: ConvRelu | ConvSquare) -> None:
    x, given = drawn(segment)
    reach = segment.reach(given.weights, given.bias, 255)
    wide = given.weights.astype(np.int64), given.bias.astype(np.int64)
    assert np.abs(segment.accumulate(x, *wide)).max() <= reach
    ones = np.ones_like(given.weights), np.ones_like(given.bias)
    bare = replace(segment, padding=0, kernel=1, stride=1)
    shapes = bare.parameter_shapes()
    full = np.full((1, bare.hi - bare.lo), 255)
    met = bare.accumulate(full, np.ones(shapes[0], np.int64), np.ones(shapes[1], np.int64))
    assert int(met.max()) == bare.reach(np.ones(shapes[0], np.int8), np.ones(shapes[1], np.int32), 255)
    assert segment.reach(*ones, 255) > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"lo": 75},
        {"height": 0},
        {"height": 5},
        {"breadth": 4_097},
        {"channels": 0},
        {"channels": 7},
        {"kernel": 0},
        {"kernel": 7},
        {"stride": 0},
        {"stride": 4},
        {"padding": 3},
        {"groups": 0},
        {"groups": 2},
        {"groups": 7},
        {"hi": 74},
    ],
)
def test_maps_kernels_and_groups_that_do_not_fit_are_refused(changes: dict[str, int]) -> None:
    RELU.check()
    with pytest.raises(DimensionOutOfRange) as caught:
        replace(RELU, **changes).check()  # type: ignore[arg-type]  # fields by name
    assert caught.value.code == "dimension_out_of_range"


@pytest.mark.parametrize(
    ("segment", "changes"),
    [
        (RELU, {"weight_bits": 9}),
        (RELU, {"shift": 32}),
        (RELU, {"bits": 17}),
        (SQUARE, {"s1": 32}),
        (SQUARE, {"h": 16}),
        (SQUARE, {"s2": 32}),
        (SQUARE, {"bits": 0}),
    ],
)
def test_undefined_quantization_is_refused(segment: HiddenSegment, changes: dict[str, int]) -> None:
    with pytest.raises(QuantizationOutOfRange):
        replace(segment, **changes).check()  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize("kind", [ConvRelu, ConvSquare, ConvRoot])
def test_a_network_may_be_looked_at_before_it_is_checked(
    kind: type[ConvRelu | ConvSquare | ConvRoot],
) -> None:
    """Whatever the fields are, shapes and sums are numbers; only `check` refuses."""
    names = [field.name for field in fields(kind)]
    for value in (0, 1, 2**8 - 1):
        for lo, hi in ((0, 0), (9, 3), (0, 2**32 - 1)):
            given: dict[str, Any] = dict.fromkeys(names, value)
            segment = kind(**(given | {"lo": lo, "hi": hi, "layer": 1, "more": ()}))
            totals = Totals.of(4, (segment,), ())
            assert totals.segments == 1
            assert isinstance(totals.macs_per_row, int)
            with pytest.raises(InvalidNetwork):
                segment.check()


def test_shapes_and_costs() -> None:
    assert RELU.width == 6 * 2 * 3
    assert RELU.parameter_shapes() == ((6, 1, 3, 3), (6,))
    taps = 3 * 9
    work = 6 * (6 * 9 + TAP_MACS * taps + ACTIVATION_MACS * 6)
    assert RELU.macs_per_row() == work + VALUE_MACS * 3 * 6 * 8 + GROUP_MACS * 3


@pytest.mark.parametrize("segment", SHAPES)
def test_the_trainers_gradients_are_the_adjoint_of_the_product(segment: ConvRelu | ConvSquare) -> None:
    """For all changes: error · product(x, dW) = gradient by W · dW, and likewise for x and the bias."""
    rng = np.random.default_rng(3)
    weights, bias = (np.zeros(shape, np.float32) for shape in segment.parameter_shapes())
    x = rng.integers(-9, 10, (4, segment.fan_in)).astype(np.float32)
    error = rng.integers(-9, 10, (4, segment.width)).astype(np.float32)
    w, dw = (rng.integers(-9, 10, weights.shape).astype(np.float32) for _ in range(2))
    db, dx = rng.integers(-9, 10, bias.shape).astype(np.float32), rng.integers(-9, 10, x.shape)
    kind = kind_of(segment)
    by_weights, by_bias = kind.parameter_gradients(segment, x, error)
    by_input = kind.input_gradient(segment, x, w, error)
    assert by_weights.shape == weights.shape
    assert np.sum(error * segment.accumulate(x, dw, bias)) == np.sum(by_weights * dw)
    assert np.sum(error * segment.accumulate(x * 0, w, db)) == np.sum(by_bias * db)
    assert np.sum(error * segment.accumulate(dx.astype(np.float32), w, bias)) == np.sum(by_input * dx)
