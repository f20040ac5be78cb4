"""Remembers verified losses, frozen activations and drawn tensors, so that nothing is computed twice.

It is safe for threads.

The key of a result is a hash of everything that it follows from, so a remembered result is never out of date
and holds on every branch. `statemachine.scoring` computes the results and their keys.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from engram.nn.dtypes import IntArray
from engram.nn.engine import Frozen
from engram.nn.loss import RowScores
from engram.node.storage.lru import ByteLru
from engram.primitives.types import Hash
from engram.statemachine.parameters import Composition
from engram.statemachine.scoring import LoadedNetwork

SCORES_BYTES: Final = 4 << 20
ACTIVATIONS_BYTES: Final = 64 << 20
COMPOSITIONS_BYTES: Final = 64 << 20
NETWORKS_BYTES: Final = 64 << 20
EXPANSIONS_BYTES: Final = 32 << 20
_SEGMENT_BYTES: Final = 1024
"""Roughly the bytes of memory of one segment with its sources. Networks of one line share these objects, but
whoever fills the cache takes networks that share none."""
_ENTRY_BYTES: Final = 512
"""Roughly the bytes of memory that a key and the objects around the arrays take."""


class _Computing:
    """The lock of a score that is being computed, and how many threads hold it or wait for it."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock: Final = threading.Lock()
        self.users = 0


class VerificationCache:
    """The scorer's memory across blocks and branches: losses, and the activations of frozen neurons.

    The mempool fills it after it has admitted an update. Importing the block that holds the update then needs
    no second forward pass. With an empty cache the verdict is the same, only slower.
    """

    def __init__(
        self,
        scores_bytes: int = SCORES_BYTES,
        activations_bytes: int = ACTIVATIONS_BYTES,
        compositions_bytes: int = COMPOSITIONS_BYTES,
        networks_bytes: int = NETWORKS_BYTES,
        expansions_bytes: int = EXPANSIONS_BYTES,
    ) -> None:
        self._scores: ByteLru[RowScores] = ByteLru(
            scores_bytes, lambda scores: _ENTRY_BYTES + scores.size_bytes
        )
        self._activations: ByteLru[Frozen] = ByteLru(
            activations_bytes, lambda kept: kept.size_bytes + kept.rows * kept.widths[0]
        )
        self._compositions: ByteLru[Composition] = ByteLru(
            compositions_bytes, lambda whole: _ENTRY_BYTES + _SEGMENT_BYTES * whole.spec.totals.segments
        )
        self._computing: dict[Hash, _Computing] = {}
        self._lock: Final = threading.Lock()
        self._networks: ByteLru[LoadedNetwork] = ByteLru(networks_bytes, _network_bytes)
        self._expansions: ByteLru[IntArray] = ByteLru(
            expansions_bytes, lambda array: _ENTRY_BYTES + array.nbytes
        )

    def get(self, key: Hash) -> RowScores | None:
        return self._scores.get(key)

    def put(self, key: Hash, scores: RowScores) -> None:
        self._scores.put(key, scores)

    @contextmanager
    def once(self, key: Hash) -> Iterator[None]:
        """Held by one thread at a time for each key. A block often needs a score that the mempool's thread is
        just computing: waiting for it is quicker than computing it again beside it.
        """
        with self._lock:
            own = self._computing.setdefault(key, _Computing())
            own.users += 1
        try:
            with own.lock:
                yield
        finally:
            with self._lock:
                own.users -= 1
                if not own.users:
                    del self._computing[key]

    def get_activations(self, key: Hash) -> Frozen | None:
        return self._activations.get(key)

    def put_activations(self, key: Hash, activations: Frozen) -> None:
        self._activations.put(key, activations)

    def get_composition(self, root: Hash) -> Composition | None:
        return self._compositions.get(root)

    def put_composition(self, composition: Composition) -> None:
        self._compositions.put(composition.root, composition)

    def get_network(self, root: Hash) -> LoadedNetwork | None:
        return self._networks.get(root)

    def put_network(self, root: Hash, loaded: LoadedNetwork) -> None:
        self._networks.put(root, loaded)

    def get_expansion(self, key: Hash) -> IntArray | None:
        return self._expansions.get(key)

    def put_expansion(self, key: Hash, array: IntArray) -> None:
        self._expansions.put(key, array)

    @property
    def size_bytes(self) -> int:
        """Roughly the bytes of memory that the kept values take."""
        return sum(values.size_bytes for values in self._kept().values())

    def lookups(self) -> dict[str, tuple[int, int]]:
        """How often each kind of result was found, and how often not."""
        return {kind: (values.hits, values.misses) for kind, values in self._kept().items()}

    def _kept(self) -> dict[str, ByteLru[Any]]:
        return {
            "scores": self._scores,
            "activations": self._activations,
            "compositions": self._compositions,
            "networks": self._networks,
            "expansions": self._expansions,
        }


def _network_bytes(loaded: LoadedNetwork) -> int:
    """Roughly the bytes of memory of a network's numbers, each array with the objects around it."""
    return sum(_ENTRY_BYTES + own.weights.nbytes + own.bias.nbytes for own in loaded[1])
