"""A cache of bounded size. Its keys are hashes of content, so that a value in it is never out of date."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from engram.primitives.types import Hash

V = TypeVar("V")


class ByteLru(Generic[V]):
    """Values by hash, `max_bytes` of them at most; the least recently used are dropped first. Thread-safe.

    `size_of` says how many bytes a value counts for. A value that exceeds the bound by itself is not kept.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[V], int]) -> None:
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._values: OrderedDict[Hash, V] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        """How often `get` has found a value."""
        self.misses = 0
        self._lock = threading.Lock()

    def get(self, key: Hash) -> V | None:
        """The value, which counts as the most recently used from now on; None if it is not kept."""
        with self._lock:
            value = self._values.get(key)
            if value is None:
                self.misses += 1
            else:
                self.hits += 1
                self._values.move_to_end(key)
            return value

    def put(self, key: Hash, value: V) -> None:
        """Keeps a value. If the key is known, nothing changes, because the same key means the same value."""
        size = self._size_of(value)
        with self._lock:
            if key in self._values or size > self._max_bytes:
                return
            self._values[key] = value
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, dropped = self._values.popitem(last=False)
                self._bytes -= self._size_of(dropped)

    def drop(self, key: Hash) -> None:
        """Keeps a value no longer."""
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._bytes -= self._size_of(value)

    @property
    def size_bytes(self) -> int:
        """How many bytes the kept values count for."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._values)
