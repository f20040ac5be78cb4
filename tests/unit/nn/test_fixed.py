"""Rounding shift, saturation, and the exp and ln tables against 50-digit decimals."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from engram.nn import fixed
from tests.support.nn_reference import rounded


@pytest.mark.parametrize("s", [0, 1, 2, 7, 31])
def test_round_shift_rounds_halves_up(s: int) -> None:
    values = sorted(
        {sign * v + d for sign in (1, -1) for v in (0, 1, 3, 2**s, 3 << s, 2**30) for d in (-1, 0, 1)}
    )
    expected = [rounded(a, s) for a in values]
    assert [fixed.round_shift(a, s) for a in values] == expected
    assert fixed.round_shift(np.array(values, dtype=np.int64), s).tolist() == expected


def test_round_shift_by_example() -> None:
    assert [fixed.round_shift(a, 1) for a in (-3, -2, -1, 0, 1, 2, 3)] == [-1, -1, 0, 0, 1, 1, 2]


def test_saturate() -> None:
    assert [fixed.saturate(a, -2, 5) for a in (-9, -2, 0, 5, 6)] == [-2, -2, 0, 5, 5]
    assert fixed.saturate(np.array([-9, 0, 6], dtype=np.int64), -2, 5).tolist() == [-2, 0, 5]


def test_every_table_entry_is_the_nearest_integer() -> None:
    with localcontext() as context:
        context.prec = 50
        exps = [(Decimal(-i) / 1024).exp() for i in range(0, 24 * 1024 + 1, 61)]
        lns = [(1 + Decimal(i) / 2048).ln() for i in range(2049)]
        assert fixed.exp_table()[::61].tolist() == [int((e * 2**32).to_integral_value()) for e in exps]
        assert fixed.ln_table().tolist() == [int((ln * 2**32).to_integral_value()) for ln in lns]


def test_tables_cannot_be_written() -> None:
    for table in (fixed.exp_table(), fixed.ln_table()):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 0


def test_exp_falls_from_one_to_zero() -> None:
    d = np.arange(0, 25 << 16, 7, dtype=np.int64)
    values = fixed.exp_q32(d)
    assert values[0] == 2**32
    assert np.all(np.diff(values) <= 0)
    assert np.all(values[d >= 24 << 16] == 0)
    assert fixed.exp_q32(np.array([2**31], dtype=np.int64)).tolist() == [0]


def test_exp_and_ln_keep_their_promised_error() -> None:
    d = np.arange(0, 24 << 16, 997, dtype=np.int64)
    s = np.unique(np.geomspace(2**32, 2**48 - 1, 1500).astype(np.int64).clip(2**32, 2**48 - 1))
    with localcontext() as context:
        context.prec = 50
        of_exp = [
            abs(Decimal(v) / 2**32 - (Decimal(-at) / 2**16).exp())
            for v, at in zip(fixed.exp_q32(d).tolist(), d.tolist(), strict=True)
        ]
        of_ln = [
            abs(Decimal(v) / 2**32 - (Decimal(at) / 2**32).ln())
            for v, at in zip(fixed.ln_q32(s).tolist(), s.tolist(), strict=True)
        ]
    assert max(of_exp) < Decimal("1.3e-7")
    assert max(of_ln) < Decimal("3.1e-8")


def test_ln_grows_across_powers_of_two() -> None:
    around = np.array([2**k + d for k in range(33, 48) for d in (-1, 0, 1)], dtype=np.int64)
    assert np.all(np.diff(fixed.ln_q32(around)) >= 0)
    assert fixed.ln_q32(np.array([2**32], dtype=np.int64)).tolist() == [0]


@pytest.mark.parametrize("k", [1, 2, 3, 6, 10, 1000, 65_535])
def test_ln_of_an_integer(k: int) -> None:
    with localcontext() as context:
        context.prec = 50
        assert abs(Decimal(fixed.ln_q24(k)) - Decimal(k).ln() * 2**24) <= 1
