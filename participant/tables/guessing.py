"""Finds the label column of a table of numbers, where its owner has not named it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.participant.errors import EmptyDataset
from engram.participant.tables.errors import ColumnNotFound, LabelsMissing, MappingMismatch
from engram.participant.tables.raw import (
    NONE,
    LabelColumn,
    RawTable,
    ReadOptions,
    compact,
    labels_of_numbers,
    no_labels,
)

LABEL_NAMES: Final = ("label", "labels", "class", "classes", "target", "targets", "category", "y")
"""Names of columns that hold labels, in small letters."""
MOST_CLASSES: Final = 1_024
SHOWN: Final = 8
"""How many columns an error names."""


def find_column(names: Sequence[str], wanted: str, name: str) -> int:
    """The place of the column that a person calls `first`, `last`, or by its name or number.

    Raises `ColumnNotFound`.
    """
    places = [place for place, title in enumerate(names) if title == wanted]
    if len(places) == 1:
        return places[0]
    if not places and wanted in ("first", "last"):
        return 0 if wanted == "first" else len(names) - 1
    if not places and wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:9]) <= len(names):
        return int(wanted[:9]) - 1
    if not places:
        there = ", ".join(repr(title) for title in names[:12] if title) or "none, as the file has no titles"
        raise ColumnNotFound(f"{name} has no column {wanted!r}; the first columns are {there}", got=wanted)
    raise ColumnNotFound(f"{name} has several columns {wanted!r}: give them different names", got=wanted)


def hinted_column(names: Sequence[str], hint: str | None) -> int | None:
    """The place of the column that a mapping's file had, if this file has one of that name."""
    if hint is None or (any(names) and hint not in names):
        return None
    try:
        return find_column(names, hint, "")
    except ColumnNotFound:
        return None


def has_no_labels(titles: Sequence[str], width: int, options: ReadOptions) -> bool:
    """Whether a table of so many columns holds features only: as the user says, or as a mapping shows."""
    if options.label is not None:
        return options.label == NONE and NONE not in titles
    if titles:
        return bool(options.only) and set(options.only) <= set(titles) and options.hint not in titles
    return width == options.inputs


def check_features(name: str, titles: Sequence[str], options: ReadOptions) -> None:
    """Refuses a file with titles that lacks a feature of the mapping, or whose labels shall be one.

    It is judged before labels are looked for: of a file that lacks a column, the last one might be taken for
    the labels, though it is a feature. Raises `MappingMismatch`.
    """
    if not titles or not options.only:
        return
    if options.label in options.only and options.label in titles:
        raise MappingMismatch(
            f"{name}: the column {options.label!r} is a feature of the mapping, so it cannot hold the "
            "labels: name another with --label, or none",
            got=options.label,
        )
    if lacking := [title for title in options.only if title not in titles]:
        told = ", ".join(map(repr, titles[:SHOWN])) + (", …" if len(titles) > SHOWN else "")
        raise MappingMismatch(
            f"{name} lacks columns of the mapping: {', '.join(map(repr, lacking[:SHOWN]))}; it has the "
            f"columns {told}: give them the titles that the mapping knows"
        )


def named_labels(names: Sequence[str]) -> int | None:
    """The place of the only column whose name is one for labels."""
    plain = [title.strip().lower() for title in names]
    places = [place for place, title in enumerate(plain) if title in LABEL_NAMES]
    if len(places) > 1 or ("x" in plain and len(plain) > 2):  # then y is a coordinate
        places = [place for place in places if plain[place] != "y"]
    return places[0] if len(places) == 1 else None


def check_named(name: str, names: Sequence[str]) -> None:
    """Refuses titles of which several are names for labels. Raises `LabelsMissing`."""
    found = [
        title for title in names if title.strip().lower() in LABEL_NAMES and title.strip().lower() != "y"
    ]
    if len(found) > 1:
        told = ", ".join(map(repr, found))
        raise LabelsMissing(
            f"{name} has several columns that may hold the labels, {told}: name one with --label, leave the "
            "others out with --drop",
            got=found,
        )


def label_by_values(matrix: npt.NDArray[np.generic]) -> tuple[int, str]:
    """The place of the labels in a matrix of numbers, and how it was found: `values` or `guessed`."""
    ends = [place for place in (0, matrix.shape[1] - 1) if _looks_like_labels(matrix[:, place])]
    return (ends[0], "values") if len(ends) == 1 else (matrix.shape[1] - 1, "guessed")


def _looks_like_labels(values: npt.NDArray[np.generic]) -> bool:
    """Whether these are whole numbers from 0 or 1 on, without a gap, several, and most of them repeated."""
    found = np.unique(values)
    if found.dtype.kind == "f" and not bool(np.all(np.isfinite(found) & (np.floor(found) == found))):
        return False
    lowest, highest, count = int(found[0]), int(found[-1]), len(found)
    return lowest in (0, 1) and highest - lowest == count - 1 and 2 <= count <= _most_classes(len(values))


def _most_classes(rows: int) -> int:
    return min(MOST_CLASSES, max(2, rows // 2))


def unlabelled(
    name: str,
    kind: str,
    matrix: npt.NDArray[np.generic],
    shape: tuple[int, ...],
    titles: Sequence[str] = (),
) -> RawTable:
    """The table in a matrix of features whose rows have no labels."""
    features = compact(name, np.ascontiguousarray(matrix))
    return RawTable(
        name, kind, features, no_labels(len(features)), LabelColumn(NONE, "asked"), shape, tuple(titles)
    )


def matrix_table(
    name: str, kind: str, matrix: npt.NDArray[np.generic], options: ReadOptions, titles: Sequence[str] = ()
) -> RawTable:
    """The table in a matrix of numbers whose one column holds the labels.

    Raises `EmptyDataset`, `LabelsMissing` if there is one column only, `ColumnNotFound`.
    """
    if 0 in matrix.shape:
        raise EmptyDataset(f"{name} holds no rows")
    columns = matrix.shape[1]
    if has_no_labels(titles, columns, options):
        return unlabelled(name, kind, matrix, (columns,), titles)
    if columns < 2:
        raise LabelsMissing(f"{name} has one column only: a row needs at least one feature and a label")
    if options.label is not None:
        label, how = find_column(titles or [""] * columns, options.label, name), "asked"
    elif (hinted := hinted_column(titles or [""] * columns, options.hint)) is not None:
        label, how = hinted, "asked"
    elif (found := named_labels(titles)) is not None:
        label, how = found, "named"
    else:
        check_named(name, titles)
        label, how = label_by_values(matrix)
    kept = [place for place in range(columns) if place != label]
    ends = {0: "first", columns - 1: "last"}
    return RawTable(
        name,
        kind,
        compact(name, np.ascontiguousarray(np.delete(matrix, label, axis=1))),
        labels_of_numbers(name, matrix[:, label]),
        LabelColumn(titles[label] if titles else ends.get(label, str(label + 1)), how),
        (columns - 1,),
        tuple(titles[place] for place in kept) if titles else (),
    )
