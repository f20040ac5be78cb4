"""Ridge regression from sums, against numpy's own solver."""

from __future__ import annotations

import numpy as np
import pytest

from engram.participant.memory.errors import GramSingular
from engram.participant.memory.gram import add_gram, mirror
from engram.participant.memory.ridge import BLOCK, centred, factor, ridge, solve


@pytest.mark.parametrize("size", [1, 7, BLOCK, BLOCK + 1, 3 * BLOCK - 5])
def test_the_factor_solves_as_numpy_does(size: int) -> None:
    rng = np.random.default_rng(size)
    half = rng.normal(size=(size, size + 20))
    matrix, right = half @ half.T + np.eye(size), rng.normal(size=(size, 3))
    expected = np.linalg.solve(matrix, right)
    inverses = factor(lower := matrix.copy())
    assert np.allclose(np.tril(lower) @ np.tril(lower).T, matrix)
    assert np.allclose(solve(lower, inverses, right), expected, rtol=1e-6, atol=1e-8)


def test_an_indefinite_matrix_is_refused() -> None:
    with pytest.raises(GramSingular):
        factor(np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_a_singular_matrix_is_rescued_by_its_ridge() -> None:
    ones = np.ones((4, 4))
    weights, used = ridge(ones, np.ones((4, 1)), 1e-3)
    assert used == 1e-3
    assert np.allclose(weights, 1 / 4.001)


def test_a_ridge_that_is_too_weak_is_raised_and_says_so() -> None:
    matrix = np.diag([1.0, 1.0, -0.004])
    _, used = ridge(matrix, np.ones((3, 1)), 1e-4)
    assert used == pytest.approx(1e-2)


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.diag([1.0, -5.0, 9.0]), np.full((2, 2), np.nan)])
def test_what_no_ridge_can_rescue_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(GramSingular):
        ridge(matrix, np.ones((len(matrix), 1)), 1e-5)


def test_targets_that_are_not_finite_are_refused() -> None:
    with pytest.raises(GramSingular):
        ridge(np.eye(2), np.array([[np.inf], [0.0]]), 1e-5)


def test_the_gram_matrix_is_exact_at_the_largest_values_and_over_blocks() -> None:
    rows = np.full((700, 1_100), 255, dtype=np.uint8)
    rows[::2, ::3] = 254
    total = np.zeros((1_100, 1_100), dtype=np.int64)
    add_gram(total, rows)
    mirror(total)
    assert np.array_equal(total, rows.astype(np.int64).T @ rows.astype(np.int64))


def test_centring_takes_the_mean_off() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (90, 6))
    moved = rows - rows.mean(axis=0)
    assert np.allclose(centred(rows.T @ rows, rows.sum(axis=0), 90), moved.T @ moved)
