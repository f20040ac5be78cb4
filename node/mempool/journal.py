"""The transactions that wait, on disk: `mempool.journal` of a data directory.

A transaction is appended when the mempool takes it and before anybody is told so. It is handed to the
operating system, not forced to the disk: it outlives the end of the process, however that ends, and a power
cut may take what was appended in the last half minute. Nothing is written when a transaction leaves the
mempool; whoever reads the journal judges each transaction anew. Once dead records make up most of the file,
it is written anew with those that still wait.

The file is a preamble (16 bytes of magic ‖ 32 bytes of genesis id ‖ CRC32C) followed by records: magic (4) ‖
length (u32) ‖ admitted (u64, milliseconds since 1970) ‖ CRC32C of length, moment and payload (u32) ‖ payload,
an encoded transaction. Integers are big-endian. A record that was cut short or bent is skipped, and so is
whatever else belongs to no record; what stands behind it is found by its magic.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import google_crc32c

from engram.node.errors import DiskFailure, DiskFull, NotAFile
from engram.node.files import set_aside, sync_folder
from engram.primitives.errors import StorageError
from engram.primitives.types import Hash

JOURNAL_NAME: Final = "mempool.journal"
SLACK_BYTES: Final = 1 << 20
"""So many bytes of dead records are never worth writing the file anew."""
FILE_MAGIC: Final = b"engram mempool 1"
RECORD_MAGIC: Final = b"\xf7TXN"
_PREAMBLE_BYTES: Final = len(FILE_MAGIC) + 32 + 4
_HEAD: Final = struct.Struct(">4sIQI")
_SUMMED: Final = struct.Struct(">IQ")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Journaled:
    """One record: an encoded transaction, and when the mempool took it."""

    raw: bytes
    admitted_ms: int


@dataclass(frozen=True)
class JournalRead:
    """What stood in the file when it was opened."""

    entries: tuple[Journaled, ...]
    skipped_bytes: int = 0
    """Bytes that belong to no intact record."""
    set_aside: Path | None = None
    """Where a file that is no journal of this chain was moved to."""


class MempoolJournal:
    """The open file. Its methods block, and one thread at a time may call them."""

    def __init__(self, path: Path, genesis_id: Hash) -> None:
        self.path = path
        self.size_bytes = 0
        """Bytes of the file."""
        preamble = FILE_MAGIC + genesis_id
        self._preamble: bytes = preamble + google_crc32c.value(preamble).to_bytes(4, "big")
        self._handle = -1

    def open(self) -> JournalRead:
        """Opens the file, which is made if it is missing, and reads every record.

        A file of another chain or of another kind is moved aside, never overwritten. Raises `NotAFile` if a
        folder or a device has the journal's name, `DiskFull`, `DiskFailure`.
        """
        try:
            return self._open()
        except OSError as error:
            raise _failure(error) from error

    def append(self, entries: Iterable[Journaled]) -> None:
        """Adds records behind the others: all of them, or none. Raises `DiskFull`, `DiskFailure`."""
        try:
            self.size_bytes += _write(self._handle, b"".join(map(_record, entries)))
        except OSError as error:
            with suppress(OSError):  # what was written of them has no intact record in any case
                os.ftruncate(self._handle, self.size_bytes)
            raise _failure(error) from error

    def rewrite(self, entries: Iterable[Journaled]) -> None:
        """Replaces the file, in one step, by one with these records. Raises `DiskFull`, `DiskFailure`."""
        try:
            handle, size = self._written(entries)
        except OSError as error:
            raise _failure(error) from error
        os.close(self._handle)
        self._handle, self.size_bytes = handle, size

    def close(self) -> None:
        """Forces the file to the disk, as far as the disk allows, and closes it."""
        if self._handle >= 0:
            with suppress(OSError):
                os.fsync(self._handle)
            os.close(self._handle)
            self._handle = -1

    def _open(self) -> JournalRead:
        aside: Path | None = None
        if os.path.lexists(self.path):
            if not self.path.is_file():
                raise NotAFile(got=str(self.path))
            if not self._is_ours():
                aside = self._set_aside()
        if not self.path.exists():
            self._handle, self.size_bytes = self._written(())
            return JournalRead((), set_aside=aside)
        self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        entries, skipped, end = self._read()
        os.ftruncate(self._handle, end)
        self.size_bytes = end
        return JournalRead(tuple(entries), skipped, aside)

    def _set_aside(self) -> Path:
        """Gives the file a name that no other has. Raises `NotAFile` if that cannot be done."""
        aside = set_aside(self.path, "old")
        if aside is None:
            message = f"{self.path} is no journal of this chain and cannot be renamed; move it away"
            raise NotAFile(message, got=str(self.path))
        return aside

    def _is_ours(self) -> bool:
        with self.path.open("rb") as stream:
            found = stream.read(_PREAMBLE_BYTES)
        return found == self._preamble

    def _read(self) -> tuple[list[Journaled], int, int]:
        """The intact records, how many bytes belong to none, and where the last one ends."""
        entries, known, last = [], 0, _PREAMBLE_BYTES
        size = os.fstat(self._handle).st_size
        with mmap.mmap(self._handle, size, prot=mmap.PROT_READ) as content:
            for entry, end in _records(content):
                entries.append(entry)
                known += _HEAD.size + len(entry.raw)
                last = end
        return entries, size - _PREAMBLE_BYTES - known, last

    def _written(self, entries: Iterable[Journaled]) -> tuple[int, int]:
        """Puts a new file in place of the present one; its open handle and its size."""
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        handle = os.open(fresh, flags, 0o600)
        try:
            size = _write(handle, self._preamble)
            for entry in entries:
                size += _write(handle, _record(entry))
            os.fsync(handle)
            os.replace(fresh, self.path)
            sync_folder(self.path.parent)
        except BaseException:
            os.close(handle)
            fresh.unlink(missing_ok=True)
            raise
        return handle, size


def _record(entry: Journaled) -> bytes:
    size, moment = len(entry.raw), entry.admitted_ms
    checksum = google_crc32c.extend(google_crc32c.value(_SUMMED.pack(size, moment)), entry.raw)
    return _HEAD.pack(RECORD_MAGIC, size, moment, checksum) + entry.raw


def _records(content: mmap.mmap) -> Iterator[tuple[Journaled, int]]:
    """Every intact record, and where it ends."""
    start = _PREAMBLE_BYTES
    while (start := content.find(RECORD_MAGIC, start)) >= 0:
        found = _record_at(content, start)
        if found is None:
            start += 1
            continue
        start += _HEAD.size + len(found.raw)
        yield found, start


def _record_at(content: mmap.mmap, start: int) -> Journaled | None:
    if start + _HEAD.size > len(content):
        return None
    _, size, moment, checksum = _HEAD.unpack_from(content, start)
    if start + _HEAD.size + size > len(content):
        return None
    raw = content[start + _HEAD.size : start + _HEAD.size + size]
    summed = google_crc32c.extend(google_crc32c.value(_SUMMED.pack(size, moment)), raw)
    return Journaled(raw, moment) if summed == checksum else None


def _write(handle: int, content: bytes) -> int:
    """Writes all of it; how many bytes that were."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
    return len(content)


def _failure(error: OSError) -> StorageError:
    family = DiskFull if error.errno in _FULL else DiskFailure
    return family(got=f"{JOURNAL_NAME}: {error.strerror or error}")
