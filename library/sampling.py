"""Rows that try a copy of a network: random ones, and such as drive its sums to their ends."""

from __future__ import annotations

import numpy as np

from engram.nn.evaluate import Features

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
