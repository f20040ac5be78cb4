"""Segments take few array operations: a charge by values pays for no calls that grow with a shape."""

import gc
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.nn.layers import ConvRelu, DenseRelu, MaxPool, Output
from engram.nn.network import NetworkSpec
from engram.nn.spec import NetworkLimits, check_spec

ONE_MAP = ConvRelu(1, 0, 65_025, 255, 255, 1, 255, 255, 0, 1, 9, 8, 8)
"""One pixel of a map of 255 x 255, under one kernel."""
BY_MAPS = replace(ONE_MAP, hi=64_800, height=180, breadth=180, channels=2, kernel=180, stride=180, groups=2)
"""The same of two maps, each by itself."""
POOL = MaxPool(1, 0, 1, 1, 1, 255, 255, 254, 0, 8, 8)
"""A map of one pixel with much padding."""


def calls_of(work: Callable[[], Any]) -> int:
    """How many functions of Python and of its extensions are called, those of garbage collection apart."""
    seen = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # libraries of tests have functions called when it begins and ends
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return seen


def calls_of_rows(segment: ConvRelu | MaxPool, rows: int) -> int:
    weights, bias = (np.ones(shape, dtype=np.float32) for shape in segment.parameter_shapes())
    x = np.ones((rows, segment.hi), dtype=np.float32)
    return calls_of(lambda: segment.accumulate(x, weights, bias))


@pytest.mark.parametrize("segment", [ONE_MAP, BY_MAPS, POOL])
def test_the_extreme_shapes_are_allowed(segment: ConvRelu | MaxPool) -> None:
    outputs = (Output(1, 0, 1, 0, 2, 0, 8),)
    check_spec(NetworkSpec(segment.hi, 2, (), (segment,), outputs), NetworkLimits())


@pytest.mark.parametrize("segment", [ONE_MAP, BY_MAPS])
def test_the_calls_of_a_convolution_do_not_follow_its_kernel(segment: ConvRelu) -> None:
    small = replace(segment, hi=9 * segment.groups, height=3, breadth=3, kernel=3, stride=3)
    assert calls_of_rows(segment, 1) == calls_of_rows(small, 1)


def test_a_chunk_holds_several_rows_of_large_maps() -> None:
    assert calls_of_rows(POOL, 8) < 2 * calls_of_rows(POOL, 1)


@pytest.mark.parametrize("width", [1, 9])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_bound_of_few_columns_takes_few_calls(width: int, bits: int) -> None:
    segment = DenseRelu(1, 0, 65_521, width, 9, 8, bits)
    weights = np.random.default_rng(0).integers(-127, 128, (65_521, width)).astype(f"int{bits}")
    bias = np.zeros(width, dtype=np.int32)
    assert segment.reach(weights, bias, 255) == 255 * int(
        np.max(np.abs(weights.astype(np.int64)).sum(axis=0))
    )
    few = calls_of(lambda: segment.reach(weights[:100], bias, 255))
    assert calls_of(lambda: segment.reach(weights, bias, 255)) < 3 * few
