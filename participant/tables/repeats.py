"""Rows that hold the same features as an earlier row: counted, found, and left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.participant.tables.raw import Values

_CHUNK_VALUES: Final = 2**20


@dataclass(frozen=True)
class Repeats:
    """How many rows hold the same features as an earlier row."""

    same: int
    """… with the same label."""
    contradicting: int
    """… with another label."""
    rows: int
    """Of so many rows."""


def repeated(features: Values, codes: npt.NDArray[Any]) -> Repeats:
    """How many rows hold the same features as an earlier one."""
    names = _row_names(features)
    order = np.lexsort((codes, names))
    names, labels = names[order], codes[order]
    same_features = names[1:] == names[:-1]
    same = int((same_features & (labels[1:] == labels[:-1])).sum())
    return Repeats(same, int(same_features.sum()) - same, len(codes))


def first_alike(features: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(rows,): for each row of (rows, values), the place of the first row that has the same values."""
    names = _row_names(features)
    _, firsts, groups = np.unique(names, return_index=True, return_inverse=True)
    found: npt.NDArray[np.int64] = firsts[groups].astype(np.int64)
    places = np.arange(len(features), dtype=np.int64)
    later = np.flatnonzero(found != places)
    differ = (_octets(features[later]) != _octets(features[found[later]])).any(axis=1)
    found[later[differ]] = later[differ]  # other values with the same number: a row of its own
    return found


def distinct(features: npt.NDArray[Any], labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The places of the rows whose values and label no earlier row has, in their order.

    Of equal rows with different labels, one of each label is kept.
    """
    alike = first_alike(features)
    _, classes = np.unique(labels, return_inverse=True)
    _, kept = np.unique(alike * (len(labels) + 1) + classes.reshape(-1), return_index=True)
    return np.sort(kept).astype(np.int64)


def _octets(features: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    plain = np.ascontiguousarray(features)
    return plain.view(np.uint8).reshape(len(plain), plain[0].nbytes if len(plain) else 1)


def _row_names(features: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """A 64-bit number for each row: the same for equal features, and all but surely another for others."""
    octets = _octets(features)
    factors = np.random.default_rng(0).integers(1, 2**64 - 1, octets.shape[1], dtype=np.uint64)
    names = np.empty(len(octets), dtype=np.uint64)
    step = max(1, _CHUNK_VALUES // octets.shape[1])
    for begin in range(0, len(octets), step):
        names[begin : begin + step] = octets[begin : begin + step].astype(np.uint64) @ factors
    return names
