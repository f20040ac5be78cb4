"""Verified losses and frozen activations, remembered by the content that they follow from. Thread-safe.

What is computed and how the keys are made is written in `statemachine.scoring`.
"""

from __future__ import annotations

from typing import Final

from engram.nn.evaluate import FrozenActivations
from engram.nn.loss import Score
from engram.node.storage.lru import ByteLru
from engram.primitives.types import Hash

SCORES_BYTES: Final = 1 << 20
ACTIVATIONS_BYTES: Final = 64 << 20
_SCORE_BYTES: Final = 256
"""Memory that a key and its score take, roughly."""


class VerificationCache:
    """Verified losses and the activations of frozen neurons: the scorer's memory across blocks and forks.

    Filled when the mempool admits an update, so that importing the block which holds it runs no forward
    pass again.
    """

    def __init__(self, scores_bytes: int = SCORES_BYTES, activations_bytes: int = ACTIVATIONS_BYTES) -> None:
        self._scores: ByteLru[Score] = ByteLru(scores_bytes, lambda score: _SCORE_BYTES)
        self._activations: ByteLru[FrozenActivations] = ByteLru(
            activations_bytes, lambda kept: kept.size_bytes
        )

    def get(self, key: Hash) -> Score | None:
        return self._scores.get(key)

    def put(self, key: Hash, score: Score) -> None:
        self._scores.put(key, score)

    def get_activations(self, key: Hash) -> FrozenActivations | None:
        return self._activations.get(key)

    def put_activations(self, key: Hash, activations: FrozenActivations) -> None:
        self._activations.put(key, activations)

    @property
    def size_bytes(self) -> int:
        """Memory that the kept values take, roughly."""
        return self._scores.size_bytes + self._activations.size_bytes
