"""Makes of a file's rows what a model can take, and says what has become of them."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from engram.node.files import write_private
from engram.participant.errors import EmptyDataset
from engram.participant.tables.examining import OF_CLASSES, DataWarning, doubts, file_doubts
from engram.participant.tables.mapping import DataMapping, MappedRows, fitted, mapped, mapped_features
from engram.participant.tables.ranges import USUAL
from engram.participant.tables.raw import Channels, RawTable
from engram.participant.tables.repeats import distinct

_TELL_NOTHING: Final = tuple(((low,), (high,)) for low, high in USUAL)


@dataclass(frozen=True)
class ConvertedRows:
    """Rows as a model takes them, the mapping that has made them so, and what is doubtful about them."""

    rows: MappedRows
    mapping: DataMapping
    warnings: tuple[DataWarning, ...]
    channels: Channels | None
    """Where the file has the channels of its pictures; in the rows they are where the mapping says."""

    @property
    def labelled(self) -> bool:
        """Whether the rows have labels: others can be asked about, and nothing else."""
        return len(self.rows.labels) > 0

    def to_json(self) -> dict[str, Any]:
        """What was done, as JSON values."""
        return {
            "rows": len(self.rows.features),
            "labelled": self.labelled,
            "inputs": int(self.rows.features.shape[1]),
            "classes": list(self.mapping.classes),
            "channels": self.channels and {"axis": self.channels.axis, "found": self.channels.found},
            "filled": self.rows.filled,
            "dropped": self.rows.dropped,
            "repeats_dropped": self.rows.repeats,
            "beyond": self.rows.beyond,
            "warnings": [warning.to_json() for warning in self.warnings],
        }


def converted(
    table: RawTable,
    mapping: DataMapping | None,
    *,
    scale: str = "auto",
    missing: str = "refuse",
    margin: float = 0.0,
    extend: bool = False,
    repeated: str = "keep",
) -> ConvertedRows:
    """The rows of a table as `mapping` makes them, or one that is made of the table itself.

    `scale`, `missing` and `margin` are those of `fitted`; with `missing` `drop`, rows that lack a value are
    left out, and with `mean` those that lack their label. `extend` gives labels that the mapping does not
    know further classes. With `repeated` `drop`, rows that equal an earlier one, label and all, as bytes and
    classes, are left out. Rows of a file without labels are converted by a mapping alone, for predictions.
    Raises what `fitted` and `mapped` raise, and `EmptyDataset` if no row is left.
    """
    if mapping is not None and not table.has_labels:
        return _unlabelled(table, mapping, drop=missing != "refuse", repeated=repeated)
    if mapping is None:
        known = fitted(table, scale, missing, margin)
    else:
        known = mapping.extended(table) if extend else mapping
    rows = mapped(table, known, drop=missing != "refuse")
    if not len(rows.labels):
        raise EmptyDataset(f"{table.name} holds no row without a missing value")
    if repeated == "drop":
        rows = _without_repeats(rows)
    dealt_with = {"values_missing"} if missing != "refuse" or known.fill else set()
    of_file = [warning for warning in file_doubts(table) if warning.code not in dealt_with]
    of_rows = doubts(rows.features, rows.labels, names=known.classes)
    if mapping is not None:  # the classes are those of a model, and a later file may hold few of them
        of_rows = tuple(found for found in of_rows if found.code not in OF_CLASSES)
    return ConvertedRows(rows, known, (*of_file, *of_rows, *_beyond(rows)), table.channels)


def _without_repeats(rows: MappedRows) -> MappedRows:
    """The rows without those that equal an earlier one."""
    labels = rows.labels if len(rows.labels) else np.zeros(len(rows.features), np.uint16)
    kept = distinct(rows.features, labels)
    left = len(rows.features) - len(kept)
    return replace(
        rows,
        features=rows.features[kept],
        labels=rows.labels[kept] if len(rows.labels) else rows.labels,
        repeats=left,
    )


def _unlabelled(table: RawTable, mapping: DataMapping, *, drop: bool, repeated: str) -> ConvertedRows:
    """Rows that have no labels, as the mapping makes them."""
    made = mapped_features(table, mapping, drop=drop)
    if not len(made.features):
        raise EmptyDataset(f"{table.name} holds no row without a missing value")
    filled, beyond = int(made.filled.sum()), int(made.beyond.sum())
    left = table.rows - len(made.features)
    rows = MappedRows(made.features, np.zeros(0, np.uint16), filled, left, beyond)
    if repeated == "drop":
        rows = _without_repeats(rows)
    dealt_with = {"values_missing"} if drop or mapping.fill else set()
    of_file = tuple(warning for warning in file_doubts(table) if warning.code not in dealt_with)
    return ConvertedRows(rows, mapping, (*of_file, *_beyond(rows)), table.channels)


def _beyond(rows: MappedRows) -> tuple[DataWarning, ...]:
    if not rows.beyond:
        return ()
    text = f"{rows.beyond} values lie outside of the mapping's range and became 0 or 255"
    remedy = "look whether the units are the same; for a new model, --margin leaves room for such values"
    return (DataWarning("values_beyond", text, remedy),)


def revealed(mapping: DataMapping) -> str:
    """What a mapping's file tells about the rows of which it was made, in words; empty if it has only titles
    and names of classes.
    """
    found = []
    if len(mapping.low) > 1:
        found.append("the lowest and the highest value of each column")
    elif (mapping.low, mapping.high) not in _TELL_NOTHING:
        found.append("the lowest and the highest value of all")
    if mapping.fill:
        found.append("the mean of each column")
    return ", and ".join(found)


def save_rows(path: Path, rows: MappedRows) -> None:
    """Writes rows as an .npz file of `features` and `labels`, or of `features` alone if they have none.

    Raises what `write_private` raises.
    """
    stream = io.BytesIO()
    if len(rows.labels):
        np.savez_compressed(stream, features=rows.features, labels=rows.labels)
    else:
        np.savez_compressed(stream, features=rows.features)
    write_private(path, stream.getvalue())
