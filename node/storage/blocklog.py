"""The interface of the log of block bodies: `blockfiles` keeps it on disk, `memoryfiles` in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from engram.node.storage.blockfiles import Damage, StoredRecord
from engram.node.storage.schema import BlockLocation, Position
from engram.primitives.errors import StorageError


class BlockLog(Protocol):
    """What the store needs of the block files."""

    @property
    def failure(self) -> StorageError | None:
        """The error of the first append that failed."""
        ...

    @property
    def lost(self) -> Position | None:
        """How far the files should reach, if they do not; None if they do."""
        ...

    @property
    def end(self) -> Position:
        """Where the next record will be appended; the beginning of the first file if there is none yet."""
        ...

    def append(self, payload: bytes, *, sync: bool = True) -> BlockLocation:
        """Writes a record. With `sync`, it and all before it are on disk when this returns.

        Raises `DiskFull` or `DiskFailure`. After that, every later append fails with the same error.
        """
        ...

    def sync(self) -> None:
        """Forces everything that was appended to the disk. Raises `DiskFull` or `DiskFailure`."""
        ...

    def read(self, location: BlockLocation) -> bytes:
        """The payload at `location`. Raises `CorruptStore` if the record there is not intact."""
        ...

    def read_slice(self, location: BlockLocation, start: int, size_bytes: int) -> bytes:
        """Some bytes of the payload at `location`, which no checksum covers: whoever reads them has to check
        them, and their number, too. Raises `CorruptStore` if the file is missing.
        """
        ...

    def scan(self, start: Position) -> Iterator[StoredRecord | Damage]:
        """Every intact record from `start` on, and every stretch between them that belongs to none."""
        ...

    def is_there(self, location: BlockLocation) -> bool:
        """Whether the files reach as far as a location; what stands there is not read."""
        ...

    def close(self) -> None: ...
