"""How many nats one unit of a score is: chosen from rows that were held out, by their cross-entropy.

The rows of new classes are enough for it: they show how often and how clearly old and new are confused, and
that is about the same from both sides. Scores of old classes that are guessed from sums would not do: wrong
answers come from tails that two moments do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.participant.memory.ridge import Matrix

HELD_OUT: Final = 10
"""One row of so many is held out."""
FOUNDING_ALPHAS: Final = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
"""What a founding tries, and no more: its classes are few, and often easier to tell apart than later ones."""
ALPHAS: Final = (*FOUNDING_ALPHAS, 10.0, 12.0)
"""What a later growth tries, where it has a scale of its own."""
TEMPERATURES: Final = (1 / 64, 1 / 32, 1 / 16, 1 / 8)
"""The same for nats of a likelihood ratio."""


def held_out(rows: int) -> npt.NDArray[np.bool_]:
    """Which of so many rows are held out: the last of every ten."""
    held: npt.NDArray[np.bool_] = np.arange(rows) % HELD_OUT == HELD_OUT - 1
    return held


def best_scale(scales: Sequence[float], scores: Matrix, labels: npt.NDArray[np.integer]) -> float:
    """The scale with the lowest cross-entropy of scores (n, classes) times it; the first of several."""
    return min(scales, key=lambda scale: cross_entropy(scores, labels, scale))


def cross_entropy(scores: Matrix, labels: npt.NDArray[np.integer], scale: float) -> float:
    """The mean softmax cross-entropy in nats of logits scale·scores (n, classes)."""
    logits = scale * (scores - scores.max(axis=1, keepdims=True))
    chosen = logits[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen))
