"""Files of checked records that one node writes and another reads: snapshots and exported chains.

    magic (16) ‖ record…
    record: kind (1) ‖ length (u32) ‖ CRC32C of kind, length and payload (u32) ‖ payload

Integers are big-endian. The last record has the kind `e` and the number of records before it, so that a file
that was cut off is told from a whole one. The checksums find damage; what the records say is for the reader
to verify.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import google_crc32c

from engram.node.errors import FileDamaged
from engram.node.storage.blockfiles import MAX_RECORD_BYTES, disk_errors

END: Final = b"e"
HEAD: Final = struct.Struct(">cII")


class RecordWriter:
    """Writes a file under another name, and gives it its own name once it is whole and on disk.

    Raises `DiskFull` or `DiskFailure`; a file of that name stays as it was then.
    """

    def __init__(self, path: Path, magic: bytes) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._count = 0
        with disk_errors(path):
            self._stream = self._partial.open("wb")
            self._stream.write(magic)

    def add(self, kind: bytes, payload: bytes) -> None:
        """Appends a record."""
        with disk_errors(self._path):
            self._stream.write(_head(kind, payload) + payload)
        self._count += 1

    def finish(self) -> int:
        """Ends the file; its size in bytes."""
        self.add(END, self._count.to_bytes(8, "big"))
        with disk_errors(self._path):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._partial.rename(self._path)
            return self._path.stat().st_size

    def drop(self) -> None:
        """Removes what was written, if the file is not finished."""
        if not self._stream.closed:
            self._stream.close()
            self._partial.unlink(missing_ok=True)


def read_records(path: Path, magic: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and payload of each record. Raises `FileDamaged`, which says where, and `DiskFailure`."""
    with disk_errors(path), path.open("rb") as stream:
        if stream.read(len(magic)) != magic:
            raise FileDamaged("the file is no such file, or its beginning is damaged", got=str(path))
        count = 0
        while True:
            place = stream.tell()
            kind, payload = _record(stream, path, count, place)
            if kind == END:
                if payload != count.to_bytes(8, "big") or stream.read(1):
                    raise _damage(path, count, place)
                return
            yield kind, payload
            count += 1


def _record(stream: BinaryIO, path: Path, count: int, place: int) -> tuple[bytes, bytes]:
    head = stream.read(HEAD.size)
    if len(head) == HEAD.size:
        kind, length, _ = HEAD.unpack(head)
        if length <= MAX_RECORD_BYTES:
            payload = stream.read(length)
            if len(payload) == length and _head(kind, payload) == head:
                return kind, payload
    raise _damage(path, count, place)


def _damage(path: Path, count: int, place: int) -> FileDamaged:
    return FileDamaged(got=f"{path}: record {count} at byte {place}")


def _head(kind: bytes, payload: bytes) -> bytes:
    start = kind + struct.pack(">I", len(payload))
    checksum = google_crc32c.extend(google_crc32c.value(start), payload)
    return HEAD.pack(kind, len(payload), checksum)
