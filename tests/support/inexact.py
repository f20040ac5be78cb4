"""An engine whose products are bent a little: what a BLAS that is not exact would be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.engine import NumpyEngine
from engram.nn.gemm import FLOATS, Kernel
from engram.nn.layers.segment import Numbers, Segment


class Bent:
    """The arithmetic of floats, with something done to every product afterwards, in place."""

    activations = FLOATS.activations

    def __init__(self, bend: Callable[[Numbers], object]) -> None:
        self._bend = bend

    def accumulators(self, peak: int) -> np.dtype[Any]:
        return FLOATS.accumulators(peak)

    def kernel(self, segment: Segment, weights: IntArray, bias: IntArray, peak: int) -> Kernel:
        exact = FLOATS.kernel(segment, weights, bias, peak)

        def run(x: Numbers, out: Numbers) -> None:
            exact(x, out)
            self._bend(out)

        return run


def inexact(bend: Callable[[Numbers], object]) -> NumpyEngine:
    """The fast engine with such an arithmetic."""
    return NumpyEngine("numpy", Bent(bend))


def without_last_bit(out: Numbers) -> None:
    """Rounds down to even."""
    out -= out % 2


def far_off(out: Numbers) -> None:
    """Changes every product by enough to be seen in a score."""
    out += 9_999
