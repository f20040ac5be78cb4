"""The log of block bodies in memory, for chains that need not survive the process."""

from __future__ import annotations

from collections.abc import Iterator

from engram.node.storage.blockfiles import Damage, StoredRecord
from engram.node.storage.schema import BlockLocation, Position
from engram.primitives.errors import StorageError


class MemoryBlockFiles:
    """A `BlockLog` in memory."""

    failure: StorageError | None = None
    lost: Position | None = None

    def __init__(self) -> None:
        self._payloads: list[bytes] = []

    @property
    def end(self) -> Position:
        return Position(0, len(self._payloads))

    def append(self, payload: bytes, *, sync: bool = True) -> BlockLocation:
        self._payloads.append(payload)
        return BlockLocation(0, len(self._payloads) - 1, len(payload))

    def sync(self) -> None:
        """Does nothing: memory is all there is."""

    def read(self, location: BlockLocation) -> bytes:
        return self._payloads[location.offset]

    def read_slice(self, location: BlockLocation, start: int, size_bytes: int) -> bytes:
        return self._payloads[location.offset][start : start + size_bytes]

    def scan(self, start: Position) -> Iterator[StoredRecord | Damage]:
        for index in range(start.offset, len(self._payloads)):
            payload = self._payloads[index]
            yield StoredRecord(BlockLocation(0, index, len(payload)), payload, Position(0, index + 1))

    def is_there(self, location: BlockLocation) -> bool:
        return location.offset < len(self._payloads)

    def close(self) -> None:
        self._payloads = []
