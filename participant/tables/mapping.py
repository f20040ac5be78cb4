"""How the values and labels of a file become those of a model, kept as a file, so that later files follow it.

A mapping is made of the first file of a model. Rounds, growths and predictions that come later use the same
one: a label keeps its class and a value its byte, whatever the later file holds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.node.files import read_json, write_private
from engram.participant.errors import FeatureOutOfRange
from engram.participant.tables.channels import AXES, laid_out
from engram.participant.tables.errors import LabelUnknown, MappingInvalid, MappingMismatch
from engram.participant.tables.limits import INPUTS, LABEL_LETTERS
from engram.participant.tables.ranges import means_of, ranges_of, usual_range
from engram.participant.tables.raw import NO_LABEL, RawTable, ReadOptions, Values
from engram.participant.tables.values import rows_lacking

FORMAT: Final = "engram data mapping"
LARGEST: Final = 255
MOST_CLASSES: Final = 2**16
SCALES: Final = ("auto", "columns", "all", "none")
SHOWN_NAMES: Final = 4
SHOWN_LETTERS: Final = 24
"""So many names, and so many letters of each, stand in the short text of a mapping."""
MISSING: Final = ("refuse", "drop", "mean")
_MOST_BYTES: Final = 2**25
_CHUNK_VALUES: Final = 2**20
_EXTEND: Final = "`engram data convert --extend` makes further classes of them"
_LEAVE_OUT: Final = f"if the file is converted already, leave --mapping out, else {_EXTEND}"


@dataclass(frozen=True, repr=False)
class DataMapping:
    """How a file is read: the class of each label, the byte of each value, the column of each input."""

    inputs: int
    classes: tuple[str, ...]
    """The label of each class, in the order of the classes."""
    low: tuple[float, ...]
    """The value that becomes 0: one for all inputs, or one for each."""
    high: tuple[float, ...]
    """The value that becomes 255, in the same way. Values beyond the two become 0 or 255."""
    columns: tuple[str, ...] = ()
    """The names of the inputs, if the file has names."""
    label: str | None = None
    """The label column of the file from which the mapping was made, as `LabelColumn.hint` gives it."""
    decimal: str = "."
    """What stands before the fraction of a number in a text: a point or a comma."""
    size: tuple[int, int] | None = None
    """The width and height that pictures get, if they were given one."""
    grey: bool = False
    """Whether pictures are read without their colours."""
    channels: str | None = None
    """Where the channels of its rows are, `first` or `last`, if they are pictures of several channels; rows
    of a file that has them elsewhere are turned."""
    fill: tuple[float, ...] = ()
    """What stands for a missing value of each input; () if rows that lack one are not taken."""

    def __repr__(self) -> str:
        shown = [f"{self.inputs} inputs", listed(self.classes, "classes")]
        shown += [listed(self.columns, "columns")] if self.columns else []
        return f"DataMapping({'; '.join(shown)})"

    @property
    def is_plain(self) -> bool:
        """Whether every value and every label stays as it is."""
        whole = self.classes == tuple(str(number) for number in range(len(self.classes)))
        return whole and set(self.low) == {0.0} and set(self.high) == {float(LARGEST)}

    def options(self, given: ReadOptions) -> ReadOptions:
        """How a file is read for this mapping: as the user says, its label column as a hint, its columns
        only.
        """
        return replace(
            given,
            hint=self.label,
            only=self.columns,
            inputs=self.inputs,
            decimal=given.decimal or self.decimal,
            size=given.size or self.size,
            grey=given.grey or self.grey,
        )

    def extended(self, table: RawTable) -> DataMapping:
        """The mapping with a further class for each label of a table that it does not know, in their
        order.
        """
        known = set(self.classes)
        return replace(
            self, classes=(*self.classes, *(name for name in table.labels.names if name not in known))
        )

    def to_json(self) -> dict[str, Any]:
        """The content of a mapping's file."""
        return {
            "format": FORMAT,
            "version": 1,
            "inputs": self.inputs,
            "label": self.label,
            "columns": list(self.columns),
            "decimal": self.decimal,
            "size": None if self.size is None else list(self.size),
            "grey": self.grey,
            "channels": self.channels,
            "low": list(self.low),
            "high": list(self.high),
            "fill": list(self.fill),
            "classes": list(self.classes),
        }

    def save(self, path: Path) -> None:
        """Writes the mapping to a file. Raises what `write_private` raises."""
        write_private(path, (json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n").encode())


def listed(words: Sequence[str], what: str) -> str:
    """The first few of some names on one line, and how many more there are."""
    shown = ", ".join(
        word if len(word) <= SHOWN_LETTERS else f"{word[:SHOWN_LETTERS]}…" for word in words[:SHOWN_NAMES]
    )
    more = len(words) - SHOWN_NAMES
    return f"{what} {shown} and {more:,} more" if more > 0 else f"{what} {shown}"


@dataclass(frozen=True)
class MappedRows:
    """The rows of a table as a mapping makes them."""

    features: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint16]
    """(rows,), or () if the file has no labels, as rows that are only asked about."""
    filled: int
    """How many missing values were filled."""
    dropped: int
    """How many rows were left out, because they lack a value or their label."""
    beyond: int
    """How many values lie outside of what the mapping was made of, and became 0 or 255."""
    repeats: int = 0
    """How many rows were left out, because they equal an earlier one."""


def load_mapping(path: Path) -> DataMapping:
    """The mapping in a file. Raises `MappingInvalid`, `FileNotFoundError`, `NotAFile`, `FileDamaged`."""
    content = read_json(path, _MOST_BYTES)
    try:
        if content["format"] != FORMAT or content["version"] != 1:
            raise ValueError("it is of another format or version")
        mapping = DataMapping(
            inputs=_count(content["inputs"]),
            classes=_texts(content["classes"]),
            low=_numbers(content["low"]),
            high=_numbers(content["high"]),
            columns=_texts(content["columns"]),
            label=None if content["label"] is None else _texts([content["label"]])[0],
            decimal=content["decimal"],
            size=_size(content["size"]),
            grey=_truth(content["grey"]),
            channels=_channels(content.get("channels")),  # files of before this field lack it
            fill=_numbers(content["fill"]),
        )
        _check(mapping)
    except (KeyError, TypeError, ValueError) as error:
        raise MappingInvalid(
            f"{path} is no mapping that `engram data convert` has written: {error}"
        ) from error
    return mapping


def fitted(table: RawTable, scale: str = "auto", missing: str = "refuse", margin: float = 0.0) -> DataMapping:
    """A mapping made of a table: its labels in their order, its values from the lowest to the highest.

    `scale`: `none` for bytes that stay as they are; `all` for one range of all inputs; `columns` for a range
    of each; `auto`: none for whole numbers from 0 to 255, all for pictures, else columns. `missing` is
    `mean` if the mean of a column stands for what is missing in it. `margin` widens every range on both sides
    by so many times its width, for values of later files. Raises `FeatureOutOfRange` for `none`, if the
    values are no bytes.
    """
    whole = _are_bytes(table.features)
    if scale == "auto":
        scale = "none" if whole else "all" if len(table.shape) > 1 else "columns"
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (float(LARGEST),)
    if scale == "none" and not whole:
        raise FeatureOutOfRange(
            f"{table.name}: a feature is not a whole number from 0 to 255; `--scale all` or `--scale "
            "columns` scales them"
        )
    if scale != "none":
        lowest, highest = ranges_of(table.features)
        if scale == "all":
            low, high = usual_range(min(lowest), max(highest))
        else:
            low, high = tuple(lowest), tuple(highest)
        room = [margin * (last - first) for first, last in zip(low, high, strict=True)]
        low = tuple(first - add for first, add in zip(low, room, strict=True))
        high = tuple(last + add for last, add in zip(high, room, strict=True))
        if not all(math.isfinite(last - first) for first, last in zip(low, high, strict=True)):
            raise FeatureOutOfRange(f"{table.name} holds numbers that are too far apart to be scaled")
    fill = means_of(table.features) if missing == "mean" else ()
    return DataMapping(
        table.inputs,
        table.labels.names,
        low,
        high,
        columns=table.columns,
        label=table.column.hint,
        decimal=table.decimal,
        size=table.size,
        grey=table.grey,
        channels=None if table.channels is None else table.channels.axis,
        fill=fill,
    )


def mapped_features(table: RawTable, mapping: DataMapping, *, drop: bool = False) -> MappedValues:
    """The features of a table as a mapping makes them, whatever its labels are; with `drop`, without rows
    that lack a value.

    Raises `MappingMismatch`, `ValuesMissing`.
    """
    values = _in_order(table, mapping)
    if values.dtype.kind == "f" and not mapping.fill:
        left = np.isnan(values).any(axis=1)
        if bool(left.any()):
            if not drop:
                raise rows_lacking(table.name, np.zeros(table.rows, dtype=np.bool_), np.asarray(left))
            values = values[~left]
    return bytes_of(values, mapping)


def mapped(table: RawTable, mapping: DataMapping, *, drop: bool = False) -> MappedRows:
    """The rows of a table as a mapping makes them; with `drop`, without those that lack a value or a label.

    Raises `MappingMismatch` if the table has other columns, `LabelUnknown`, `ValuesMissing`.
    """
    values = _in_order(table, mapping)
    names = {name: number for number, name in enumerate(mapping.classes)}
    unknown = [name for name in table.labels.names if name not in names]
    if unknown:
        converted = table.format == "npz" and table.labels.are_numbers
        raise LabelUnknown(
            f"{table.name} has labels that the mapping does not know: {', '.join(map(repr, unknown[:5]))}; "
            f"{_LEAVE_OUT if converted else _EXTEND}",
            got=unknown[:5],
        )
    numbers = np.array([names[name] for name in table.labels.names] + [NO_LABEL], dtype=np.int64)
    labels = numbers[table.labels.codes]
    lacking = labels < 0
    refuses = values.dtype.kind == "f" and not mapping.fill
    left = lacking | np.isnan(values).any(axis=1) if refuses else lacking
    if bool(left.any()):
        if not drop:
            raise rows_lacking(table.name, lacking, left)
        values, labels = values[~left], labels[~left]
    made = bytes_of(values, mapping)
    filled, beyond = int(made.filled.sum()), int(made.beyond.sum())
    return MappedRows(made.features, labels.astype(np.uint16), filled, int(left.sum()), beyond)


def _in_order(table: RawTable, mapping: DataMapping) -> Values:
    """The table's values in the mapping's order of columns. Raises `MappingMismatch`."""
    if mapping.columns and table.columns and mapping.columns != table.columns:
        places = {title: place for place, title in enumerate(table.columns)}
        lacking = [title for title in mapping.columns if table.columns.count(title) != 1]
        if table.column.place in lacking:
            raise MappingMismatch(
                f"{table.name}: the column {table.column.place!r} is a feature of the mapping, so it cannot "
                "hold the labels: name another with --label, or none",
                got=table.column.place,
            )
        if lacking:
            raise MappingMismatch(
                f"{table.name} lacks columns of the mapping: {', '.join(map(repr, lacking[:5]))}",
                got=lacking[:5],
            )
        return table.features[:, [places[title] for title in mapping.columns]]
    if table.inputs != mapping.inputs:
        raise MappingMismatch(
            f"{table.name} has another number of features than the mapping",
            expected=mapping.inputs,
            got=table.inputs,
        )
    return laid_out(table, mapping.channels)


class MappedValues(NamedTuple):
    """Values as bytes; for each row, how many values were filled and how many lay beyond the range."""

    features: npt.NDArray[np.uint8]
    filled: npt.NDArray[np.int64]
    beyond: npt.NDArray[np.int64]


def bytes_of(values: Values, mapping: DataMapping) -> MappedValues:
    """Values as bytes. Halves are rounded up."""
    filled, beyond = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.int64)
    if values.dtype == np.uint8 and set(mapping.low) == {0.0} and set(mapping.high) == {float(LARGEST)}:
        return MappedValues(np.ascontiguousarray(values, dtype=np.uint8), filled, beyond)
    low, high = np.array(mapping.low), np.array(mapping.high)
    width = np.where(high > low, high - low, 1.0)
    result = np.empty(values.shape, dtype=np.uint8)
    step = max(1, _CHUNK_VALUES // values.shape[1])
    for begin in range(0, len(values), step):
        chunk = values[begin : begin + step].astype(np.float64)
        if mapping.fill and bool((missing := np.isnan(chunk)).any()):
            filled[begin : begin + step] = missing.sum(axis=1)
            chunk = np.where(missing, np.array(mapping.fill), chunk)
        with np.errstate(over="ignore"):
            scaled = np.floor((chunk - low) / width * LARGEST + 0.5)
        beyond[begin : begin + step] = ((chunk < low) | (chunk > high)).sum(axis=1)
        result[begin : begin + step] = np.clip(scaled, 0, LARGEST)
    return MappedValues(result, filled, beyond)


def _are_bytes(values: Values) -> bool:
    """Whether every value that is there is a whole number from 0 to 255."""
    if values.dtype == np.uint8:
        return True
    return bool(
        np.all(np.isnan(values) | ((values >= 0) & (values <= LARGEST) & (np.floor(values) == values)))
    )


def _check(mapping: DataMapping) -> None:
    if not 1 <= mapping.inputs <= INPUTS:
        raise ValueError("it has no inputs, or too many")
    for numbers in (mapping.low, mapping.high):
        if len(numbers) not in (1, mapping.inputs):
            raise ValueError("it has not one range, nor one for each input")
    if len(mapping.low) != len(mapping.high) or len(mapping.fill) not in (0, mapping.inputs):
        raise ValueError("its numbers do not go with its inputs")
    ranges = zip(mapping.low, mapping.high, strict=True)
    if any(low > high or not math.isfinite(high - low) for low, high in ranges):
        raise ValueError("a range ends before it begins, or is too wide")
    if mapping.decimal not in (".", ","):
        raise ValueError("its fractions begin with neither a point nor a comma")
    if mapping.columns and (len(mapping.columns) != mapping.inputs):
        raise ValueError("it does not name every input")
    if not 1 <= len(mapping.classes) <= MOST_CLASSES or len(set(mapping.classes)) != len(mapping.classes):
        raise ValueError("its classes are none, too many, or not all different")


def _count(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.40} is no whole number")
    return value


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r:.40} is neither true nor false")
    return value


def _size(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = value if isinstance(value, list) else []
    if len(sides) != 2 or not all(1 <= _count(side) <= INPUTS for side in sides):
        raise ValueError("its size of pictures is none")
    return sides[0], sides[1]


def _channels(value: object) -> str | None:
    if value is None or value in AXES:
        return None if value is None else str(value)
    raise ValueError("its channels are neither first nor last")


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise ValueError("a list of texts is missing")
    if any(len(text) > LABEL_LETTERS for text in values):
        raise ValueError("a name is too long")
    "".join(values).encode()  # half of a character, which JSON can write, is a `ValueError`
    return tuple(values)


def _numbers(values: object) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(type(number) in (int, float) for number in values):
        raise ValueError("a list of numbers is missing")
    try:
        numbers = tuple(float(number) for number in values)
    except OverflowError as error:
        raise ValueError("a number is too large") from error
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number is not finite")
    return numbers
