"""Integer arithmetic with one rounding rule, and exp and ln by integer tables. No floats, no networks.

Why tables: the exp and ln of mathematical libraries differ in their last bits from machine to machine, and
one bit of difference in a loss would split the chain. Integer additions, products and shifts differ nowhere.

Number formats: Qf is an integer that stands for value / 2^f. Logits are Q16 nats, losses Q24 nats.

The one rounding rule:      round_shift(a, s) = (a + 2^(s-1)) >> s for s > 0 (arithmetic shift), a for s = 0.
The one interpolation rule: between table entries T[i] and T[i+1], at the fraction f / 2^b,
                            T[i] + round_shift((T[i+1] - T[i])·f, b).

Tables, each entry rounded to nearest from a big-integer series:
    EXP[i] = 2^32·exp(-i / 2^10), i = 0 … 24·2^10           LN[i] = 2^32·ln(1 + i / 2^11), i = 0 … 2^11

exp(-d), d ≥ 0 in Q16, into Q32:  e = min(d, 24·2^16); i = e >> 6; f = e mod 2^6; b = 6. EXP ends in 0.
ln(S), 2^32 ≤ S < 2^48 in Q32:    k = ⌊log2 S⌋ - 32; u = (S << (16 - k)) - 2^48; i = u >> 37; f = u mod 2^37;
                                  b = 37; k·LN[2^11] + the interpolated entry.
The logarithm splits the value S / 2^32 into 2^k·m with 1 ≤ m < 2. LN[2^11] is ln 2, so k·LN[2^11] accounts
for 2^k, and the table needs to cover only ln m.

Errors against the real functions: exp below 1.3e-7 absolute, ln below 3.1e-8 nat.
"""

from __future__ import annotations

from functools import cache
from typing import Final, overload

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

INT32_MAX: Final = 2**31 - 1
LOGIT_BITS: Final = 16
LOSS_BITS: Final = 24
EXP_CUT_NATS: Final = 24

_TABLE_BITS: Final = 32
_EXP_STEP_BITS: Final = 10
EXP_FRACTION_BITS: Final = LOGIT_BITS - _EXP_STEP_BITS
"""The bits of b in exp(-d): what of d is between two entries of EXP."""
_EXP_CUT: Final = EXP_CUT_NATS << LOGIT_BITS
_LN_STEP_BITS: Final = 11
_LN_HEADROOM_BITS: Final = 16
_LN_ONE: Final = 1 << (_TABLE_BITS + _LN_HEADROOM_BITS)
LN_FRACTION_BITS: Final = _TABLE_BITS + _LN_HEADROOM_BITS - _LN_STEP_BITS
"""The bits of b in ln(S)."""
_GUARD_BITS: Final = 96
"""Bits of the series beyond those of an entry, so that truncation does not reach the entry."""


@overload
def round_shift(a: int, s: int) -> int: ...
@overload
def round_shift(a: Int64Array, s: int) -> Int64Array: ...
def round_shift(a: int | Int64Array, s: int) -> int | Int64Array:
    """a / 2^s rounded to the nearest integer, halves up.

    s ≥ 0. Arrays are int64, and a + 2^(s-1) must not overflow.
    """
    return (a + (1 << (s - 1))) >> s if s else a


@overload
def saturate(a: int, lo: int, hi: int) -> int: ...
@overload
def saturate(a: Int64Array, lo: int, hi: int) -> Int64Array: ...
def saturate(a: int | Int64Array, lo: int, hi: int) -> int | Int64Array:
    """The value within [lo, hi] that is nearest to a; elementwise for arrays."""
    return max(lo, min(a, hi)) if isinstance(a, int) else np.clip(a, lo, hi)


