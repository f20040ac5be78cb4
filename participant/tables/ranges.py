"""The ranges and means of values, of which a mapping is made."""

from __future__ import annotations

from typing import Final

import numpy as np

from engram.participant.tables.raw import Values

USUAL: Final = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""Ranges in which values of pictures are kept; they tell nothing about the rows."""


def ranges_of(values: Values) -> tuple[list[float], list[float]]:
    """The lowest and the highest value of each column; 0 and 1 for a column that holds none."""
    if values.dtype == np.uint8:
        return values.min(axis=0).astype(float).tolist(), values.max(axis=0).astype(float).tolist()
    none = np.isnan(values).all(axis=0)
    lows: list[float] = np.nanmin(np.where(none, 0, values), axis=0).astype(float).tolist()
    highs: list[float] = np.nanmax(np.where(none, 1, values), axis=0).astype(float).tolist()
    return lows, highs


def usual_range(lowest: float, highest: float) -> tuple[tuple[float], tuple[float]]:
    """The range of all values: 0 to 1 or -1 to 1 for those within, even if none is black or white."""
    for low, high in USUAL:
        if low <= lowest and highest <= high:
            return (low,), (high,)
    return (lowest,), (highest,)


def means_of(values: Values) -> tuple[float, ...]:
    """The mean of each column over the values that are there; 0 for a column that holds none."""
    if values.dtype == np.uint8:
        return tuple(float(mean) for mean in values.mean(axis=0))
    known = np.logical_not(np.isnan(values))
    counts = np.maximum(1, known.sum(axis=0))
    return tuple(float(total) for total in np.where(known, values, 0).sum(axis=0, dtype=np.float64) / counts)
