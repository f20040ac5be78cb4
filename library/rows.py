"""Rows and labels as people hold them, in numpy arrays: checked, and cut into chunks of bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.evaluate import Features
from engram.nn.fixed import Int64Array
from engram.participant.datasets import Dataset, load_questions, load_source
from engram.participant.errors import (
    DatasetLabelOutOfRange,
    DatasetMismatch,
    EmptyDataset,
    FeatureOutOfRange,
)
from engram.participant.tables.errors import ValuesMissing
from engram.participant.tables.raw import ReadOptions
from engram.participant.tables.repeats import distinct

CHUNK_VALUES: Final = 2**22
"""A chunk holds at most so many features and logits together, or one row."""
FEATURE_MAX: Final = 255
MOST_CLASSES: Final = 2**16
"""A label has 16 bits on the chain."""

_SCALE = "scale them first: `engram data convert` does so and keeps the scale for later rows"


def load_data(
    source: str | PathLike[str], *, label: str | None = None, mapping: str | PathLike[str] | None = None
) -> Dataset:
    """The labelled rows of a file or folder: `features` (rows, inputs) uint8 and `labels` (rows,) uint16.

    `digits` are the digits that ship with Engram; docs/data.md says which files are read. `label` is the
    column with the labels, `mapping` a file that `engram data convert` has written. What is doubtful about
    how the file was read, such as a guess which column holds the labels, is a warning of Python. Raises
    leaves of `InvalidInput` that say what is wrong with a file; `load_features` takes rows without labels.
    """
    path = None if mapping is None else Path(mapping)
    data, doubts = load_source(str(source), ReadOptions(label=label), path)
    for doubt in doubts:
        warnings.warn(f"{source}: {doubt.message}; {doubt.remedy}", stacklevel=2)
    return data


def load_features(
    source: str | PathLike[str], *, label: str | None = None, mapping: str | PathLike[str] | None = None
) -> Features:
    """The rows of a file or folder that a model shall answer: (rows, inputs) uint8. They need no labels.

    Labels that the file has are left out; `label` names their column, or is `none` if there is none.
    `mapping` is a file that `engram data convert` has written; without it, the one beside the file is used,
    as `engram model predict` does. Raises leaves of `InvalidInput` that say what is wrong with a file.
    """
    path = None if mapping is None else Path(mapping)
    return load_questions(str(source), ReadOptions(label=label), path).features


def without_repeats(X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """X and y without the rows that equal an earlier row, label and all; the others keep their order.

    `chain.open_round(*engram.without_repeats(X, y))` opens a round with rows of a stream, which may repeat.
    Rows with equal values and different labels stay, one of each label. X: (rows, …) of numbers, y: (rows,).
    Raises `DatasetMismatch` if there are not as many labels as rows, `EmptyDataset`, `ValuesMissing`.
    """
    values, labels = _features(X), _array(y)
    if values.ndim < 2 or values.dtype.kind == "O" or labels.shape != values.shape[:1]:
        raise DatasetMismatch(
            "X has no rows of numbers, or y has not one label for each",
            expected=values.shape[:1],
            got=labels.shape,
        )
    if not len(values):
        return values, labels
    kept = distinct(values.reshape(len(values), -1), labels)
    return values[kept], labels[kept]


class Rows:
    """The rows of a matrix, or of images, for a network of `inputs` inputs.

    X: integers from 0 to 255 of the shape (rows, inputs), or (rows, height, width[, channels]), which are
    flattened row by row as the data loaders do. It is looked at chunk by chunk, so it may lie in a file
    (`numpy.memmap`). Raises `FeatureOutOfRange` if it holds no integers, and `DatasetMismatch` for another
    shape.
    """

    def __init__(self, X: npt.ArrayLike, inputs: int, outputs: int = 0) -> None:
        """`outputs` is how many values the caller makes of each row; chunks are measured with them."""
        given = _features(X)
        check_kind(given.dtype)
        if given.ndim == 1 and given.size == inputs:
            raise DatasetMismatch(
                "X is one row: write X[None] for a matrix of one row",
                expected=("rows", inputs),
                got=given.shape,
            )
        size = int(np.prod(given.shape[1:], dtype=np.int64))
        if not 2 <= given.ndim <= 4 or size != inputs:
            raise DatasetMismatch(
                "the rows do not have as many features as the network has inputs",
                expected=("rows", inputs),
                got=given.shape,
            )
        self._given = given
        self._inputs = inputs
        self._chunk = max(1, CHUNK_VALUES // (inputs + outputs))

    def __len__(self) -> int:
        return len(self._given)

    def taken(self, places: Int64Array) -> Features:
        """The features of some rows. Raises `FeatureOutOfRange`."""
        return _uint8(self._given[places].reshape(len(places), self._inputs), 0)

    def chunks(self) -> Iterator[tuple[slice, Features]]:
        """Stretches of rows, each with its features (n, inputs) uint8.

        Raises `FeatureOutOfRange` at the first chunk that holds a number outside 0 to 255.
        """
        for begin in range(0, len(self), self._chunk):
            rows = slice(begin, min(begin + self._chunk, len(self)))
            yield rows, _uint8(self._given[rows].reshape(rows.stop - begin, self._inputs), begin)


def dataset_of(X: npt.ArrayLike, y: npt.ArrayLike) -> Dataset:
    """Rows with their labels, as a round takes them. Raises as `Rows` and `labels_of`, and `EmptyDataset`."""
    given = _features(X)
    rows = Rows(given, int(np.prod(given.shape[1:], dtype=np.int64)))
    features = [part for _, part in rows.chunks()]
    labels = labels_of(y, len(rows), MOST_CLASSES)
    if not features or not features[0].size:
        raise EmptyDataset(got=given.shape)
    return Dataset(np.concatenate(features), labels.astype(np.uint16))


def check_kind(dtype: np.dtype[Any]) -> None:
    """Refuses features that are no integers. Raises `FeatureOutOfRange`."""
    if dtype.kind in "OUS":
        raise FeatureOutOfRange(
            "X holds text or other things that are no numbers: give rows of whole numbers from 0 to 255; "
            "engram.load_data(FILE) reads them from a file",
            expected="uint8",
            got=str(dtype),
        )
    if dtype.kind not in "ui":
        raise FeatureOutOfRange(
            f"features are whole numbers from 0 to 255, kept as uint8; {_SCALE}",
            expected="uint8",
            got=str(dtype),
        )


def labels_of(y: npt.ArrayLike, rows: int, classes: int) -> Int64Array:
    """Labels as integers (rows,), each below `classes`.

    Raises `DatasetLabelOutOfRange` if they are no integers, and `DatasetMismatch` if there are more or fewer
    of them, or if the network does not know a class.
    """
    given = _array(y)
    if not given.size and rows:
        raise DatasetMismatch("there are rows, but no labels", expected=(rows,), got=given.shape)
    if given.size and given.dtype.kind not in "ui":
        raise DatasetLabelOutOfRange(
            "labels are whole numbers, the numbers of the classes; `engram data convert` numbers names",
            expected="integers",
            got=str(given.dtype),
        )
    if given.shape != (rows,):
        raise DatasetMismatch("there must be one label for each row", expected=(rows,), got=given.shape)
    if rows and not 0 <= int(given.min()) <= int(given.max()) < classes:
        wrong = given.min() if given.min() < 0 else given.max()
        raise DatasetMismatch(
            f"a label is none of the network's {classes} classes: leave out such rows, or grow the model",
            expected=f"0..{classes - 1}",
            got=int(wrong),
        )
    return given.astype(np.int64)


def _features(X: npt.ArrayLike) -> npt.NDArray[Any]:
    """X as an array. Raises as `_array`, and `EmptyDataset` for a list without rows or numbers."""
    given = _array(X)
    if not given.size and given.ndim <= 2 and given.dtype.kind == "f" and not hasattr(X, "dtype"):
        raise EmptyDataset("X holds no rows", got=given.shape)
    return given


def _array(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """The values as an array.

    Raises `DatasetMismatch` if they are none or their rows differ in length, and `ValuesMissing` if some are
    masked: what lies under a mask is no value.
    """
    if np.ma.is_masked(values):
        raise ValuesMissing("some values are masked: fill them, or leave such rows out", got="a masked array")
    if hasattr(values, "toarray"):
        raise DatasetMismatch("a sparse matrix is none of rows: pass its .toarray()", got=type(values))
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DatasetMismatch("rows of different lengths make no matrix", got=str(error)) from error
    except (TypeError, RuntimeError) as error:  # such as tensors on a graphics card raise
        raise DatasetMismatch(f"the values are no array: {error}", got=type(values)) from error


def _uint8(rows: npt.NDArray[Any], first: int) -> Features:
    if rows.dtype == np.uint8:
        return np.ascontiguousarray(rows)
    wrong = np.argwhere((rows < 0) | (rows > FEATURE_MAX))
    if len(wrong):
        row, column = (int(each) for each in wrong[0])
        raise FeatureOutOfRange(
            f"feature {column} of row {first + row} is not from 0 to 255; {_SCALE}",
            expected="0..255",
            got=int(rows[row, column]),
        )
    return rows.astype(np.uint8)
