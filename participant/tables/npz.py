"""Reads archives of numpy arrays (.npz) under the names and in the shapes in which people save rows."""

from __future__ import annotations

import errno
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np
import numpy.typing as npt

from engram.participant.errors import EmptyDataset, ForeignDataset
from engram.participant.tables.arrays import ArrayHeader
from engram.participant.tables.channels import channels_of
from engram.participant.tables.errors import (
    ColumnNotFound,
    DatasetDamaged,
    DatasetEncrypted,
    DatasetTooLarge,
    LabelsMissing,
    TextUnreadable,
)
from engram.participant.tables.guessing import matrix_table, unlabelled
from engram.participant.tables.opening import GZIP, opened
from engram.participant.tables.raw import (
    NONE,
    LabelColumn,
    Labels,
    RawTable,
    ReadOptions,
    compact,
    labels_of_numbers,
    labels_of_words,
)

TRAIN_NAMES: Final = (
    ("features", "labels"),
    ("x_train", "y_train"),
    ("train_x", "train_y"),
    ("train_images", "train_labels"),
    ("train_data", "train_labels"),
    ("x", "y"),
    ("images", "labels"),
    ("data", "labels"),
    ("inputs", "labels"),
    ("data", "target"),
    ("data", "targets"),
    ("inputs", "targets"),
    ("x", "labels"),
    ("features", "targets"),
    ("features", "target"),
    ("arr_0", "arr_1"),
)
"""Names, in small letters, under which people save features and labels; those of training rows come first."""
TEST_NAMES: Final = (
    ("x_test", "y_test"),
    ("test_x", "test_y"),
    ("test_images", "test_labels"),
    ("test_data", "test_labels"),
)
OWN_NAME: Final = "features"
"""Alone, an array of this name has no labels among its columns: `engram data convert` writes such files."""
_MOST_MEMBERS: Final = 1_000
_MOST_DIRECTORY: Final = 2**20
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_COMMENT_BYTES: Final = 2**16
_ENCRYPTED: Final = 1
_WORDS: Final = 2**12
_PIECE_VALUES: Final = 2**20


def read_npz(path: Path, options: ReadOptions) -> RawTable:
    """The rows of an archive, of whose arrays two are unpacked, after their headers have been checked.

    Raises `ForeignDataset`, `DatasetDamaged`, `DatasetEncrypted`, `DatasetTooLarge`, `ObjectArray`,
    `EmptyDataset`, `LabelsMissing`, `ColumnNotFound`, `ChannelsUnclear`, and what `opened` raises.
    """
    with path.open("rb") as raw:
        if raw.read(len(GZIP)) == GZIP:
            raise ForeignDataset(f"{path.name} is a gzipped archive: unpack it first")
    with ExitStack() as stack:
        stream = stack.enter_context(opened(path, options.progress))
        _check_directory(path, stream)
        try:
            archive = stack.enter_context(zipfile.ZipFile(stream))
            return _table(path, archive, options)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            struct.error,
            NotImplementedError,
            ValueError,
        ) as error:
            raise DatasetDamaged(f"{path.name} is a damaged archive: {error}") from error
        except OSError as error:
            if error.errno != errno.EINVAL:  # a place before the file's beginning
                raise
            raise DatasetDamaged(f"{path.name} is a damaged archive") from error


