"""Takes batches into the fast memory exactly once, also if the process dies at any moment.

A batch has a name, the hash of its content. Its rows are learned in pieces, each of which the fast memory
takes as a whole or not at all. Before a piece is learned, the journal says under which number its first
example will stand; so after a crash the fast memory's next number tells whether it was. Nothing else may be
learned between such a line and its piece.

A journal is a file of records of one size, each synced before anything follows from it. The names of the last
`MOST_TAKEN` batches are remembered.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final

from engram.participant.learn.errors import IntakeDamaged
from engram.participant.memory.disk import Disk, disk_errors
from engram.primitives.types import Hash

MOST_TAKEN: Final = 65_536
MOST_BEGUN: Final = 1_024
SLACK: Final = 4_096
"""Records beyond those that are needed, before the file is written anew."""
DISK: Final = Disk()
_BODY: Final = struct.Struct("<c32sQQQ")
_SIZE: Final = _BODY.size + 4
_INTENT, _VOID, _BEGUN, _COMPLETE = b"I", b"V", b"B", b"C"


class Intake:
    """The journal of one fast memory."""

    def __init__(self, path: Path, next_number: int, *, disk: Disk = DISK) -> None:
        """Reads the journal. `next_number` is the fast memory's: it tells what became of the last piece.

        Raises `IntakeDamaged`, `DiskFull`, `DiskFailure`.
        """
        self._path = path
        self._disk = disk
        self._taken: dict[Hash, None] = {}
        self._begun: dict[Hash, int] = {}
        self._open: tuple[Hash, int, int] | None = None
        """Name, first number and last row of a piece of which nobody knows yet whether it was learned."""
        with disk_errors(path.parent):
            self._descriptor = self._opened()
            self._size = 0
            self._read()
            self._resolve(next_number)
            if self._size // _SIZE > len(self._taken) + len(self._begun) + SLACK:
                self._rewrite()

    def close(self) -> None:
        """Closes the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def is_taken(self, name: Hash) -> bool:
        """Whether the batch was taken in as a whole."""
        return name in self._taken

    def begun(self, name: Hash) -> int:
        """How many rows of the batch were learned; the next piece begins there."""
        return self._begun.get(name, 0)

    def settle(self, next_number: int) -> None:
        """Must be called before anything else is learned: says that a failed piece was not learned.

        Raises `DiskFull`, `DiskFailure`; then nothing may be learned.
        """
        with disk_errors(self._path.parent):
            self._resolve(next_number)

    def intend(self, name: Hash, first: int, begin: int, end: int) -> None:
        """Says that rows `begin` to `end` are about to be learned, the first as number `first`.

        Raises `DiskFull`, `DiskFailure`; then they may not be learned.
        """
        with disk_errors(self._path.parent):
            self._resolve(first)
            self._append(_INTENT, name, first, begin, end)
        self._open = (name, first, end)

    def learned(self) -> None:
        """The piece that was intended is in the fast memory."""
        assert self._open is not None, "a piece is learned only after it was intended"
        name, _, end = self._open
        self._begun[name], self._open = end, None

    def complete(self, name: Hash) -> None:
        """The batch was learned as a whole. Raises `DiskFull`, `DiskFailure`."""
        with disk_errors(self._path.parent):
            self._append(_COMPLETE, name)
        self._note(_COMPLETE, name, 0)

    def _opened(self) -> int:
        if self._path.exists():
            return os.open(self._path, os.O_RDWR)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = self._disk.create(self._path)
        self._disk.sync_folder(self._path.parent)
        return descriptor

    def _read(self) -> None:
        raw = self._path.read_bytes()
        while self._size + _SIZE <= len(raw):
            record = raw[self._size : self._size + _SIZE]
            body = record[: _BODY.size]
            if zlib.crc32(body).to_bytes(4, "little") != record[_BODY.size :]:
                break
            kind, name, first, begin, end = _BODY.unpack(body)
            if kind == _INTENT:
                self._close_last()
                self._open = (name, first, end)
                self._begun.setdefault(name, begin)
            elif kind == _VOID:
                self._open = None
            else:
                self._close_last()
                self._note(kind, name, end)
            self._size += _SIZE
        if len(raw) - self._size > _SIZE:
            raise IntakeDamaged(
                f"{self._path} is damaged at byte {self._size}: restore it, or remove it and take care that "
                "no file is fed twice",
                got=self._size,
            )
        if len(raw) > self._size:
            self._disk.truncate(self._descriptor, self._size)

    def _close_last(self) -> None:
        """A record after an intent, other than a void, says that the piece was learned."""
        if self._open is not None:
            name, _, end = self._open
            self._begun[name], self._open = end, None

    def _resolve(self, next_number: int) -> None:
        if self._open is None:
            return
        name, first, end = self._open
        if next_number > first:
            self._append(_BEGUN, name, end=end)
            self._note(_BEGUN, name, end)
        else:
            self._append(_VOID, name)
        self._open = None

    def _note(self, kind: bytes, name: Hash, end: int) -> None:
        if kind == _BEGUN:
            self._begun[name] = end
            while len(self._begun) > MOST_BEGUN:
                del self._begun[next(iter(self._begun))]
            return
        self._begun.pop(name, None)
        self._taken[name] = None
        while len(self._taken) > MOST_TAKEN:
            del self._taken[next(iter(self._taken))]

    def _append(self, kind: bytes, name: Hash, first: int = 0, begin: int = 0, end: int = 0) -> None:
        self._disk.write(self._descriptor, _packed(kind, name, first, begin, end), self._size)
        self._disk.sync(self._descriptor)
        self._size += _SIZE

    def _rewrite(self) -> None:
        """Writes a file that holds what counts, and puts it in the place of the old one."""
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        content = [_packed(_COMPLETE, name) for name in self._taken]
        content += [_packed(_BEGUN, name, end=end) for name, end in self._begun.items()]
        raw = b"".join(content)
        descriptor = self._disk.create(fresh)
        try:
            self._disk.write(descriptor, raw, 0)
            self._disk.sync(descriptor)
            self._disk.rename(fresh, self._path)
            self._disk.sync_folder(self._path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor, self._size = descriptor, len(raw)


def _packed(kind: bytes, name: Hash, first: int = 0, begin: int = 0, end: int = 0) -> bytes:
    body = _BODY.pack(kind, name, first, begin, end)
    return body + zlib.crc32(body).to_bytes(4, "little")
