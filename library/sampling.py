"""Rows that try a copy of a network: random ones, such as drive its sums to their ends, and some of many."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engram.library.rows import Rows
from engram.nn.evaluate import Features
from engram.participant.errors import NotEnoughRows

SPREAD_ROWS: Final = 4_096
"""The most rows on which a copy is compared with its model."""
FITTED_ROWS: Final = 512
"""The most rows to which integers are fitted."""
_SHARES = (0.02, 0.1, 0.5, 0.9, 0.98)
"""Shares of features at their largest value, the others being 0."""
_ROWS_EACH = 8


def sample_rows(inputs: int, seed: int = 1) -> Features:
    """Rows (n, inputs): nothing, everything, uniform ones, and ones of the two extremes in several shares."""
    rng = np.random.default_rng(seed)
    ends = [np.full((1, inputs), value, dtype=np.uint8) for value in (0, 1, 127, 128, 255)]
    uniform = rng.integers(0, 256, (4 * _ROWS_EACH, inputs), dtype=np.uint8)
    extremes = [
        np.where(rng.random((_ROWS_EACH, inputs)) < share, np.uint8(255), np.uint8(0)) for share in _SHARES
    ]
    return np.concatenate([*ends, uniform, *extremes])


def spread_rows(X: npt.ArrayLike, inputs: int) -> list[Features]:
    """At most `SPREAD_ROWS` rows that are spread evenly over X, in chunks of at most `FITTED_ROWS`.

    Raises `NotEnoughRows` if there is none, and what `Rows` raises.
    """
    rows = Rows(X, inputs)
    if not len(rows):
        raise NotEnoughRows("there is no row to fit integers to", expected="1 or more", got=0)
    # Rows that follow each other are often of one class, so every chunk takes its rows from all of X.
    count = min(len(rows), SPREAD_ROWS)
    chosen = np.arange(count) * len(rows) // count
    parts = -(-count // FITTED_ROWS)
    return [rows.taken(chosen[part::parts]) for part in range(parts)]
