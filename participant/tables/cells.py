"""What the cells of a table of text mean: a number, a missing value, or a word."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_PLAIN_ROW: Final = re.compile(r"[0-9.,eE+-]*")
_MISSING: Final = frozenset(
    ("", "nan", "na", "n/a", "null", "none", "?", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")
)
_TRUTHS: Final = {"true": 1.0, "false": 0.0}


def numbers(row: Sequence[str]) -> list[float]:
    """The numbers in the cells of a row; NaN for a missing one. Raises `ValueError` if a cell is neither."""
    if _PLAIN_ROW.fullmatch(",".join(row)):
        try:
            return list(map(float, row))  # of these letters, Python takes for a number exactly what CSV does
        except ValueError:
            pass
    found = [number(cell) for cell in row]
    return [_known(value) for value in found]


def number(cell: str) -> float | None:
    """The number in a cell: NaN if it is missing, None if it holds something else."""
    text = cell.strip(" \t")
    if _NUMBER.fullmatch(text):
        return float(text)
    if is_missing(text):
        return math.nan
    return _TRUTHS.get(text.lower())


def is_missing(text: str) -> bool:
    """Whether a cell, without the spaces around it, stands for no value."""
    return len(text) <= len("-infinity") and text.lower() in _MISSING


def is_number(cell: str) -> bool:
    """Whether a cell holds a number."""
    value = number(cell)
    return value is not None and not math.isnan(value)


def is_word(cell: str) -> bool:
    """Whether a cell holds something that is neither a number nor missing."""
    return number(cell) is None


def _known(value: float | None) -> float:
    if value is None:
        raise ValueError("a cell holds a word")
    return value
