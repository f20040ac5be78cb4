"""A mapping applied to values and labels that are at hand, and the mapping that lies beside a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.participant.tables.errors import LabelUnknown, MappingMismatch, ValuesMissing
from engram.participant.tables.mapping import DataMapping, bytes_of
from engram.participant.tables.raw import Values

SUFFIX: Final = ".mapping.json"
CONVERTED: Final = ".npz"
"""The ending of what `engram data convert` writes; the values of such a file are bytes already."""


def mapped_values(values: Values, mapping: DataMapping) -> npt.NDArray[np.uint8]:
    """Rows of values (rows, inputs), in the mapping's order of columns, as bytes.

    Raises `MappingMismatch`, and `ValuesMissing` for a value that is no finite number, unless the mapping
    fills such values.
    """
    if values.shape[1] != mapping.inputs:
        raise MappingMismatch(
            "the rows have another number of features than the mapping",
            expected=mapping.inputs,
            got=values.shape[1],
        )
    if values.dtype.kind == "f":
        missing = np.logical_not(np.isfinite(values))
        if bool(missing.any()):
            if not mapping.fill:
                raise ValuesMissing(
                    "a value is missing or infinite, and the mapping fills none: leave such rows out",
                    got=int(missing.any(axis=1).sum()),
                )
            values = np.where(missing, np.nan, values)
    return bytes_of(values, mapping).features


def mapped_labels(labels: Sequence[str], mapping: DataMapping) -> npt.NDArray[np.int64]:
    """The class of each label. Raises `LabelUnknown`."""
    numbers = {name: number for number, name in enumerate(mapping.classes)}
    if unknown := sorted(set(labels) - set(numbers)):
        raise LabelUnknown(
            f"the mapping does not know these labels: {', '.join(map(repr, unknown[:5]))}", got=unknown[:5]
        )
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def mapping_path(file: Path) -> Path:
    """Where `engram data convert` writes the mapping of a file that it makes."""
    return file.with_suffix(SUFFIX)


def mapping_beside(source: str) -> Path | None:
    """The mapping beside a data file, which has its name; None if there is none, or no file."""
    file = Path(source)
    if source == "digits" or not file.is_file():
        return None
    beside = mapping_path(file)
    return beside if beside.is_file() else None


def unnamed_classes(mapping: DataMapping, classes: int, name: str = "this mapping") -> str | None:
    """What to say if a model has more classes than its mapping names; None if each has a name.

    So it is after a growth: who opened it has the longer mapping. `name` is what the mapping is called.
    """
    known = len(mapping.classes)
    if known >= classes:
        return None
    return (
        f"the model has {classes} classes, and {name} names {known}, so the others are numbers: use the "
        "longer mapping of the growth, which its owner has made with `engram data convert --extend`"
    )


def is_converted(source: str) -> bool:
    """Whether the mapping beside this file has made it: then it only tells the names of the classes."""
    return Path(source).suffix == CONVERTED
