"""Mixtures of low-rank Gaussians: fitted to rows whose distribution is known, and drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from engram.participant.memory.errors import ConstantFeatures, FewerRowsThanComponents
from engram.participant.memory.mixtures import fit, floor_of, sample

RNG = np.random.default_rng(0)


def two_clouds() -> np.ndarray:
    """600 rows of 12 values around 60, then 200 around 190; value 0 varies five times as much as the rest."""
    rows = RNG.normal(0, 3, (800, 12)) + np.where(np.arange(800) < 600, 60, 190)[:, np.newaxis]
    rows[:, 0] += RNG.normal(0, 15, 800)
    return np.clip(np.rint(rows), 0, 255).astype(np.uint8)


def test_components_find_the_clouds_their_shares_and_their_widest_direction() -> None:
    mixture = fit(two_clouds(), components=2, rank=1, rng=np.random.default_rng(1))
    light, heavy = sorted(mixture, key=lambda each: each.share)
    assert (light.share, heavy.share) == (0.25, 0.75)
    assert np.allclose(light.mean, 190, atol=4)
    assert np.allclose(heavy.mean, 60, atol=4)
    for each in mixture:
        assert abs(each.directions[0, 0]) > 0.99
        assert 170 < each.variances[0] < 310
        assert 7 < each.rest < 11


def test_drawn_rows_have_the_mean_and_the_spread_of_the_class() -> None:
    rows = two_clouds()
    mixture = fit(rows, components=2, rank=3, rng=np.random.default_rng(1))
    drawn = sample(mixture, 4_000, np.random.default_rng(2))
    assert drawn.dtype == np.uint8
    assert np.allclose(drawn.mean(axis=0), rows.mean(axis=0), atol=4)
    assert np.allclose(drawn.std(axis=0), rows.std(axis=0), rtol=0.08)


def test_more_directions_than_rows_allow_are_left_out() -> None:
    mixture = fit(two_clouds()[:5], components=1, rank=11, rng=np.random.default_rng(1))
    assert mixture[0].directions.shape[1] <= 4
    assert floor_of([mixture]) == mixture[0].rest


def test_too_few_and_constant_rows_are_refused() -> None:
    with pytest.raises(FewerRowsThanComponents):
        fit(two_clouds()[:5], components=3, rank=1, rng=RNG)
    with pytest.raises(ConstantFeatures):
        fit(np.full((50, 12), 7, np.uint8), components=1, rank=1, rng=RNG)
