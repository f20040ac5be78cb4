"""The one way from a file, or a folder, to its rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final

from engram.participant.errors import DatasetNotFound
from engram.participant.tables.arrays import read_npy
from engram.participant.tables.idx import idx_files, read_idx
from engram.participant.tables.images import picture_files, read_images
from engram.participant.tables.npz import read_npz
from engram.participant.tables.opening import kind_of
from engram.participant.tables.parquet import read_parquet
from engram.participant.tables.raw import RawTable, ReadOptions
from engram.participant.tables.text import read_text

READERS: Final = MappingProxyType[str, Callable[[Path, ReadOptions], RawTable]](
    {"csv": read_text, "npz": read_npz, "npy": read_npy, "idx": read_idx, "parquet": read_parquet}
)
"""What reads each format, by the name that `kind_of` gives it."""


def read(path: Path, options: ReadOptions | None = None) -> RawTable:
    """The rows of a file of any kind, which its first bytes say, or of a folder of idx files or pictures.

    Raises the errors of `tables.errors`, and `DatasetNotFound`, `EmptyDataset`, `ForeignDataset`, `OSError`.
    """
    chosen = options or ReadOptions()
    if path.is_dir():
        if (pixels := idx_files(path, test=chosen.test_rows)) is not None:
            return read_idx(pixels, chosen)
        if pictures := picture_files(path, test=chosen.test_rows):
            return read_images(path, pictures, chosen)
        raise DatasetNotFound(
            f"{path} holds no data set: neither idx files nor folders of pictures",
            expected="train-images-idx3-ubyte, or a folder of pictures for each class",
            got=str(path),
        )
    return READERS[kind_of(path)](path, chosen)
