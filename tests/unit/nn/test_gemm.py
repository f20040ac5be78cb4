"""Arithmetics: which float type a segment gets, and what a wrong BLAS would be caught by."""

from typing import Any

import numpy as np
import pytest

from engram.nn.dtypes import IntArray
from engram.nn.engine import FAST, REFERENCE, Engine, NumpyEngine
from engram.nn.gemm import FLOAT32_LIMIT, FLOAT64_LIMIT, FLOATS, Kernel
from engram.nn.layers import DenseSquare, Output
from engram.nn.layers.segment import Segment, exact_forward, prove_peak
from engram.nn.selfcheck import first_wrong, is_exact
from tests.support.inexact import inexact, without_last_bit


class Narrow:
    """An arithmetic that believes float32 holds everything: what a BLAS in a narrower type would be."""

    activations = np.dtype(np.float32)

    def accumulators(self, peak: int) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def kernel(self, segment: Segment, weights: IntArray, bias: IntArray, peak: int) -> Kernel:
        return FLOATS.kernel(segment, weights, bias, 0)


@pytest.mark.parametrize("engine", [FAST, REFERENCE])
def test_this_machine_computes_exactly(engine: Engine) -> None:
    assert is_exact(engine)


def test_inexact_engines_are_caught() -> None:
    assert first_wrong(NumpyEngine("narrow", Narrow())) == "sums to the largest peak"
    assert first_wrong(inexact(without_last_bit)) == "sums to the limit of float32"


def test_the_float_type_follows_the_peak() -> None:
    assert FLOATS.accumulators(FLOAT32_LIMIT - 1) == np.float32
    assert FLOATS.accumulators(FLOAT32_LIMIT) == np.float64
    assert FLOATS.accumulators(FLOAT64_LIMIT - 1) == np.float64
    with pytest.raises(AssertionError):
        FLOATS.accumulators(FLOAT64_LIMIT)


@pytest.mark.fault(id=28)
@pytest.mark.parametrize("limit", [2**24, 2**31])
@pytest.mark.parametrize("shift", [0, 1, 9])
def test_sums_at_the_edge_of_a_type(limit: int, shift: int) -> None:
    """Accumulators up to the last one that the type holds, reached through partial sums of either sign."""
    rng = np.random.default_rng(7)
    half = 1 << (shift - 1) if shift else 0
    reach = limit - 1 - half
    signs = rng.choice((-1, 1), (32, 9)).repeat(2, axis=0)
    signs[1::2] *= -1
    sizes = rng.integers(1, 2 * (reach // 255) // 64, (64, 9))
    sizes = sizes * (reach // 255) // sizes.sum(axis=0).max()
    weights = (signs * sizes.clip(0, 32767)).astype(np.int16)
    bias = (reach - 255 * np.abs(weights).sum(axis=0, dtype=np.int64)).astype(np.int32)
    bias[::2] *= -1
    segment = Output(0, 0, 64, 0, 9, shift, 16)
    peak = prove_peak(segment, weights, bias, 255)
    assert peak == limit - 1
    x = np.where(rng.random((40, 64)) < 0.5, 0, 255)
    x[0], x[1] = 255, (weights[:, 0] > 0) * 255
    out = np.empty((40, 9), dtype=FLOATS.accumulators(peak))
    FLOATS.kernel(segment, weights, bias, peak)(x.astype(FLOATS.activations), out)
    expected = exact_forward(segment, x, weights, bias)
    assert np.array_equal(out, expected)
    assert np.abs(expected).max() > (limit >> shift) // 4


def test_a_square_keeps_its_type_up_to_eleven_bits() -> None:
    weights, bias = np.array([[127]], np.int8), np.zeros(1, np.int32)
    for h, expected in ((11, np.float32), (12, np.float64)):
        segment = DenseSquare(1, 0, 1, 1, 0, h, 2, 8, 8)
        assert FLOATS.accumulators(prove_peak(segment, weights, bias, 255)) == expected


def test_an_output_keeps_its_accumulator() -> None:
    weights, bias = np.array([[-127]], np.int8), np.array([-(2**30) - 1], np.int32)
    segment = Output(0, 0, 1, 0, 1, -16, 8)
    peak = prove_peak(segment, weights, bias, 255)
    out = np.empty((1, 1), dtype=FLOATS.accumulators(peak))
    FLOATS.kernel(segment, weights, bias, peak)(np.array([[255]], dtype=FLOATS.activations), out)
    assert out.astype(np.int64).tolist() == [[-(2**30) - 1 - 127 * 255]]
