"""Rows of features on the command line: typed, or taken from a data set."""

from __future__ import annotations

from engram.commands.errors import RowsInvalid


def parse_row(text: str) -> list[int]:
    """Features from whole numbers separated by commas or spaces. Raises `RowsInvalid`."""
    cells = text.replace(",", " ").split()
    if not cells or not all(cell.isascii() and cell.isdecimal() and int(cell) <= 255 for cell in cells):
        raise RowsInvalid(got=text[:80])
    return [int(cell) for cell in cells]


def rows_of(source: str, first: int, count: int) -> tuple[list[int], list[list[int]]]:
    """Labels and features of `count` rows of a data set, from row `first` on.

    Raises `RowsInvalid` where the set ends before, and what `datasets.load` raises.
    """
    from engram.participant.datasets import load

    data = load(source)
    if first + count > data.rows:
        raise RowsInvalid(
            f"{source} has {data.rows} rows", expected=f"at most {data.rows}", got=first + count
        )
    chosen = slice(first, first + count)
    labels: list[int] = data.labels[chosen].tolist()
    features: list[list[int]] = data.features[chosen].tolist()
    return labels, features
