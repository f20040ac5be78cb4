"""A layer kind that is not dense needs no code but its own: it is defined here, in no file of the package.

The kind is a sliding window: every neuron is the same small filter at another place, so that weights, cost
and bound are none of the dense product's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest

from engram.nn.dtypes import IntArray
from engram.nn.engine import FAST, REFERENCE
from engram.nn.errors import BoundViolated, DimensionOutOfRange, ShapeMismatch, TooManyMacs
from engram.nn.growth import Growth, append, forward_frozen, forward_growth, growth_macs_per_row
from engram.nn.growth import Policy as GrowthPolicy
from engram.nn.layers import HiddenSegment, Interval, Output
from engram.nn.layers.reading import Reading
from engram.nn.layers.segment import Numbers, Shape, check_quantization
from engram.nn.layers.steps import Clip, RoundShift, Step
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters, forward
from engram.nn.parameters import check_parameters, prove_bounds
from engram.nn.spec import COMPONENT_MACS, LOGIT_MACS, NetworkLimits, check_spec, macs_per_row

FILTER = 3
LIMITS = NetworkLimits()
RNG = np.random.default_rng(5)


@dataclass(frozen=True)
class Window(Reading):
    """h[j] = clip(round_shift(Σ_t x[lo + j + t]·w[t] + b, shift), 0, 255), t = 0, 1, 2."""

    layer: int
    lo: int
    hi: int
    shift: int
    weight_bits: int = 8
    bits: int = 8
    more: tuple[Interval, ...] = ()

    @property
    def reads(self) -> int:
        return self.layer - 1

    @property
    def width(self) -> int:
        return self.hi - self.lo - FILTER + 1

    def check(self) -> None:
        if self.width < 1:
            raise DimensionOutOfRange("the window is wider than what it reads", got=(self.lo, self.hi))
        check_quantization("shift", self.shift, 0, 31)

    def parameter_shapes(self) -> tuple[Shape, Shape]:
        return (FILTER,), (1,)

    def macs_per_row(self) -> int:
        return FILTER * self.width

    def reach(self, weights: IntArray, bias: IntArray, x_max: int) -> int:
        return int(np.abs(weights.astype(np.int64)).sum()) * x_max + abs(int(bias[0]))

    def accumulate(self, x: Numbers, weights: Numbers, bias: Numbers, out: Numbers | None = None) -> Numbers:
        a = np.multiply(x[:, : self.width], weights[0], out=out)
        for t in range(1, FILTER):
            a += x[:, t : t + self.width] * weights[t]
        a += bias[0]
        return cast("Numbers", a)

    def steps(self) -> tuple[Step, ...]:
        return RoundShift(self.shift), Clip(0, 255)


def hidden(segment: Window) -> HiddenSegment:
    """The package's union cannot name a test's kind; nothing but the codec asks for it."""
    return cast("HiddenSegment", segment)


WINDOW = Window(layer=1, lo=1, hi=11, shift=4)
SPEC = NetworkSpec(12, 2, (), (hidden(WINDOW),), (Output(1, 0, 8, 0, 2, 3, 8),))


def parameters() -> Parameters:
    return (
        SegmentParameters(np.array([7, -120, 55], np.int8), np.array([900], np.int32)),
        SegmentParameters(RNG.integers(-127, 128, (8, 2)).astype(np.int8), np.array([5, -5], np.int32)),
    )


def by_hand(row: list[int], given: Parameters) -> list[int]:
    """Plain Python integers."""
    weights, bias = given[0].weights.tolist(), int(given[0].bias[0])
    neurons = []
    for j in range(WINDOW.width):
        a = sum(row[WINDOW.lo + j + t] * weights[t] for t in range(FILTER)) + bias
        neurons.append(min(max((a + 8) >> 4, 0), 255))
    columns = given[1].weights.T.tolist()
    sums = [sum(x * w for x, w in zip(neurons, column, strict=True)) for column in columns]
    return [(total + int(b) + 4) >> 3 for total, b in zip(sums, given[1].bias, strict=True)]


def rows(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return RNG.integers(0, 256, (count, 12)).astype(np.uint8)


@pytest.mark.parametrize("engine", [FAST, REFERENCE])
def test_both_engines_run_it_exactly(engine: Any) -> None:
    check_spec(SPEC, LIMITS)
    given, features = parameters(), rows(50)
    found = forward(SPEC, given, features, engine=engine)
    assert found.tolist() == [by_hand(row, given) for row in features.tolist()]


def test_it_is_checked_and_bounded_by_its_own_rules() -> None:
    given = parameters()
    check_parameters(SPEC, given)
    assert prove_bounds(SPEC, given).hidden == ((7 + 120 + 55) * 255 + 900 + 8,)
    with pytest.raises(ShapeMismatch):
        check_parameters(SPEC, (SegmentParameters(np.zeros((10, 8), np.int8), given[0].bias), given[1]))
    with pytest.raises(BoundViolated):
        prove_bounds(SPEC, (SegmentParameters(given[0].weights, np.array([2**31 - 1], np.int32)), given[1]))
    narrow = NetworkSpec(12, 2, (), (hidden(Window(1, 0, 2, 4)),), SPEC.outputs)
    with pytest.raises(DimensionOutOfRange):
        check_spec(narrow, LIMITS)


def test_it_is_charged_what_it_says() -> None:
    own = FILTER * 8 + SPEC.outputs[0].macs_per_row()
    assert macs_per_row(SPEC) == own + 2 * COMPONENT_MACS + 2 * LOGIT_MACS
    with pytest.raises(TooManyMacs):
        check_spec(SPEC, NetworkLimits(max_macs_per_row=macs_per_row(SPEC) - 1))


def test_growth_starts_from_its_frozen_activations() -> None:
    added = Window(layer=1, lo=0, hi=12, shift=5)
    growth = Growth(1, (hidden(added),), (Output(1, 0, 18, 2, 1, 2, 8),), ())
    grown = append(SPEC, growth, policy=GrowthPolicy.STRICT, limits=LIMITS)
    old = parameters()
    new = (
        SegmentParameters(np.array([-3, 90, 11], np.int8), np.array([-40], np.int32)),
        SegmentParameters(RNG.integers(-9, 9, (18, 1)).astype(np.int8), np.array([3], np.int32)),
    )
    features = rows(40)
    whole = forward(grown, (old[0], new[0], old[1], new[1]), features)
    resumed = forward_growth(SPEC, forward_frozen(SPEC, old, features), growth, new)
    assert np.array_equal(whole, resumed)
    assert np.array_equal(whole[:, :2], forward(SPEC, old, features))
    assert growth_macs_per_row(SPEC, growth) < macs_per_row(grown)
