"""Mixtures of low-rank Gaussians, one mixture a class: what a class looks like in the trunk's values.

A component has a mean, `rank` orthonormal directions with their variances, and one variance, the floor, for
all other directions. A mixture can be evaluated (engine `experts`) and sampled (engine `replay`). It holds
means and directions of real rows, so it says about them what `statistics.py` says that sums say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.network import Features
from engram.participant.memory.errors import ConstantFeatures, FewerRowsThanComponents
from engram.participant.memory.ridge import Matrix

ROUNDS: Final = 12
"""Rounds of k-means."""
LEAST_VARIANCE: Final = 1.0 / 12
"""The variance that rounding to whole numbers alone gives."""


@dataclass(frozen=True, eq=False)
class Component:
    """One Gaussian of a mixture."""

    share: float
    mean: Matrix
    """(values,)."""
    directions: Matrix
    """(values, rank), orthonormal."""
    variances: Matrix
    """(rank,), falling."""
    rest: float
    """The mean variance of all other directions."""


Mixture = tuple[Component, ...]


def fit(values: Features, *, components: int, rank: int, rng: np.random.Generator) -> Mixture:
    """The mixture of the rows uint8 (n, values) of one class. k-means finds the components.

    The rank is at most values - 1. Raises `FewerRowsThanComponents` for fewer than two rows for each
    component, `ConstantFeatures` if the rows do not vary at all.
    """
    if len(values) < 2 * components:
        raise FewerRowsThanComponents(expected=2 * components, got=len(values))
    rows = values.astype(np.float32)
    owners = _clusters(rows, components, rng)
    found = [rows[owners == number] for number in range(components)]
    mixture = tuple(_component(members, len(rows), rank) for members in found if len(members) >= 2)
    if not mixture or all(each.rest == LEAST_VARIANCE and not each.variances.size for each in mixture):
        raise ConstantFeatures(expected="rows that differ", got=len(values))
    return mixture


def _clusters(rows: npt.NDArray[np.float32], count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """k-means: the cluster of each row."""
    if count == 1:
        return np.zeros(len(rows), dtype=np.int64)
    centers = rows[rng.choice(len(rows), count, replace=False)]
    owners = np.zeros(len(rows), dtype=np.int64)
    for _ in range(ROUNDS):
        distances = np.square(centers).sum(axis=1) - 2 * (rows @ centers.T)
        owners = np.argmin(distances, axis=1)
        for number in range(count):
            if np.any(mine := owners == number):
                centers[number] = rows[mine].mean(axis=0)
    return owners


def _component(members: npt.NDArray[np.float32], rows: int, rank: int) -> Component:
    mean = members.mean(axis=0, dtype=np.float64)
    moved = members.astype(np.float64) - mean
    covariance = moved.T @ moved / len(members)
    size = len(mean)
    kept = min(rank, len(members) - 1, size - 1)
    variances, directions = np.linalg.eigh(covariance)
    total = float(variances.sum())
    top = np.maximum(variances[size - kept :][::-1], 0.0)
    rest = max((total - float(top.sum())) / (size - kept), LEAST_VARIANCE)
    keeps = top > rest
    chosen = directions[:, size - kept :][:, ::-1][:, keeps]
    return Component(len(members) / rows, mean, np.ascontiguousarray(chosen), top[keeps], rest)


def sample(mixture: Mixture, count: int, rng: np.random.Generator) -> Features:
    """Rows uint8 (count, values) drawn from a mixture, rounded and clipped as the trunk's values are."""
    shares = np.array([each.share for each in mixture])
    owners = rng.choice(len(mixture), count, p=shares / shares.sum())
    drawn = np.empty((count, len(mixture[0].mean)))
    for number, each in enumerate(mixture):
        mine = np.flatnonzero(owners == number)
        noise = rng.normal(size=(mine.size, len(each.mean))) * np.sqrt(each.rest)
        inside = noise @ each.directions
        wanted = rng.normal(size=inside.shape) * np.sqrt(each.variances)
        drawn[mine] = each.mean + noise + (wanted - inside) @ each.directions.T
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def floor_of(mixtures: list[Mixture]) -> float:
    """The mean variance outside the directions: of the founding's classes it makes the background's."""
    return float(np.mean([each.rest for mixture in mixtures for each in mixture]))
