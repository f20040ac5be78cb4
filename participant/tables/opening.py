"""Opens data files: plain files only, unpacked where they are gzipped, with a bound on what comes out."""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from engram.participant.errors import DatasetNotFound, EmptyDataset, ForeignDataset
from engram.participant.tables.errors import DatasetDamaged, DatasetEncrypted, DatasetTooLarge
from engram.participant.tables.limits import FILE_BYTES
from engram.participant.tables.raw import Progress

GZIP: Final = b"\x1f\x8b"
HEAD_BYTES: Final = 4_096
_IDX_TYPES: Final = b"\x08\x09\x0b\x0c\x0d\x0e"
_FOREIGN: Final = (
    (b"\x89HDF", "an HDF5 file: save its arrays with numpy.savez"),
    (b"MATLAB", "a file of MATLAB: save its arrays with numpy.savez"),
    (b"SQLite format 3", "a database: export the table as CSV"),
    (b"%PDF", "a PDF document"),
    (b"\x80\x02", "a pickle, and loading it could run code: save plain numbers with numpy.savez"),
    (b"\x80\x03", "a pickle, and loading it could run code: save plain numbers with numpy.savez"),
    (b"\x80\x04", "a pickle, and loading it could run code: save plain numbers with numpy.savez"),
    (b"\x80\x05", "a pickle, and loading it could run code: save plain numbers with numpy.savez"),
    (b"\xd0\xcf\x11\xe0", "a document of an office program, old or encrypted: save the table as CSV"),
    (b"BZh", "packed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "packed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"Rar!", "a rar archive: unpack it first"),
    (b"\x89PNG", "a single picture: name the folder with a folder of pictures for each class"),
    (b"\xff\xd8\xff", "a single picture: name the folder with a folder of pictures for each class"),
    (b"GIF8", "a single picture: name the folder with a folder of pictures for each class"),
)
"""First bytes of files that people take for data sets, and what is said about them."""
_NOTATIONS: Final = (
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]\s*[\"{\[\]}]"), "text in JSON: save the rows as CSV"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<[!?a-zA-Z]"), "text in HTML or XML: save the table as CSV"),
    (re.compile(rb"(?i:(?:\xef\xbb\xbf)?(?:\s*%[^\n]*\n)*\s*@relation\b)"), "an ARFF file: save it as CSV"),
    (
        re.compile(rb"[+-]?[0-9.]+(?: [0-9]+:[-+.0-9eE]+)+(?=\s|$)"),
        "in the notation of LIBSVM: save it as CSV",
    ),
)
"""Beginnings of texts that are no tables, and what is said about them."""


@contextmanager
def opened(path: Path, progress: Progress | None = None) -> Iterator[BinaryIO]:
    """The content of a data file, unpacked if it is gzipped. Whoever reads it meets a bound, not a bomb.

    Within the block, what a damaged gzip file raises becomes `DatasetDamaged`. Raises `DatasetNotFound`,
    `EmptyDataset` for a file of no bytes, `ForeignDataset` for what is no file, `DatasetTooLarge`, `OSError`.
    """
    raw = _plain_file(path)
    try:
        size = os.fstat(raw.fileno()).st_size
        if size == 0:
            raise EmptyDataset(f"{path.name} is empty: it has no bytes")
        if size > FILE_BYTES:
            raise DatasetTooLarge(f"{path.name} is too large: divide it", expected=FILE_BYTES, got=size)
        packed = raw.read(2) == GZIP
        raw.seek(0)
        told = _Told(raw, size, progress)
        stream = gzip.GzipFile(fileobj=told) if packed else told
        try:
            yield cast(BinaryIO, io.BufferedReader(_Bounded(cast(BinaryIO, stream), path.name), 2**16))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DatasetDamaged(f"{path.name} is a damaged gzip file: {error}") from error
    finally:
        raw.close()


def file_size(path: Path) -> int:
    """The bytes that a file takes on the disk."""
    return path.stat().st_size


def kind_of(path: Path) -> str:
    """The format of a file, by its first bytes: `npz`, `npy`, `idx`, `parquet` or `csv`.

    Raises `ForeignDataset`, which says what the file is as far as its first bytes tell, `DatasetEncrypted`,
    and what `opened` raises.
    """
    with opened(path) as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise EmptyDataset(f"{path.name} holds nothing once it is unpacked")
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "npz"
    if head[:6] == b"\x93NUMPY":
        return "npy"
    if head[:2] == b"\0\0" and head[2:3] in _IDX_TYPES and len(head) > 3:
        return "idx"
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:4] == b"PARE":
        raise DatasetEncrypted(f"{path.name} is an encrypted parquet file: decrypt it first")
    for beginning, words in _FOREIGN:
        if head.startswith(beginning):
            raise ForeignDataset(f"{path.name} is {words}", got=head[:8])
    if (notation := next((words for mark, words in _NOTATIONS if mark.match(head)), None)) is not None:
        raise ForeignDataset(f"{path.name} is {notation}", got=head[:8])
    if head[:2] not in (b"\xff\xfe", b"\xfe\xff") and b"\0" in head:
        raise ForeignDataset(
            f"{path.name} is no file of rows that Engram knows",
            expected="csv, npz, npy, idx, parquet or a folder of pictures",
            got=head[:8],
        )
    return "csv"


def _plain_file(path: Path) -> BinaryIO:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetNotFound(f"there is no file at {path}") from error
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ELOOP):  # a socket; a link that leads to itself
            raise
        raise ForeignDataset(f"{path} is no file: name a file that holds rows", got=str(path)) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ForeignDataset(f"{path} is no file: name a file that holds rows", got=str(path))
    return os.fdopen(handle, "rb")


class _Told(io.RawIOBase):
    """The file, which says how much of it has been read."""

    def __init__(self, raw: BinaryIO, size: int, progress: Progress | None) -> None:
        self._raw = raw
        self._size = size
        self._progress = progress

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: object) -> int:
        count = cast(io.BufferedReader, self._raw).readinto(buffer)  # type: ignore[arg-type]
        if self._progress is not None:
            self._progress(self._raw.tell(), self._size)
        return count


class _Bounded(io.RawIOBase):
    """A stream that refuses to go on after `FILE_BYTES` bytes."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: object) -> int:
        count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        if self._stream.tell() > FILE_BYTES:
            raise DatasetTooLarge(f"{self._name} unpacks to too much: divide it", expected=FILE_BYTES)
        return count
