"""A bounded memory of values that are named by their content, so that nothing in it is ever out of date."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from engram.primitives.types import Hash

V = TypeVar("V")


class ByteLru(Generic[V]):
    """Values by hash, the least recently used dropped once all of them exceed `max_bytes`.
    Thread-safe.

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
