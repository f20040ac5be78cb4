"""Turns the rows of a file into what the chain can hold: features from 0 to 255, labels from 0 to 65,535."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engram.participant.errors import DatasetLabelOutOfRange, FeatureOutOfRange
from engram.participant.tables.errors import ValuesMissing
from engram.participant.tables.raw import RawTable

MOST_LABEL = 2**16 - 1


def plain_features(table: RawTable) -> npt.NDArray[np.uint8]:
    """The features of a table that holds whole numbers from 0 to 255. Nothing is rounded.

    Raises `ValuesMissing`, `FeatureOutOfRange`.
    """
    if table.features.dtype == np.uint8:
        return np.ascontiguousarray(table.features, dtype=np.uint8)
    missing = np.isnan(table.features)
    if bool(missing.any()):
        row, count = int(missing.any(axis=1).argmax()), int(missing.sum())
        lacks = "1 value," if count == 1 else f"{count:,} values, the first"
        raise ValuesMissing(
            f"{table.name} lacks {lacks} in row {row + 1}: `engram data convert` with "
            "--missing mean fills them, with --missing drop it leaves such rows out; if the model has a "
            "mapping that fills them, give it with --mapping",
            got=count,
        )
    raise FeatureOutOfRange(
        f"{table.name}: a feature is not a whole number from 0 to 255; `engram data convert` scales them",
        expected="0..255",
        got=[float(table.features.min()), float(table.features.max())],
    )


def plain_labels(table: RawTable) -> npt.NDArray[np.uint16]:
    """The labels of a table whose labels are whole numbers from 0 to 65,535.

    Raises `ValuesMissing`, `DatasetLabelOutOfRange`.
    """
    labels = table.labels
    if bool((missing := labels.codes < 0).any()):
        if not labels.names:
            raise rows_lacking(table.name, missing, missing)
        count = int(missing.sum())
        lacks = "1 label," if count == 1 else f"{count:,} labels, the first"
        raise ValuesMissing(
            f"{table.name} lacks {lacks} in row {int(missing.argmax()) + 1}: `engram data convert "
            "--missing drop` leaves such rows out",
            got=count,
        )
    strange = next((name for name in labels.names if not _is_label(name)), None)
    if strange is not None:
        raise DatasetLabelOutOfRange(
            f"{table.name}: the label {strange[:40]!r} is not a whole number from 0 to 65,535; `engram data "
            "convert` numbers the classes",
            got=strange[:40],
        )
    numbers = np.array([int(name) for name in labels.names], dtype=np.uint16)
    return np.ascontiguousarray(numbers[labels.codes])


def rows_lacking(name: str, labels: npt.NDArray[np.bool_], any_: npt.NDArray[np.bool_]) -> ValuesMissing:
    """The error that says what rows of the file `name` lack. `labels` (rows,) is true for those without a
    label, `any_` (rows,) also for those without a value.
    """
    first, count = int(any_.argmax()) + 1, int(any_.sum())
    where = f"in 1 row, row {first}" if count == 1 else f"in {count:,} rows, the first is row {first}"
    if bool(labels.all()):
        text = (
            f"the {count:,} rows of {name} have no labels, and founding, training and rounds need some: name "
            "the label column with --label. Rows without labels can be asked about: give the model's mapping "
            "with --mapping to `engram model predict`, or to `engram data convert`; in Python, "
            "engram.load_features(FILE, mapping=MAPPING) reads them"
        )
    elif bool((labels == any_).all()):
        text = f"{name} lacks labels {where}: `engram data convert` with --missing drop leaves such rows out"
    else:
        text = (
            f"{name} lacks values or labels {where}: `engram data convert` with --missing "
            "mean fills values, with --missing drop it leaves such rows out; a mapping that was made with "
            "--missing mean fills them, too"
        )
    return ValuesMissing(text, got=count)


def _is_label(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= 5 and int(name) <= MOST_LABEL