def _check_directory(path: Path, stream: BinaryIO) -> None:
    """Refuses an archive whose list of members is long: it would be read whole. Raises `DatasetDamaged`."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _END_BYTES - _COMMENT_BYTES))
    tail = stream.read(_END_BYTES + _COMMENT_BYTES)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise DatasetDamaged(f"{path.name} is cut off: an archive ends with the list of what it holds")
    members, directory = struct.unpack("<HI", tail[at + 10 : at + 16])
    if (
        members > _MOST_MEMBERS
        or directory > _MOST_DIRECTORY
        or tail[max(0, at - 20) :].startswith(b"PK\x06\x07")
    ):
        raise DatasetTooLarge(f"{path.name} holds too many files", expected=_MOST_MEMBERS, got=members)
    stream.seek(0)


def _table(path: Path, archive: zipfile.ZipFile, options: ReadOptions) -> RawTable:
    headers = _headers(path, archive)
    if (alone := _without_labels(headers, options)) is not None:
        pixels = _array(archive, alone, headers[alone])
        shape = pixels.shape[1:]
        rows = unlabelled(path.name, "npz", pixels.reshape(len(pixels), math.prod(shape)), shape)
        return replace(rows, channels=channels_of(path.name, shape, options))
    names = _chosen(path, headers, options)
    if names is None:
        only = next(iter(headers))
        return matrix_table(path.name, "npz", _array(archive, only, headers[only]), options)
    (features_name, labels_name), asked = names
    header = headers[features_name]
    if header.ndim < 2 or header.dtype.kind not in "buif":
        raise ForeignDataset(
            f"{path.name}: the features must be numbers in the shape (rows, inputs) or that of pictures",
            got=(str(header.dtype), *header.shape),
        )
    wanted = headers[labels_name]
    if wanted.shape[:1] != header.shape[:1] or wanted.ndim > 2:
        raise ForeignDataset(
            f"{path.name}: {labels_name} has not one label for each row of {features_name}",
            expected=header.shape[:1],
            got=wanted.shape,
        )
    shape = header.shape[1:]
    channels = channels_of(path.name, shape, options)
    features = _array(archive, features_name, header)
    labels = _labels(path, _array(archive, labels_name, wanted))
    flat = features.reshape(len(features), math.prod(shape))
    column = LabelColumn(labels_name, "asked" if asked else "format")
    return RawTable(path.name, "npz", compact(path.name, flat), labels, column, shape, channels=channels)


def _headers(path: Path, archive: zipfile.ZipFile) -> dict[str, ArrayHeader]:
    """The headers of all arrays in an archive, by name."""
    headers = {}
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if not members:
        raise ForeignDataset(
            f"{path.name} is an archive without arrays of numpy; save a spreadsheet as CSV, unpack other "
            "archives",
            got=[member.filename for member in archive.infolist()[:5]],
        )
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise DatasetEncrypted(f"{path.name} is an encrypted archive: decrypt it first")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ForeignDataset(
                f"{path.name} is packed in a way that numpy does not use: save it with numpy.savez"
            )
        name = member.filename.removesuffix(".npy")
        with archive.open(member) as stream:
            headers[name] = ArrayHeader(f"{path.name}: {name}", cast(BinaryIO, stream))
    return headers


def _without_labels(headers: Mapping[str, ArrayHeader], options: ReadOptions) -> str | None:
    """The array of features, if the user says that there are no labels or a mapping shows it."""
    matrices = [name for name, header in headers.items() if header.ndim >= 2 and header.dtype.kind in "buif"]
    if options.label == NONE and NONE not in headers:
        known = {name.lower(): name for name in matrices}
        named = [known[x] for x, _ in (*TRAIN_NAMES, *TEST_NAMES) if x in known]
        return named[0] if named else matrices[0] if len(matrices) == 1 else None
    if options.label is None and list(headers) == matrices == [OWN_NAME]:
        return OWN_NAME
    only = matrices[0] if len(headers) == len(matrices) == 1 and options.label is None else None
    return only if only is not None and math.prod(headers[only].shape[1:]) == options.inputs else None


def _chosen(
    path: Path, headers: Mapping[str, ArrayHeader], options: ReadOptions
) -> tuple[tuple[str, str], bool] | None:
    """The arrays of features and of labels, and whether a person has named the second; None for one matrix.

    Raises `ColumnNotFound`, `LabelsMissing`.
    """
    lower = {name.lower(): name for name in reversed(list(headers))}
    pairs = (*TEST_NAMES, *TRAIN_NAMES) if options.test_rows else (*TRAIN_NAMES, *TEST_NAMES)
    known = [(lower[x], lower[y]) for x, y in pairs if x in lower and y in lower]
    matrices = [name for name, header in headers.items() if header.ndim >= 2 and header.dtype.kind in "buif"]
    if options.label is not None and options.label in headers:
        left = [name for name in matrices if name != options.label]
        first = next((x for x, y in known if y == options.label), left[0] if len(left) == 1 else None)
        if first is None:
            raise ForeignDataset(
                f"{path.name}: no array, or more than one, holds features", got=list(headers)
            )
        return (first, options.label), True
    if known:
        if options.label is not None:
            raise ColumnNotFound(
                f"{path.name} has no array {options.label!r}: {', '.join(headers)}", got=options.label
            )
        return known[0], False
    vectors = [name for name, header in headers.items() if header.ndim == 1]
    if len(matrices) == 1 and len(vectors) == 1:
        return (matrices[0], vectors[0]), False
    if len(headers) == 1 and matrices and headers[matrices[0]].ndim == 2:
        return None
    if not matrices:
        raise ForeignDataset(f"{path.name} holds no array of rows with features", got=list(headers))
    raise LabelsMissing(
        f"{path.name}: which arrays hold features and labels is unclear; name the labels with --label, or "
        "save the arrays as `features` and `labels`",
        got=[f"{name} {header.shape}" for name, header in headers.items()],
    )


def _array(archive: zipfile.ZipFile, name: str, header: ArrayHeader) -> npt.NDArray[np.generic]:
    """The array behind a header, whose size the header has announced. Raises as `ArrayHeader.read`."""
    with archive.open(f"{name}.npy") as stream:
        array = ArrayHeader(header.name, cast(BinaryIO, stream)).read(cast(BinaryIO, stream))
        if stream.read(1):
            raise DatasetDamaged(f"{header.name} goes on after its array")
    return array


def _labels(path: Path, values: npt.NDArray[np.generic]) -> Labels:
    """Labels from numbers or words, one for each row, or from rows of zeros with a 1 at the class."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        return _used(_one_hot(path, values))
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if values.dtype.kind in "uif":
        return labels_of_numbers(path.name, values)
    if not len(values):
        raise EmptyDataset(f"{path.name} holds no rows")
    try:
        return labels_of_words(path.name, _words(values))
    except UnicodeDecodeError as error:
        raise TextUnreadable(
            f"{path.name}: a label is not text in UTF-8: save the labels as text", got=error.object[:40]
        ) from error


