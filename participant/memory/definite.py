"""The slow check of statistics: whether any real rows, whatever their values, can have these sums."""

from __future__ import annotations

from typing import Final

import numpy as np

from engram.participant.memory.errors import GramSingular, StatisticsForged
from engram.participant.memory.ridge import factor
from engram.participant.memory.statistics import Statistics

SLACK: Final = 1e-6
"""What is added to the diagonal for rounding, relative to its mean."""


def check_definite(statistics: Statistics) -> None:
    """Refuses sums whose rows would vary by less than nothing in some direction.

    The scatter within the classes, G - Σ s_k·s_kᵀ / n_k, of any rows is positive semidefinite. It takes about
    neurons³ / 3 multiplications; forgeries that are smaller than the rounding pass. Raises
    `StatisticsForged`.
    """
    within = statistics.gram.astype(np.float64)
    for count, sums in zip(statistics.counts.tolist(), statistics.sums.astype(np.float64), strict=True):
        within -= np.outer(sums / count, sums)
    diagonal = np.einsum("ii->i", within)
    diagonal += SLACK * max(1.0, float(np.trace(statistics.gram)) / len(within))
    try:
        factor(within)
    except GramSingular as error:
        raise StatisticsForged("the rows would vary by less than nothing in some direction") from error
