"""A row that somebody types by a mapping: the raw values of a table, in the mapping's order of columns."""

from __future__ import annotations

import csv

import numpy as np

from engram.participant.tables.cells import is_missing, number
from engram.participant.tables.errors import MappingMismatch, ValueNotNumber, ValuesMissing
from engram.participant.tables.mapping import DataMapping, MappedValues, bytes_of

SHOWN_LETTERS = 40


def typed_values(text: str, mapping: DataMapping) -> MappedValues:
    """The bytes of one row. Its values stand as in a table: numbers, true and false, nothing where one lacks.

    Commas stand between them; where the mapping's tables have a comma before a fraction, semicolons. A value
    can be quoted. Raises `MappingMismatch` for more or fewer values than columns, `ValueNotNumber` and
    `ValuesMissing`, which name the column.
    """
    between = ";" if mapping.decimal == "," else ","
    cells = [cell.strip() for cell in next(csv.reader([text], delimiter=between, skipinitialspace=True), [])]
    if len(cells) != mapping.inputs:
        raise MappingMismatch(
            f"the row has {len(cells)} values, and the mapping {mapping.inputs} columns"
            + (f", {_named(mapping)}" if mapping.columns else "")
            + f": write a value for each, with {between!r} between them",
            expected=mapping.inputs,
            got=len(cells),
        )
    values = [_value(cell, place, mapping) for place, cell in enumerate(cells)]
    return bytes_of(np.array([values], dtype=np.float64), mapping)


def _value(cell: str, place: int, mapping: DataMapping) -> float:
    if is_missing(cell):
        if not mapping.fill:
            raise ValuesMissing(
                f"{_column(place, mapping)} has no value, and the mapping fills none: write a number there",
                got=cell,
            )
        return float("nan")
    found = number(cell.replace(",", ".") if mapping.decimal == "," else cell)
    if found is None:
        raise ValueNotNumber(
            f"{_column(place, mapping)} holds {cell[:SHOWN_LETTERS]!r}, which is no number, and the mapping "
            "reads numbers there, such as 5 or " + ("0,25" if mapping.decimal == "," else "0.25"),
            got=cell[:SHOWN_LETTERS],
        )
    return found


def _column(place: int, mapping: DataMapping) -> str:
    return f"the column {mapping.columns[place]!r}" if mapping.columns else f"the column number {place + 1}"


def _named(mapping: DataMapping) -> str:
    shown = ", ".join(map(repr, mapping.columns[:10]))
    return shown + (f" and {len(mapping.columns) - 10} more" if len(mapping.columns) > 10 else "")