def _words(values: npt.NDArray[np.generic]) -> Iterator[str]:
    for begin in range(0, len(values), _WORDS):
        for word in values[begin : begin + _WORDS].tolist():
            yield word.decode() if isinstance(word, bytes) else word


def _one_hot(path: Path, values: npt.NDArray[np.generic]) -> Labels:
    """The place of the only 1 in each row, all others being 0. Raises `ForeignDataset`."""
    codes = np.empty(len(values), dtype=np.int32)
    step = max(1, _PIECE_VALUES // values.shape[1])
    for begin in range(0, len(values), step):
        piece = values[begin : begin + step]
        if piece.dtype.kind not in "buif" or not bool(
            np.all((piece == 0) | (piece == 1)) and np.all(np.count_nonzero(piece, axis=1) == 1)
        ):
            raise ForeignDataset(
                f"{path.name}: the labels are a matrix, but a row of it is not all zeros but for one 1",
                got=values.shape,
            )
        codes[begin : begin + step] = piece.argmax(axis=1)
    return Labels(tuple(str(number) for number in range(values.shape[1])), codes)


def _used(labels: Labels) -> Labels:
    """One-hot labels without the classes of which no row is."""
    used, codes = np.unique(labels.codes, return_inverse=True)
    return Labels(tuple(labels.names[place] for place in used), codes.astype(np.int32))
