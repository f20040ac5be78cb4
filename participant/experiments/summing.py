"""Sums up the rows of cells for a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from engram.participant.experiments.document import Row, Value


def grouped(rows: Iterable[Row], *keys: str) -> dict[tuple[Value, ...], list[Row]]:
    """The rows by the values of some fields, in the order in which these appear."""
    found: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def average(rows: Sequence[Row], field: str) -> float:
    """The mean of a field over rows that have it; 0 if none has."""
    values = [float(value) for row in rows if isinstance(value := row[field], int | float)]
    return float(np.mean(values)) if values else 0.0


def deviation(rows: Sequence[Row], field: str) -> float:
    """The standard deviation of a field over rows."""
    return float(np.std([float(row[field] or 0) for row in rows]))


def number(value: Value) -> float:
    """The value of a field that holds numbers only."""
    assert isinstance(value, int | float), "the experiment has put a number there"
    return float(value)
