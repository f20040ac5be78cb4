"""Checks of rows and labels before anything is learned from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engram.nn.network import Features
from engram.participant.memory.errors import (
    ClassWithoutRows,
    ConstantFeatures,
    FeatureCountMismatch,
    FeaturesNotIntegers,
    UnknownLabels,
)

Labels = npt.NDArray[np.uint16]


def check_features(rows: npt.NDArray[Any], inputs: int) -> Features:
    """The rows as uint8 (n, inputs), if that changes no value.

    Raises `FeatureCountMismatch` for another shape; `FeaturesNotIntegers` for NaN, fractions, or numbers
    outside 0..255.
    """
    if rows.ndim != 2 or rows.shape[1] != inputs:
        raise FeatureCountMismatch(expected=("n", inputs), got=rows.shape)
    if rows.dtype == np.uint8:
        return rows
    if rows.dtype.kind not in "uif" or not bool(np.all(np.isfinite(rows))):
        raise FeaturesNotIntegers(got=str(rows.dtype))
    whole = rows.astype(np.float64)
    if bool(np.any((whole < 0) | (whole > 255) | (whole != np.floor(whole)))):
        raise FeaturesNotIntegers(expected="0..255", got=(float(whole.min()), float(whole.max())))
    return rows.astype(np.uint8)


def check_varied(rows: Features) -> None:
    """Refuses rows of which none differs from another. Raises `ConstantFeatures`."""
    if len(rows) < 2 or bool(np.all(rows == rows[0])):
        raise ConstantFeatures(expected="rows that differ", got=len(rows))


def check_labels_of(labels: npt.NDArray[Any], rows: int, classes: range) -> Labels:
    """The labels as uint16, if there is one for each row, of these classes, and each class has a row.

    Raises `FeatureCountMismatch`, `UnknownLabels`, `ClassWithoutRows`.
    """
    if labels.shape != (rows,):
        raise FeatureCountMismatch("there must be one label for each row", expected=(rows,), got=labels.shape)
    found = np.unique(labels)
    if unknown := [label for label in found.tolist() if label not in classes]:
        raise UnknownLabels(expected=f"{classes.start}..{classes.stop - 1}", got=unknown[0])
    if missing := sorted(set(classes) - set(found.tolist())):
        raise ClassWithoutRows(expected=f"{classes.start}..{classes.stop - 1}", got=missing[0])
    return labels.astype(np.uint16)
