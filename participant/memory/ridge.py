"""Ridge regression from sums: a Cholesky factor in blocks, and weights with an intercept.

The products over rows are integers and exact; only what is solved from them is rounded. numpy has no solver
for triangular systems, so the factor is computed block by block, which also keeps the memory at one matrix.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.fixed import Int64Array
from engram.participant.memory.errors import GramSingular

Matrix = npt.NDArray[np.float64]

BLOCK: Final = 256
RESCUES: Final = 4
"""How often a ridge that was too weak is made ten times stronger."""


def factor(matrix: Matrix) -> list[Matrix]:
    """Overwrites a symmetric matrix with its Cholesky factor L, L·Lᵀ = matrix, at and below the diagonal.

    Returns the inverses of L's blocks on the diagonal, which `solve` needs. Raises `GramSingular` if the
    matrix is not positive definite.
    """
    size, inverses = len(matrix), []
    for begin in range(0, size, BLOCK):
        here, below = slice(begin, begin + BLOCK), slice(begin + BLOCK, size)
        try:
            block = np.linalg.cholesky(matrix[here, here])
        except np.linalg.LinAlgError as error:
            raise GramSingular(got=begin) from error
        inverse = np.linalg.inv(block)
        matrix[here, here] = block
        matrix[below, here] = matrix[below, here] @ inverse.T
        for start in range(begin + BLOCK, size, BLOCK):
            column = slice(start, start + BLOCK)
            matrix[start:, column] -= matrix[start:, here] @ matrix[column, here].T
        inverses.append(inverse)
    return inverses


def solve(lower: Matrix, inverses: list[Matrix], right: Matrix) -> Matrix:
    """The solution x (n, columns) of L·Lᵀ·x = right, from what `factor` has made."""
    x, size = right.copy(), len(lower)
    for place, begin in enumerate(range(0, size, BLOCK)):
        here = slice(begin, begin + BLOCK)
        x[here] = inverses[place] @ (x[here] - lower[here, :begin] @ x[:begin])
    for place in reversed(range(len(inverses))):
        begin = place * BLOCK
        here, after = slice(begin, begin + BLOCK), slice(begin + BLOCK, size)
        x[here] = inverses[place].T @ (x[here] - lower[after, here].T @ x[after])
    return x


def centred(gram: Int64Array, sums: Int64Array, rows: int) -> Matrix:
    """Σ (h - mean)(h - mean)ᵀ of `rows` rows, whose Gram matrix and sum these are."""
    moved = gram.astype(np.float64)
    moved -= np.outer(sums / rows, sums.astype(np.float64))
    return moved


def ridge(scatter: Matrix, right: Matrix, strength: float) -> tuple[Matrix, float]:
    """(scatter + λ·I)⁻¹·right, λ = strength · mean of the diagonal; and the strength that was used.

    A strength that leaves the matrix indefinite is raised ten times, up to RESCUES times. Raises
    `GramSingular` if that does not help, also for a diagonal of zeros or numbers that are not finite.
    """
    mean = float(np.trace(scatter)) / len(scatter)
    if not (np.isfinite(mean) and mean > 0 and bool(np.all(np.isfinite(right)))):
        raise GramSingular("the sums do not vary or are not finite", got=mean)
    for attempt in range(RESCUES + 1):
        used = strength * 10.0**attempt
        matrix = scatter.copy()
        matrix[np.diag_indices_from(matrix)] += used * mean
        try:
            inverses = factor(matrix)
        except GramSingular:
            continue
        return solve(matrix, inverses, right), used
    raise GramSingular(expected=f"a ridge up to {strength * 10.0**RESCUES:g}", got=mean)
