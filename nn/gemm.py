"""Arithmetics: exact integer products and the steps after them. The only module of the core that uses floats.

Why products in floating point are exact here: a segment's accumulators are sums of products, and the bound
proof says how large they and their partial sums can become (the peak). So every product and every partial sum
is an integer of magnitude at most the peak. float32 holds every integer up to 2^24, and float64 every integer
up to 2^53. Below these limits no operation rounds: in any order of summation, with or without fused
multiply-add, on any number of threads.

Scaling by a power of two changes only the exponent, so it is exact as well. `FLOATS` therefore scales
weights and bias by 2^-s once, when it prepares a segment, instead of shifting every accumulator of every row;
what remains of the first rounding shift is a floor.

`FLOATS` chooses for each segment, by its peak, the cheaper of the exact types. `INTEGERS` computes in plain
int64. Both give the same integers. `engine` makes engines of them, which evaluate whole networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from engram.nn.dtypes import IntArray
from engram.nn.layers.segment import Numbers, Segment, exact_forward
from engram.nn.layers.steps import Clip, Root, RoundShift, Square, Step

FLOAT32_LIMIT: Final = 2**24
FLOAT64_LIMIT: Final = 2**53

Floats = npt.NDArray[np.floating[Any]]


class Kernel(Protocol):
    """A segment that is ready to run, with its parameters in the form that its arithmetic needs."""

    def __call__(self, x: Numbers, out: Numbers) -> None:
        """Writes the results for the rows x (n, hi - lo) into `out` (n, width); both hold integers."""


class Arithmetic(Protocol):
    """A way to compute segments. All of them give the same integers."""

    @property
    def activations(self) -> np.dtype[Any]:
        """The element type in which activations of up to 16 bits are kept between segments."""

    def accumulators(self, peak: int) -> np.dtype[Any]:
        """The element type for the results of a segment that has this peak and no activation."""

    def kernel(self, segment: Segment, weights: IntArray, bias: IntArray, peak: int) -> Kernel:
        """Prepares a segment for which `prove_peak` returned `peak`."""


class _Integers:
    """Plain int64 arithmetic: slow, but the definition of the results."""

    activations: np.dtype[Any] = np.dtype(np.int64)

    def accumulators(self, peak: int) -> np.dtype[Any]:
        return np.dtype(np.int64)

    def kernel(self, segment: Segment, weights: IntArray, bias: IntArray, peak: int) -> Kernel:
        def run(x: Numbers, out: Numbers) -> None:
            out[...] = exact_forward(segment, x, weights, bias)

        return run


class _Floats:
    """Floating-point matrix products, in a type whose limit of exactness lies above the peak."""

    activations: np.dtype[Any] = np.dtype(np.float32)

    def accumulators(self, peak: int) -> np.dtype[Any]:
        """The cheaper of the two types in which no integer up to `peak` is rounded."""
        assert 0 <= peak < FLOAT64_LIMIT, "`prove_peak` refuses a peak beyond 32 bits"
        return np.dtype(np.float32 if peak < FLOAT32_LIMIT else np.float64)

    def kernel(self, segment: Segment, weights: IntArray, bias: IntArray, peak: int) -> Kernel:
        dtype = self.accumulators(peak)
        first, rest = _split(segment.steps())
        scale = dtype.type(2.0**-first.bits)
        scaled_weights = np.multiply(weights, scale, dtype=dtype)
        scaled_bias = (bias.astype(np.float64) + first.half).astype(dtype) * scale
        return _FloatKernel(segment, scaled_weights, scaled_bias, first.bits > 0, rest)


@dataclass(frozen=True, eq=False)
class _FloatKernel:
    segment: Segment
    weights: Floats
    """The weights times 2^-s, where s is the first rounding shift."""
    bias: Floats
    """(b + 2^(s-1))·2^-s."""
    floors: bool
    """Whether s > 0: then the accumulators have a fraction that must be dropped."""
    steps: tuple[Step, ...]
    """The steps after the first rounding shift."""

    def __call__(self, x: Numbers, out: Numbers) -> None:
        dtype = self.weights.dtype
        operand = x.astype(dtype, copy=False)
        a = self.segment.accumulate(operand, self.weights, self.bias, out if out.dtype == dtype else None)
        if self.floors:
            np.floor(a, out=a)
        for step in self.steps:
            _FLOAT_STEPS[type(step)](step, a)
        if a is not out:
            out[...] = a


def _split(steps: tuple[Step, ...]) -> tuple[RoundShift, tuple[Step, ...]]:
    """The leading rounding shift (of 0 bits if there is none), and the steps after it."""
    match steps:
        case (RoundShift() as first, *rest):
            return first, tuple(rest)
    return RoundShift(0), steps


def _float_round_shift(step: RoundShift, a: Floats) -> None:
    if step.bits:
        a += step.half
        a *= 2.0**-step.bits
        np.floor(a, out=a)


def _float_clip(step: Clip, a: Floats) -> None:
    # Bounds of the array's own type: for Python's integers, numpy looks up the limits of types at every call.
    np.clip(a, a.dtype.type(step.lo), a.dtype.type(step.hi), out=a)


def _float_square(step: Square, a: Floats) -> None:
    np.square(a, out=a)


def _float_root(step: Root, a: Floats) -> None:
    # A root of an integer below 2^22 is rounded correctly in float32, and never up to the next integer.
    np.sqrt(a, out=a)
    np.floor(a, out=a)


_FLOAT_STEPS: Final[Mapping[type[Step], Callable[[Any, Floats], None]]] = {
    RoundShift: _float_round_shift,
    Clip: _float_clip,
    Square: _float_square,
    Root: _float_root,
}

FLOATS: Final[Arithmetic] = _Floats()
INTEGERS: Final[Arithmetic] = _Integers()
