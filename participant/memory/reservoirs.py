"""Which examples a bounded memory keeps: a random sample of each class, and about as many of each class.

Every example that arrives has a number and, from it and the seed, a key: a random 64-bit number that anybody
who knows the seed can compute again. A memory that is full drops, of the class with the most examples, the
one with the largest key. From then on that class admits smaller keys only. So what is kept of a class is
exactly the rows with the smallest keys among all that arrived of it, which is a uniform sample without
replacement (bottom-k sampling); a class that has lost a row never has more than one row less than the
largest class; and the same rows in the same order always leave the same sample.

After rows were forgotten there is room again. Then every class admits all keys, and its sample is one of what
arrived since, beside what it had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

MAX_KEY: Final = 2**64
"""Larger than every key."""


class Reservoirs:
    """The numbers of the examples that are kept, by class; rows stand elsewhere."""

    def __init__(self, seed: int, capacity: int) -> None:
        self.seed: Final = seed
        self.capacity = capacity
        self.size = 0
        self._heaps: dict[int, list[tuple[int, int]]] = {}
        """Label -> (-key, number), the largest key first."""
        self._bounds: dict[int, int] = {}
        """Label -> the least key that the class has lost: it admits smaller ones only."""

    @property
    def bounds(self) -> Mapping[int, int]:
        """Of each class that has lost examples, the key below which it still admits some."""
        return self._bounds

    def copy(self) -> Reservoirs:
        """The same state, independent of this one."""
        other = Reservoirs(self.seed, self.capacity)
        other.size = self.size
        other._heaps = {label: list(heap) for label, heap in self._heaps.items()}
        other._bounds = dict(self._bounds)
        return other

    def arrive(self, number: int, label: int) -> int | None:
        """Takes an example in. The number of the one that is lost for it, which may be itself, or None."""
        key = key_of(self.seed, number)
        if key >= self._bounds.get(label, MAX_KEY):
            return number
        heappush(self._heaps.setdefault(label, []), (-key, number))
        self.size += 1
        return self._lose() if self.size > self.capacity else None

    def arrive_all(self, first: int, labels: Sequence[int]) -> tuple[list[int], list[int]]:
        """Takes a batch in, numbered from `first` on.

        The places in the batch of those that are kept, and the numbers of older examples that are lost; both
        rise.
        """
        lost = set[int]()
        for number, label in enumerate(labels, first):
            gone = self.arrive(number, label)
            if gone is not None:
                lost.add(gone)
        kept = [place for place in range(len(labels)) if first + place not in lost]
        return kept, sorted(number for number in lost if number < first)

    def restore(self, examples: Iterable[tuple[int, int]], bounds: Mapping[int, int]) -> None:
        """Takes (number, label) of examples that were kept before, and the bounds of that time."""
        for number, label in examples:
            heappush(self._heaps.setdefault(label, []), (-key_of(self.seed, number), number))
            self.size += 1
        self._bounds |= bounds

    def resize(self, capacity: int) -> list[int]:
        """Changes the capacity; the numbers of the examples that are lost. A larger one admits all keys."""
        if capacity > self.capacity:
            self._bounds.clear()
        self.capacity = capacity
        lost = []
        while self.size > capacity:
            lost.append(self._lose())
        return lost

    def forget(self, labels: Iterable[int], before: int) -> list[int]:
        """Forgets the examples of these classes with numbers below `before`; their numbers."""
        gone: list[int] = []
        for label in labels:
            heap = self._heaps.get(label, [])
            gone += [number for _, number in heap if number < before]
            self._set(label, sorted(entry for entry in heap if entry[1] >= before))
        self.size -= len(gone)
        if gone:
            self._bounds.clear()
        return gone

    def _lose(self) -> int:
        """Drops the example with the largest key of the class with the most; of several, the largest key."""
        _, _, label = max((len(heap), -heap[0][0], label) for label, heap in self._heaps.items())
        heap = self._heaps[label]
        key, number = heappop(heap)
        self._bounds[label] = -key
        self._set(label, heap)
        self.size -= 1
        return number

    def _set(self, label: int, heap: list[tuple[int, int]]) -> None:
        if heap:
            self._heaps[label] = heap
        else:
            self._heaps.pop(label, None)


def key_of(seed: int, number: int) -> int:
    """The key of an example: the first eight bytes of SHA-256(le64(seed) ‖ le64(number))."""
    drawn = hashlib.sha256(seed.to_bytes(8, "little") + number.to_bytes(8, "little")).digest()
    return int.from_bytes(drawn[:8], "little")
