"""Exact Gram matrices of activations, in bounded memory and on one core.

A product of float32 matrices is exact while every sum of products stays below 2^24, so rows are taken a few
hundred at a time, as many as their largest value allows. What each product gives is added up in int64. Only
the blocks on and above the diagonal are computed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engram.nn.fixed import Int64Array
from engram.nn.gemm import FLOAT32_LIMIT
from engram.nn.network import Features

BLOCK: Final = 1_024
"""The columns of a block."""
MOST_ROWS: Final = 4_096
"""The most rows that are multiplied at once."""


def add_gram(total: Int64Array, activations: Features) -> None:
    """Adds Hᵀ·H of activations H uint8 (n, neurons) to `total` int64 (neurons, neurons), exactly.

    Only the blocks on and above the diagonal are written; call `mirror` after the last rows.
    """
    largest = int(activations.max(initial=0))
    rows = min(MOST_ROWS, (FLOAT32_LIMIT - 1) // max(1, largest**2))
    columns = [slice(begin, begin + BLOCK) for begin in range(0, activations.shape[1], BLOCK)]
    for begin in range(0, len(activations), rows):
        chunk = activations[begin : begin + rows].astype(np.float32)
        for place, across in enumerate(columns):
            left = chunk[:, across].T
            for down in columns[place:]:
                block = total[across, down]
                np.add(block, left @ chunk[:, down], out=block, casting="unsafe")


def mirror(total: Int64Array) -> None:
    """Copies what stands above the diagonal below it."""
    for begin in range(0, len(total), BLOCK):
        rows = slice(begin, begin + BLOCK)
        square = np.triu(total[rows, rows])
        total[rows, rows] = square + np.triu(square, 1).T
        total[begin + BLOCK :, rows] = total[rows, begin + BLOCK :].T
