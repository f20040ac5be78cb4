"""Bounded memory of results that are named by their content, so that nothing in it is ever out of date.

Thread-safe. What is computed and how keys are made is written in `statemachine.scoring`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from engram.nn.evaluate import FrozenActivations
from engram.nn.loss import Score
from engram.primitives.types import Hash

SCORES_BYTES: Final = 1 << 20
ACTIVATIONS_BYTES: Final = 64 << 20
_SCORE_BYTES: Final = 256
"""Memory that a key and its score take, roughly."""

V = TypeVar("V")


class ByteLru(Generic[V]):
    """Values by hash, the least recently used dropped once all of them exceed `max_bytes`.

    `size_of` says how many bytes a value stands for; one that alone exceeds the bound is not kept.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[V], int]) -> None:
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._values: OrderedDict[Hash, V] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hash) -> V | None:
        """The value, now the most recently used; None if it is not kept."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: Hash, value: V) -> None:
        """Keeps a value; one that is kept already under this key is the same value."""
        size = self._size_of(value)
        with self._lock:
            if key in self._values or size > self._max_bytes:
                return
            self._values[key] = value
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, dropped = self._values.popitem(last=False)
                self._bytes -= self._size_of(dropped)

    @property
    def size_bytes(self) -> int:
        """Bytes of what is kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._values)


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
