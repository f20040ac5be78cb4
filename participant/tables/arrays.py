"""Reads numpy arrays from streams: the header first, then exactly the bytes that it announces, or nothing."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from engram.participant.errors import EmptyDataset, ForeignDataset
from engram.participant.tables.errors import DatasetDamaged, DatasetTooLarge, ObjectArray
from engram.participant.tables.guessing import matrix_table
from engram.participant.tables.limits import ROWS, check_size
from engram.participant.tables.opening import opened
from engram.participant.tables.raw import RawTable, ReadOptions

NUMPY: Final = b"\x93NUMPY"
_HEADER_BYTES: Final = 10_000
_DTYPE: Final = re.compile(r"'descr':\s*'([<>|=]?)([a-zA-Z?])(\d{0,6})'")
_ORDER: Final = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE: Final = re.compile(r"'shape':\s*\(\s*((?:\d{1,18}\s*,\s*)*(?:\d{1,18})?)\s*\)")
_ITEM_BYTES: Final = {"b": (1,), "?": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
_PIECE: Final = 2**20


class ArrayHeader:
    """What an array's header says, checked, before anything is read of the array."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        """Reads the header. Raises `DatasetDamaged`, `ForeignDataset`, `ObjectArray`."""
        self.name: Final = name
        text = _header_text(name, stream)
        dtype, order, shape = (each.search(text) for each in (_DTYPE, _ORDER, _SHAPE))
        if dtype is None or order is None or shape is None:
            raise ForeignDataset(f"{name} is no plain array of numbers or words", got=text[:80])
        byte_order, kind, size = dtype.groups()
        if kind == "O":
            raise ObjectArray(
                f"{name} holds Python objects, and loading these could run code: save plain numbers"
            )
        self.shape: Final = tuple(int(length) for length in shape[1].replace(" ", "").split(",") if length)
        self.fortran: Final = order[1] == "True"
        width = int(size or 1)
        if not (width in _ITEM_BYTES.get(kind, ()) or (kind in "SU" and 0 < width <= 1_024)):
            raise ForeignDataset(
                f"{name} holds values of the type {kind}{size}, which are no numbers that Engram reads",
                expected="whole numbers, or floats of 2, 4 or 8 bytes",
            )
        self.dtype: Final = np.dtype(f"{byte_order}{kind}{size}")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def check(self) -> None:
        """Raises `DatasetTooLarge` for an array that takes too much memory, `EmptyDataset` for one of
        nothing.
        """
        rows, *others = self.shape or (1,)
        check_size(self.name, rows, math.prod(others), self.dtype.itemsize)

    def read(self, stream: BinaryIO) -> npt.NDArray[np.generic]:
        """The array whose bytes follow in the stream. Raises `DatasetDamaged` if they are too few, and as
        `check`.
        """
        self.check()
        if 0 in self.shape:
            if max(self.shape) > ROWS:
                raise DatasetTooLarge(f"{self.name} is too large", expected=ROWS, got=max(self.shape))
            raise EmptyDataset(f"{self.name} holds no rows or no features")
        array = np.empty(self.shape, self.dtype, order="F" if self.fortran else "C")
        read_exactly(self.name, stream, array.T if self.fortran else array)
        return array


def read_exactly(name: str, stream: BinaryIO, array: npt.NDArray[np.generic]) -> None:
    """Fills a contiguous array with the next bytes of a stream. Raises `DatasetDamaged` if it ends before."""
    view = memoryview(array.reshape(-1).view(np.uint8).data)
    done = 0
    while done < len(view):
        count = stream.readinto(view[done : done + _PIECE])  # type: ignore[attr-defined]
        if not count:
            raise DatasetDamaged(f"{name} is cut off", expected=len(view), got=done)
        done += count


def read_npy(path: Path, options: ReadOptions) -> RawTable:
    """The rows of an .npy file: a matrix of numbers, of which one column holds the labels.

    Raises what `ArrayHeader`, its `read` and `matrix_table` raise.
    """
    with opened(path, options.progress) as stream:
        header = ArrayHeader(path.name, stream)
        if header.ndim != 2 or header.dtype.kind not in "buif":
            raise ForeignDataset(
                f"{path.name} is no matrix of numbers with a column of labels: put features and labels into "
                "one .npz file",
                got=header.shape,
            )
        matrix = header.read(stream)
        if stream.read(1):
            raise DatasetDamaged(f"{path.name} goes on after its array")
    return matrix_table(path.name, "npy", matrix, options)


def _header_text(name: str, stream: BinaryIO) -> str:
    start = stream.read(8)
    if len(start) < 8 or start[:6] != NUMPY or start[6] not in (1, 2, 3):
        raise DatasetDamaged(f"{name} does not begin as an array of numpy does", got=start)
    length_bytes = 2 if start[6] == 1 else 4
    written = stream.read(length_bytes)
    length = int.from_bytes(written, "little")
    if len(written) < length_bytes:
        raise DatasetDamaged(f"{name} ends inside its header")
    if length > _HEADER_BYTES:
        raise ForeignDataset(f"{name} has a header that is too long", expected=_HEADER_BYTES, got=length)
    raw = stream.read(length)
    if len(raw) < length:
        raise DatasetDamaged(f"{name} ends inside its header", expected=length, got=len(raw))
    return raw.decode("latin-1")
