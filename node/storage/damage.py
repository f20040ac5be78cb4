"""Which blocks' bodies were found damaged on this node's disk, for the service that fetches them again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engram.primitives.types import Hash


class DamagedBodies:
    """Ids of blocks whose bodies could not be read, in the order in which that was found. Thread-safe.

    A reader adds what it could not read, and the chain's writer removes what it has stored again.
    """

    def __init__(self) -> None:
        self._blocks: dict[Hash, None] = {}
        self._listeners: list[Callable[[Hash], None]] = []
        self._lock = threading.Lock()

    def add(self, block: Hash) -> None:
        """Adds a block; the listeners are told unless it was known."""
        with self._lock:
            if block in self._blocks:
                return
            self._blocks[block] = None
            told = list(self._listeners)
        for listener in told:
            listener(block)

    def expect(self, block: Hash) -> None:
        """Adds a block whose body never was there and is being fetched; nobody is told."""
        with self._lock:
            self._blocks[block] = None

    def remove(self, block: Hash) -> None:
        """Removes a block whose body is whole again."""
        with self._lock:
            self._blocks.pop(block, None)

    def blocks(self) -> list[Hash]:
        """The blocks, the one that was found first at the beginning."""
        with self._lock:
            return list(self._blocks)

    def listen(self, callback: Callable[[Hash], None]) -> Callable[[], None]:
        """Calls `callback` for each block added from now on, in the thread that found the damage.

        The returned function ends that.
        """
        with self._lock:
            self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def __contains__(self, block: Hash) -> bool:
        return block in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)
