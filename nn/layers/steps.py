"""Elementwise steps from an accumulator to an activation: the formula and the range of each. No products.

A layer states its activation as a tuple of steps. Engines compute the steps, and the bound proof follows
their ranges, so a new layer needs no code in either.

Each step has three methods. `exact` computes it on int64 arrays. For values of an interval [lo, hi], `peak`
is the largest magnitude that occurs on the way through the step, and `image` is the smallest interval that
holds all results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from engram.nn.fixed import Int64Array, round_shift, saturate


@dataclass(frozen=True)
class RoundShift:
    """Turns a into round_shift(a, bits)."""

    bits: int

    @property
    def half(self) -> int:
        """What is added before the shift, so that it rounds: 2^(bits-1), or 0 if there is no shift."""
        return 1 << (self.bits - 1) if self.bits else 0

    def exact(self, a: Int64Array) -> Int64Array:
        return round_shift(a, self.bits)

    def peak(self, lo: int, hi: int) -> int:
        """Largest magnitude met while a value of [lo, hi] passes through this step."""
        return max(-lo, hi) + self.half

    def image(self, lo: int, hi: int) -> tuple[int, int]:
        """The smallest interval that holds the results for all of [lo, hi]."""
        return round_shift(lo, self.bits), round_shift(hi, self.bits)


@dataclass(frozen=True)
class Clip:
    """Turns a into the nearest value within [lo, hi]."""

    lo: int
    hi: int

    def exact(self, a: Int64Array) -> Int64Array:
        return saturate(a, self.lo, self.hi)

    def peak(self, lo: int, hi: int) -> int:
        """Largest magnitude met while a value of [lo, hi] passes through this step."""
        return max(-lo, hi)

    def image(self, lo: int, hi: int) -> tuple[int, int]:
        """The smallest interval that holds the results for all of [lo, hi]."""
        return saturate(lo, self.lo, self.hi), saturate(hi, self.lo, self.hi)


@dataclass(frozen=True)
class Square:
    """Turns a into a²."""

    def exact(self, a: Int64Array) -> Int64Array:
        return np.square(a)

    def peak(self, lo: int, hi: int) -> int:
        """Largest magnitude met while a value of [lo, hi] passes through this step."""
        return max(lo * lo, hi * hi)

    def image(self, lo: int, hi: int) -> tuple[int, int]:
        """The smallest interval that holds the results for all of [lo, hi]."""
        return (0 if lo <= 0 <= hi else min(lo * lo, hi * hi)), max(lo * lo, hi * hi)


@dataclass(frozen=True)
class Root:
    """Turns a, which lies in [0, 2^16), into ⌊√a⌋."""

    def exact(self, a: Int64Array) -> Int64Array:
        roots: Int64Array = (np.searchsorted(_SQUARES, a, side="right") - 1).astype(np.int64)
        return roots

    def peak(self, lo: int, hi: int) -> int:
        """Largest magnitude met while a value of [lo, hi] passes through this step."""
        return hi

    def image(self, lo: int, hi: int) -> tuple[int, int]:
        """The smallest interval that holds the results for all of [lo, hi]."""
        ends = self.exact(np.array([lo, hi], dtype=np.int64))
        return int(ends[0]), int(ends[1])


_SQUARES: Final = np.arange(2**8, dtype=np.int64) ** 2

Step = RoundShift | Clip | Square | Root
