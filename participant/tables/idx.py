"""Reads pairs of files in the idx format of MNIST: one with the features, one with the labels."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.participant.errors import DatasetNotFound, EmptyDataset, ForeignDataset
from engram.participant.tables.arrays import read_exactly
from engram.participant.tables.channels import channels_of
from engram.participant.tables.errors import DatasetDamaged, LabelsMissing
from engram.participant.tables.limits import check_size
from engram.participant.tables.opening import opened
from engram.participant.tables.raw import LabelColumn, RawTable, ReadOptions, compact, labels_of_numbers

_TYPES: Final[dict[int, np.dtype[Any]]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MOST_DIMENSIONS: Final = 4


def read_idx(path: Path, options: ReadOptions) -> RawTable:
    """The rows of an idx file with features; the file with its labels has the same name with `labels` in it.

    Raises `LabelsMissing` if no such file stands beside it, and what `read_idx_pair` raises.
    """
    labels = labels_beside(path)
    if labels is None:
        raise LabelsMissing(
            f"{path.name} is an idx file without one of labels: name the file of images, as in "
            "train-images-idx3-ubyte, and put train-labels-idx1-ubyte beside it",
            got=path.name,
        )
    return read_idx_pair(path, labels, options)


def labels_beside(path: Path) -> Path | None:
    """The file of labels that belongs to a file of images, if it is there, gzipped or not."""
    if "images" not in path.name:
        return None
    name = path.name.replace("images", "labels").replace("idx3", "idx1").removesuffix(".gz")
    found = (path.with_name(name + ending) for ending in ("", ".gz"))
    return next((labels for labels in found if labels.is_file()), None)


def idx_files(folder: Path, *, test: bool) -> Path | None:
    """The file of training images in a folder of idx files, or with `test` that of the test images.

    None if the folder holds none. Raises `DatasetNotFound` if these rows are not there while others are.
    """
    images = [path for path in sorted(folder.glob("*images*idx*")) if path.is_file()]
    if not images:
        return None
    chosen = [path for path in images if path.name.startswith(("t10k", "test")) == test]
    if len(chosen) == 1 or (chosen and not test and chosen[0].name.startswith("train")):
        return chosen[0]
    kind = "test" if test else "training"
    raise DatasetNotFound(
        f"{folder} holds no single file of {kind} images: name the file itself",
        expected="t10k-images-idx3-ubyte" if test else "train-images-idx3-ubyte",
        got=[path.name for path in images],
    )


def read_idx_pair(images: Path, labels: Path, options: ReadOptions) -> RawTable:
    """The rows whose features and labels two idx files hold, gzipped or not.

    Raises `ForeignDataset`, `DatasetDamaged`, `DatasetTooLarge`, `EmptyDataset`, `ChannelsUnclear`, and what
    `opened` raises.
    """
    found = _read(labels, options)
    pixels = _read(images, options)
    if found.ndim != 1 or found.dtype.kind not in "ui" or pixels.ndim < 2 or len(found) != len(pixels):
        raise ForeignDataset(
            f"{images.name} and {labels.name} do not belong together: one row for each label",
            got=(pixels.shape, found.shape),
        )
    if 0 in pixels.shape:
        raise EmptyDataset(f"{images.name} holds no rows")
    shape = pixels.shape[1:]
    flat = pixels.reshape(len(pixels), math.prod(shape))
    column = LabelColumn(labels.name, "format")
    kinds = labels_of_numbers(labels.name, found)
    channels = channels_of(images.name, shape, options)
    return RawTable(images.name, "idx", compact(images.name, flat), kinds, column, shape, channels=channels)


def _read(path: Path, options: ReadOptions) -> npt.NDArray[np.generic]:
    with opened(path, options.progress) as stream:
        head = stream.read(4)
        if (
            len(head) < 4
            or head[:2] != b"\0\0"
            or head[2] not in _TYPES
            or not 1 <= head[3] <= _MOST_DIMENSIONS
        ):
            raise ForeignDataset(f"{path.name} is not an idx file", expected="00 00 08 0n", got=head)
        ndim = head[3]
        raw = stream.read(4 * ndim)
        if len(raw) < 4 * ndim:
            raise DatasetDamaged(
                f"{path.name} ends inside its header", expected=4 + 4 * ndim, got=4 + len(raw)
            )
        shape = struct.unpack(f">{ndim}I", raw)
        dtype = _TYPES[head[2]]
        check_size(path.name, shape[0], math.prod(shape[1:]), dtype.itemsize)
        if 0 in shape:
            raise EmptyDataset(f"{path.name} holds no rows or no features")
        array = np.empty(shape, dtype)
        read_exactly(path.name, stream, array)
        if stream.read(1):
            raise DatasetDamaged(
                f"{path.name} goes on after what its header announces", expected=array.nbytes
            )
    return array
