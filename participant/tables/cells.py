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
_DATE: Final = r"[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}"
_TIME: Final = (
    r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]+)?(?:\s*[aApP]\.?[mM]\.?|Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_AMOUNT: Final = re.compile(rf"\s*(?:[+-]?[0-9]*,[0-9]+|{_DATE}(?:[ T]{_TIME})?|{_TIME})\s*")
_HEXADECIMAL: Final = re.compile(r"0[xX][0-9a-fA-F]+")


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


def is_amount(cell: str) -> bool:
    """Whether a cell holds a number, nothing, a number with a comma before its fraction, a date or a time."""
    return not is_word(cell) or _AMOUNT.fullmatch(cell) is not None


def is_name(cell: str) -> bool:
    """Whether a cell can be what somebody has called a class.

    That is a word which is not only a number, an amount or a date in another notation, as `1,5`, `20 %`,
    `$7`, `0x1f` and `2024-01-31T12:00` are.
    """
    if not is_word(cell) or _AMOUNT.fullmatch(cell) or _HEXADECIMAL.fullmatch(cell.strip()):
        return False
    return any(map(str.isalpha, cell)) or not any(map(str.isdigit, cell))


def _known(value: float | None) -> float:
    if value is None:
        raise ValueError("a cell holds a word")
    return value
