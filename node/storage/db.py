"""The key-value store under the node: LevelDB, and the same behaviour in memory. The only importer of plyvel.

It knows bytes only; `schema` says what the keys mean. Two defaults of plyvel are dangerous and are not used.
By default, reads do not verify checksums, so a flipped bit on the disk goes unnoticed: here every read
verifies them. And a plain `write_batch()` writes what was queued even if its body raises: here every batch is
written with `transaction=True`, whole or not at all.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import plyvel
from sortedcontainers import SortedDict

from engram.node.errors import CorruptStore, DataDirLocked, DiskFailure, DiskFull, NotAFile, NotAFolder
from engram.node.files import check_file, folder_bytes, has_folder
from engram.primitives.errors import StorageError

WRITE_BUFFER_BYTES: Final = 1 << 20
"""Small: deleted rows take room until several buffers are written, and a start reads the last one."""
CACHE_BYTES: Final = 8 << 20
MAX_OPEN_FILES: Final = 256
BLOOM_BITS: Final = 10

_OWN_FILE: Final = re.compile(r"CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(log|ldb|sst|dbtmp)")
_TABLE_END: Final = bytes.fromhex("57fb808b247547db")
_FULL: Final = ("No space left on device", "Disk quota exceeded", "File too large")
_LOCKED: Final = ("Resource temporarily unavailable", "already held by process")


@dataclass
class Batch:
    """The changes of one write: keys to put and keys to delete. Nothing is stored before `Database.write`.

    If a key is named more than once, the last call wins.
    """

    changes: dict[bytes, bytes | None] = field(default_factory=dict)

    def put(self, key: bytes, value: bytes) -> None:
        self.changes[key] = value

    def delete(self, key: bytes) -> None:
        self.changes[key] = None


class Database(Protocol):
    """An ordered map from bytes to bytes that several threads may use at once.

    Its methods raise no errors but `StorageError` and its subclasses.
    """

    @property
    def failure(self) -> StorageError | None:
        """The error of the first write that failed."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value, or None if the key is absent."""
        ...

    def put(self, key: bytes, value: bytes) -> None:
        """Writes one key; it is on disk when this returns."""
        ...

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        """Writes the batch whole or not at all. With `sync`, it is on disk when this returns."""
        ...

    def iterate(self, prefix: bytes = b"", *, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows whose keys begin with `prefix`, from `prefix + start` on, by ascending key.

        Writes that follow the call do not change what the iterator yields.
        """
        ...

    def size_bytes(self) -> int:
        """Roughly the bytes that the store takes."""
        ...

    def compact(self) -> None:
        """Gives back the room of deleted and replaced rows. It takes as long as reading everything."""
        ...

    def close(self) -> None:
        """Closes the store. No other thread may be inside a call, because LevelDB would crash the process."""
        ...


class MemoryDatabase:
    """The same store in memory, for tests and for chains that need not survive the process."""

    failure: StorageError | None = None

    def __init__(self) -> None:
        self._rows: SortedDict[bytes, bytes] = SortedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._rows.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        with self._lock:
            self._rows[key] = value

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        with self._lock:
            for key, value in batch.changes.items():
                if value is None:
                    self._rows.pop(key, None)
                else:
                    self._rows[key] = value

    def iterate(self, prefix: bytes = b"", *, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        with self._lock:
            first = prefix + start
            rows = [
                (key, self._rows[key]) for key in self._rows.irange(first, _end_of(prefix), (True, False))
            ]
        return iter(rows)

    def size_bytes(self) -> int:
        with self._lock:
            return sum(len(key) + len(value) for key, value in self._rows.items())

    def compact(self) -> None:
        """Deleted rows take no room."""

    def close(self) -> None:
        self._rows = SortedDict()


def _end_of(prefix: bytes) -> bytes | None:
    """The least key above every key that begins with `prefix`; None if there is no such key."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def _version_of(file: os.stat_result) -> tuple[int, int, int]:
    """What differs between two files that had one name after another."""
    return file.st_ino, file.st_size, file.st_mtime_ns


class LevelDatabase:
    """A LevelDB directory, made if there is none; only one process can open it at a time.

    Opening raises `DataDirLocked`, `CorruptStore`, `DiskFull`, and `DiskFailure`, also if something else
    stands in the place of the folder or of one of its files. After a write has failed, every later write
    fails with the same error: LevelDB's log may end in half a record, and a whole record behind that half
    would make LevelDB refuse the file at the next start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failure: StorageError | None = None
        self._check_plain()
        if not (path / "CURRENT").exists() and any(path.glob("*.ldb")):
            # LevelDB would take this for a new database and delete the tables.
            raise CorruptStore(got=f"{path}/CURRENT is missing")
        with self._errors():
            cut_off = self._cut_off()
            path.mkdir(exist_ok=True, mode=0o700)  # LevelDB itself would let everybody in
            self._db = plyvel.DB(
                os.fsencode(path),  # plyvel itself refuses a name that is not UTF-8
                create_if_missing=True,
                paranoid_checks=True,
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=CACHE_BYTES,
                max_open_files=MAX_OPEN_FILES,
                bloom_filter_bits=BLOOM_BITS,
                compression=None,
            )
            try:
                self._check_kept(cut_off)
            except BaseException:
                self._db.close()
                raise

    def _check_plain(self) -> None:
        """LevelDB would wait for a pipe, and read a device, for ever. Raises `DiskFailure`."""
        try:
            for entry in self._path.iterdir() if has_folder(self._path) else ():
                if _OWN_FILE.fullmatch(entry.name):
                    check_file(entry)
        except (NotAFile, NotAFolder) as error:
            raise DiskFailure(error.message, got=error.got) from error

    def _cut_off(self) -> dict[Path, os.stat_result]:
        """The tables whose end is missing. An iterator would pass over one of them in silence.

        It is called before LevelDB opens: from then on, it writes and deletes tables in the background.
        """
        found = {}
        for table in self._path.glob("*.ldb"):
            with suppress(FileNotFoundError), table.open("rb") as stream:
                facts = os.fstat(stream.fileno())
                stream.seek(-min(len(_TABLE_END), facts.st_size), os.SEEK_END)
                if stream.read() != _TABLE_END:
                    found[table] = facts
        return found

    def _check_kept(self, cut_off: dict[Path, os.stat_result]) -> None:
        """Raises `CorruptStore` if LevelDB has kept one of these tables, because its data refers to it.

        One that a crash left incomplete is gone by now, or another table has taken its name.
        """
        for table, before in cut_off.items():
            with suppress(FileNotFoundError):
                if _version_of(table.stat()) == _version_of(before):
                    raise CorruptStore(got=f"{table}: its end is missing")

    def get(self, key: bytes) -> bytes | None:
        try:  # without `_errors`, because entering a context manager takes ten times as long as the read
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except (plyvel.Error, OSError) as error:
            raise _translated(error, self._path) from error
        return value

    def put(self, key: bytes, value: bytes) -> None:
        self.write(Batch({key: value}))

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            with self._errors(), self._db.write_batch(transaction=True, sync=sync) as rows:
                for key, value in batch.changes.items():
                    if value is None:
                        rows.delete(key)
                    else:
                        rows.put(key, value)
        except StorageError as error:
            self.failure = error
            raise

    def iterate(self, prefix: bytes = b"", *, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        with self._errors():
            rows = self._db.iterator(
                start=prefix + start, stop=_end_of(prefix), verify_checksums=True, fill_cache=False
            )
        return self._rows(rows)

    def _rows(self, rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        while True:
            with self._errors():
                row = next(rows, None)
            if row is None:
                return
            yield row

    def size_bytes(self) -> int:
        with self._errors():
            return folder_bytes(self._path)

    def compact(self) -> None:
        with self._errors():
            self._db.compact_range()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (plyvel.Error, OSError) as error:
            raise _translated(error, self._path) from error


def _translated(error: Exception, path: Path) -> StorageError:
    message = str(error)
    if isinstance(error, plyvel.CorruptionError):
        return CorruptStore(got=f"{path}: {message}")
    if any(part in message for part in _FULL):
        return DiskFull(got=message)
    if any(part in message for part in _LOCKED):
        return DataDirLocked(got=str(path))
    return DiskFailure(got=f"{path}: {message}")