def exp_q32(d: Int64Array) -> Int64Array:
    """exp(-d / 2^16) in Q32, for int64 d ≥ 0: exactly 2^32 for d = 0, and 0 from 24 nats (d = 24·2^16) on."""
    entries, steps = _exp_table()
    capped = np.minimum(d, _EXP_CUT)
    index = capped >> EXP_FRACTION_BITS
    return _interpolate(entries, steps, index, capped & ((1 << EXP_FRACTION_BITS) - 1), EXP_FRACTION_BITS)


def ln_q32(s: Int64Array) -> Int64Array:
    """ln(s / 2^32) in Q32 nats, for int64 s with 2^32 ≤ s < 2^48."""
    entries, steps = _ln_table()
    powers = np.array([1 << (_TABLE_BITS + k) for k in range(_LN_HEADROOM_BITS)], dtype=np.int64)
    exponent = np.searchsorted(powers, s, side="right").astype(np.int64) - 1
    mantissa = (s << (_LN_HEADROOM_BITS - exponent)) - _LN_ONE
    index = mantissa >> LN_FRACTION_BITS
    fraction = mantissa & ((1 << LN_FRACTION_BITS) - 1)
    logarithm = _interpolate(entries, steps, index, fraction, LN_FRACTION_BITS)
    logarithm += exponent * entries[-1]
    return logarithm


def ln_q24(k: int) -> int:
    """ln k in Q24 nats, 1 ≤ k < 2^16.

    It is exactly the cross-entropy of one row with k equal logits, so thresholds of the loss are stated in
    units of it.
    """
    ratio = np.array([k << _TABLE_BITS], dtype=np.int64)
    return int(round_shift(ln_q32(ratio), _TABLE_BITS - LOSS_BITS)[0])


def exp_table() -> Int64Array:
    """The table EXP of the module's description: int64, read-only."""
    return _exp_table()[0]


def ln_table() -> Int64Array:
    """The table LN of the module's description: int64, read-only."""
    return _ln_table()[0]


def _interpolate(
    entries: Int64Array, steps: Int64Array, index: Int64Array, fraction: Int64Array, bits: int
) -> Int64Array:
    """The module's interpolation rule; computed in place to save temporary arrays."""
    rise = steps[index]
    rise *= fraction
    rise += 1 << (bits - 1)
    rise >>= bits
    rise += entries[index]
    return rise


@cache
def _exp_table() -> tuple[Int64Array, Int64Array]:
    scale = _TABLE_BITS + _GUARD_BITS
    ratio, term, k = 0, 1 << scale, 0
    while term:  # exp(-2^-10) = 1 - 2^-10 + 2^-20/2! - …
        ratio += -term if k % 2 else term
        k += 1
        term = (term >> _EXP_STEP_BITS) // k
    values, value = [], 1 << scale
    for _ in range((EXP_CUT_NATS << _EXP_STEP_BITS) + 1):
        values.append(round_shift(value, _GUARD_BITS))
        value = (value * ratio) >> scale
    return _with_steps(values)


@cache
def _ln_table() -> tuple[Int64Array, Int64Array]:
    start = 1 << _LN_STEP_BITS
    values, value = [0], 0
    for n in range(start, 2 * start):
        value += _ln_ratio(n)
        values.append(round_shift(value, _GUARD_BITS))
    return _with_steps(values)


def _ln_ratio(n: int) -> int:
    """ln((n + 1) / n) in Q128, by the series 2·(1/m + 1/(3·m^3) + 1/(5·m^5) + …) with m = 2n + 1."""
    m = 2 * n + 1
    total, power, k = 0, (2 << (_TABLE_BITS + _GUARD_BITS)) // m, 1
    while power:
        total += power // k
        power //= m * m
        k += 2
    return total


def _with_steps(values: list[int]) -> tuple[Int64Array, Int64Array]:
    """The entries, and for each entry the difference to the next one (0 for the last). Both are read-only."""
    entries = np.array(values, dtype=np.int64)
    steps = np.diff(entries, append=entries[-1:])
    entries.setflags(write=False)
    steps.setflags(write=False)
    return entries, steps
