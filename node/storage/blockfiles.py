"""Append-only files of encoded blocks: the only copy of every body, from which all else can be rebuilt.

The database can be lost, to a flipped bit for example; then it is rebuilt from these files. They are
therefore kept as simple as possible: nothing but one record after the other, each with its own checksum, so
that every intact record can be found even behind damaged ones.

This module knows records of bytes, not blocks: their payloads are packed blocks (`primitives.packing`), which
go to peers as they are. A file `blocks/NNNNNN.dat` is a preamble (16 bytes of magic, 32 bytes of genesis id,
CRC32C) followed by records: magic (4) ‖ length (u32) ‖ CRC32C of length and payload (u32) ‖ payload. Integers
are big-endian. A record is on disk when `append` returns, and only then may the database refer to it.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import google_crc32c

from engram.node.descriptors import open_file
from engram.node.errors import CorruptStore, DiskFailure, DiskFull, ForeignData, NotAFile, NotAFolder
from engram.node.files import check_file, make_folder
from engram.node.storage.failpoints import FailPoint, hit
from engram.node.storage.schema import BlockLocation, Position
from engram.primitives.errors import StorageError
from engram.primitives.types import Hash

MAX_FILE_BYTES: Final = 128 << 20
MAX_RECORD_BYTES: Final = 64 << 20
FILE_MAGIC: Final = b"engram blocks 2\n"
RECORD_MAGIC: Final = b"\xf7BLK"
PREAMBLE_BYTES: Final = len(FILE_MAGIC) + 32 + 4
HEAD_BYTES: Final = 12

_OWN_FILE: Final = re.compile(r"([0-9]{6}|[1-9][0-9]{6,9})\.dat")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class StoredRecord:
    """A record whose checksum is right."""

    location: BlockLocation
    payload: bytes
    end: Position
    """Where the next record begins."""


@dataclass(frozen=True)
class Damage:
    """A stretch of a file that belongs to no intact record."""

    file: int
    offset: int
    size_bytes: int


class BlockFiles:
    """The block files of a directory, which is made if there is none.

    `committed` is the end of the files that the database has recorded. A crash while a record was appended
    leaves half a record behind that position; opening cuts it off and counts its bytes in `truncated_bytes`.
    If the files end before `committed`, `lost` is that position; what is missing can be fetched again.
    Raises `CorruptStore` if there are no files at all then, `ForeignData` if they belong to another genesis.
    With `read_only` nothing is cut off, and nothing may be appended.
    """

    def __init__(
        self,
        directory: Path,
        genesis: Hash,
        committed: Position,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        read_only: bool = False,
    ) -> None:
        self._directory = directory
        self._genesis = genesis
        self._max_file_bytes = max_file_bytes
        self.failure: StorageError | None = None
        self._descriptor = -1
        self._is_synced = True
        self.truncated_bytes = 0
        self.lost: Position | None = None
        with disk_errors(directory):
            make_folder(directory)
            self._check_owner()
            self._end = committed if read_only else self._intact_end(committed)
            if self._end.offset and not read_only:
                self._descriptor = open_file(self._path(self._end.file), os.O_RDWR)
                self._is_synced = False  # an earlier process may have ended before it forced its last records
                self._cut_tail()

    @property
    def end(self) -> Position:
        return self._end

    def append(self, payload: bytes, *, sync: bool = True) -> BlockLocation:
        if self.failure is not None:
            raise self.failure
        if len(payload) > MAX_RECORD_BYTES:
            raise ValueError(f"a record of {len(payload)} bytes exceeds {MAX_RECORD_BYTES}")
        try:
            with disk_errors(self._directory):
                return self._append(payload, sync=sync)
        except StorageError as error:
            self.failure = error
            raise

    def sync(self) -> None:
        with disk_errors(self._directory):
            self._sync()

    def _append(self, payload: bytes, *, sync: bool) -> BlockLocation:
        hit(FailPoint.FILES_BEFORE_APPEND)
        if self._end.offset == 0 or self._end.offset + HEAD_BYTES + len(payload) > self._max_file_bytes:
            self._start_file(self._end.file + (self._end.offset > PREAMBLE_BYTES))
        head = _head(payload)
        offset = self._end.offset
        self._write(head[:6], offset)
        hit(FailPoint.FILES_TORN_HEAD)
        self._write(head[6:] + payload[: len(payload) // 2], offset + 6)
        hit(FailPoint.FILES_TORN_PAYLOAD)
        self._write(payload[len(payload) // 2 :], offset + HEAD_BYTES + len(payload) // 2)
        self._is_synced = False
        hit(FailPoint.FILES_BEFORE_FSYNC)
        if sync:
            self._sync()
        hit(FailPoint.FILES_AFTER_FSYNC)
        self._end = Position(self._end.file, offset + HEAD_BYTES + len(payload))
        return BlockLocation(self._end.file, offset, len(payload))

    def read(self, location: BlockLocation) -> bytes:
        record = self._bytes_at(location, 0, HEAD_BYTES + location.size_bytes)
        payload = record[HEAD_BYTES:]
        if len(payload) != location.size_bytes or record[:HEAD_BYTES] != _head(payload):
            raise CorruptStore(got=f"{self._path(location.file)}: damaged record at byte {location.offset}")
        return payload

    def read_slice(self, location: BlockLocation, start: int, size_bytes: int) -> bytes:
        return self._bytes_at(location, HEAD_BYTES + start, size_bytes)

    def _bytes_at(self, location: BlockLocation, start: int, size_bytes: int) -> bytes:
        """Bytes of a record, from `start` on. Raises `CorruptStore` if the file is missing."""
        with disk_errors(self._directory):
            try:
                descriptor = open_file(self._path(location.file), os.O_RDONLY)
            except FileNotFoundError as error:
                raise CorruptStore(got=f"{self._path(location.file)} is missing") from error
            try:
                return os.pread(descriptor, size_bytes, location.offset + start)
            finally:
                os.close(descriptor)

    def scan(self, start: Position) -> Iterator[StoredRecord | Damage]:
        last = self._numbers()[-1:] or [-1]
        for file in range(start.file, last[0] + 1):
            offset = start.offset if file == start.file else 0
            with disk_errors(self._directory):
                if self._path(file).exists():
                    yield from self._scan_file(file, offset)
                else:
                    yield Damage(file, 0, 0)

    def is_there(self, location: BlockLocation) -> bool:
        path = self._path(location.file)
        return path.exists() and path.stat().st_size >= location.offset + HEAD_BYTES + location.size_bytes

    def close(self) -> None:
        if self._descriptor >= 0:
            try:
                if self.failure is None:
                    with disk_errors(self._directory):
                        self._sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    @property
    def directory(self) -> Path:
        return self._directory

    def sizes(self) -> dict[int, int]:
        """Bytes of each file by its number."""
        return {number: self._path(number).stat().st_size for number in self._numbers()}

    def begin_file(self) -> None:
        """The next record begins a new file, behind all that are there."""
        self._end = Position(max([-1, *self._numbers()]) + 1, 0)

    def remove(self, number: int) -> None:
        """Removes a file to which the database refers no more."""
        with disk_errors(self._directory):
            self._path(number).unlink()
            _fsync_directory(self._directory)

    def _scan_file(self, file: int, offset: int) -> Iterator[StoredRecord | Damage]:
        with open(self._path(file), "rb", opener=open_file) as stream:
            size = os.fstat(stream.fileno()).st_size
            if offset >= size:
                return
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
                if offset < PREAMBLE_BYTES:
                    if _owner(view[:PREAMBLE_BYTES]) is None:
                        yield Damage(file, 0, min(size, PREAMBLE_BYTES))
                    offset = min(size, PREAMBLE_BYTES)
                while offset < size:
                    payload = _record_at(view, offset)
                    if payload is None:
                        resumed = _next_record(view, offset + 1)
                        yield Damage(file, offset, resumed - offset)
                        offset = resumed
                        continue
                    location = BlockLocation(file, offset, len(payload))
                    offset += HEAD_BYTES + len(payload)
                    yield StoredRecord(location, payload, Position(file, offset))

    def _intact_end(self, committed: Position) -> Position:
        """The end of the last intact record behind `committed`; `committed` itself if there is none.

        If the files end before it, a new file is begun: nothing is written where lost records stood.
        """
        if committed.offset:
            path, numbers = self._path(committed.file), self._numbers()
            if not numbers:
                raise CorruptStore(
                    f"all block files are gone from {self._directory}: is its disk mounted?",
                    expected=f"{path} of {committed.offset} bytes or more",
                )
            if not path.exists() or path.stat().st_size < committed.offset:
                self.lost = committed
                return Position(max(committed.file, *numbers) + 1, 0)
        end = committed
        for item in self.scan(committed):
            if isinstance(item, StoredRecord):
                end = item.end
        return end

    def _cut_tail(self) -> None:
        """Removes what a crash left behind the last record: half a record, or a new file without records."""
        for number in self._numbers():
            if number > self._end.file:
                self.truncated_bytes += self._path(number).stat().st_size
                self._path(number).unlink()
        surplus = os.fstat(self._descriptor).st_size - self._end.offset
        if surplus:
            self.truncated_bytes += surplus
            hit(FailPoint.FILES_BEFORE_TRUNCATE)
            os.ftruncate(self._descriptor, self._end.offset)
            os.fsync(self._descriptor)
            hit(FailPoint.FILES_AFTER_TRUNCATE)

    def _start_file(self, number: int) -> None:
        hit(FailPoint.FILES_BEFORE_CREATE)
        self._sync()
        self.close()
        preamble = FILE_MAGIC + self._genesis
        preamble += google_crc32c.value(preamble).to_bytes(4, "big")
        self._descriptor = open_file(self._path(number), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self._write(preamble[:20], 0)
        hit(FailPoint.FILES_TORN_PREAMBLE)
        self._write(preamble[20:], 20)
        os.fsync(self._descriptor)
        _fsync_directory(self._directory)
        self._end = Position(number, PREAMBLE_BYTES)
        hit(FailPoint.FILES_AFTER_CREATE)

    def _sync(self) -> None:
        """Forces what was appended to the disk."""
        if not self._is_synced:
            os.fdatasync(self._descriptor)
            self._is_synced = True

    def _write(self, raw: bytes, offset: int) -> None:
        view = memoryview(raw)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def _check_owner(self) -> None:
        for number in self._numbers():
            check_file(self._path(number))
            with open(self._path(number), "rb", opener=open_file) as stream:
                owner = _owner(stream.read(PREAMBLE_BYTES))
            if owner not in (None, self._genesis):
                raise ForeignData(expected=self._genesis, got=owner)

    def _numbers(self) -> list[int]:
        names = (_OWN_FILE.fullmatch(path.name) for path in self._directory.iterdir())
        return sorted(int(match[1]) for match in names if match is not None)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:06d}.dat"


def _head(payload: bytes) -> bytes:
    length = struct.pack(">I", len(payload))
    checksum = google_crc32c.extend(google_crc32c.value(length), payload)
    return RECORD_MAGIC + length + struct.pack(">I", checksum)


def _owner(preamble: bytes) -> bytes | None:
    """The genesis id in a file's preamble; None if the preamble is damaged or incomplete."""
    body, checksum = preamble[:-4], preamble[-4:]
    intact = len(preamble) == PREAMBLE_BYTES and body.startswith(FILE_MAGIC)
    intact = intact and google_crc32c.value(body).to_bytes(4, "big") == checksum
    return body[len(FILE_MAGIC) :] if intact else None


def _record_at(view: mmap.mmap, offset: int) -> bytes | None:
    head = view[offset : offset + HEAD_BYTES]
    if len(head) < HEAD_BYTES or not head.startswith(RECORD_MAGIC):
        return None
    (length,) = struct.unpack_from(">I", head, 4)
    if length > MAX_RECORD_BYTES or offset + HEAD_BYTES + length > len(view):
        return None
    payload = view[offset + HEAD_BYTES : offset + HEAD_BYTES + length]
    return payload if _head(payload) == head else None


def _next_record(view: mmap.mmap, offset: int) -> int:
    """Offset of the next intact record, or of the end of the file."""
    while (offset := view.find(RECORD_MAGIC, offset)) >= 0:
        if _record_at(view, offset) is not None:
            return offset
        offset += 1
    return len(view)


def _fsync_directory(directory: Path) -> None:
    descriptor = open_file(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raises `DiskFull` or `DiskFailure` for what the system refuses at a path, or for what stands there."""
    try:
        yield
    except (NotAFile, NotAFolder) as error:
        raise DiskFailure(error.message, got=error.got) from error
    except OSError as error:
        full = error.errno in _FULL
        raise DiskFull(got=str(error)) if full else DiskFailure(got=f"{path}: {error}") from error
