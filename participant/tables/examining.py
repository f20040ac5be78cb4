"""Says what a file of rows holds, what is doubtful in it, and what it would found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.spec import NetworkLimits
from engram.participant.tables.errors import DataDoubtful
from engram.participant.tables.mapping import DataMapping, mapped
from engram.participant.tables.raw import NO_LABEL, RawTable, Values
from engram.participant.tables.repeats import Repeats, repeated
from engram.participant.tables.values import plain_features, plain_labels
from engram.primitives.errors import InvalidInput

SHARE: Final = 100
"""One row of so many may repeat another, or contradict it, before that is doubtful."""
FEW_ROWS: Final = 5
"""A class with fewer rows is doubtful."""
ROWS_OF_A_CLASS: Final = 5
"""If there are fewer rows for each class on average, the labels may be something else."""
OF_CLASSES: Final = ("single_class", "class_gaps", "many_classes", "rare_classes")
"""Doubts about which classes there are: they count where a model is founded, which has these and no
others.
"""
MANY_CLASSES: Final = 10
SHOWN: Final = 20
"""How many classes or columns a warning names."""


@dataclass(frozen=True)
class DataWarning:
    """Something about rows that whoever founds a model on them should know."""

    code: str
    message: str
    remedy: str

    def to_json(self) -> dict[str, str]:
        """The warning as JSON."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy}


@dataclass(frozen=True)
class DataReport:
    """What a file holds."""

    facts: dict[str, Any]
    """As JSON values: what was found, by the names that `docs/data.md` explains."""
    warnings: tuple[DataWarning, ...]
    problem: InvalidInput | None
    """Why the file cannot be used as it is; None if it can."""

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        problem = None if self.problem is None else {"code": self.problem.code, "message": str(self.problem)}
        warnings = [warning.to_json() for warning in self.warnings]
        return {**self.facts, "ready": self.problem is None, "problem": problem, "warnings": warnings}


def examine(table: RawTable, mapping: DataMapping | None = None) -> DataReport:
    """What a table holds, and what a model that is founded on it would be. Nothing is changed."""
    problem: InvalidInput | None = None
    codes = table.labels.codes
    features: Values = table.features
    try:
        if mapping is None:
            features, codes = plain_features(table), plain_labels(table).astype(np.int32)
        else:
            rows = mapped(table, mapping)
            features, codes = rows.features, rows.labels.astype(np.int32)
    except InvalidInput as error:
        problem = error
    repeats = repeated(features, codes)
    of_file = file_doubts(table, filled=mapping is not None and bool(mapping.fill))
    of_rows = doubts(features, codes, repeats, () if problem is None else table.labels.names)
    if mapping is not None:  # the classes are those of a model, and a later file may hold few of them
        of_rows = tuple(found for found in of_rows if found.code not in OF_CLASSES)
    return DataReport(_facts(table, mapping, repeats, codes, problem), (*of_file, *of_rows), problem)


def file_doubts(table: RawTable, *, filled: bool = False) -> tuple[DataWarning, ...]:
    """What is doubtful about how a file was read. `filled`: a mapping fills the values that are missing."""
    found = []
    if table.column.doubtful:
        found.append(
            DataWarning(
                "label_guessed",
                "nothing in the file says which column holds the labels; the last one was taken",
                "name it with --label first, last or its title",
            )
        )
    if table.counting:
        found.append(
            DataWarning(
                "titles_doubtful",
                "the first line counts 0, 1, 2, … and was read as a row, but it may hold titles",
                "say --header or --no-header",
            )
        )
    if (numbered := _numbered(table)) is not None:
        title = table.columns[numbered] if table.columns else f"number {numbered + 1}"
        found.append(
            DataWarning(
                "row_numbers",
                f"the column {title!r} only counts the rows, and a model would learn it by heart",
                "leave it out with --drop" if table.columns else "take it out of the file",
            )
        )
    missing = int(np.isnan(table.features).sum()) if table.features.dtype.kind == "f" else 0
    unlabelled = int((table.labels.codes == NO_LABEL).sum()) if table.has_labels else 0
    if missing and filled:
        found.append(
            DataWarning(
                "values_filled",
                f"{missing} values are missing; the mapping fills each with the mean of its column",
                "nothing is to be done, unless these values are missing by mistake",
            )
        )
        missing = 0
    if missing or unlabelled:
        found.append(
            DataWarning(
                "values_missing",
                f"{missing} values and {unlabelled} labels are missing",
                "engram data convert --missing mean fills values, --missing drop leaves such rows out",
            )
        )
    return tuple(found)


def doubts(
    features: Values,
    codes: npt.NDArray[Any],
    repeats: Repeats | None = None,
    names: Sequence[str] = (),
    classes: int = 0,
) -> tuple[DataWarning, ...]:
    """What is doubtful about rows and the classes that they have.

    `names` are the labels of all classes that there are to be, `classes` is how many there are to be at
    least; without them, the classes are the numbers up to the highest.
    """
    known = codes[codes >= 0]
    least = max(len(names), classes)
    counts = np.bincount(known, minlength=least) if len(known) else np.zeros(0, dtype=np.int64)
    held, rows = np.flatnonzero(counts), len(codes)
    found = []
    if len(held) == 1:
        found.append(
            DataWarning(
                "single_class",
                f"all rows have one class, {_listed(held, names)}: a model of one class is frozen from its "
                "founding on and learns nothing",
                "add rows of another class, or name another label column with --label",
            )
        )
    if len(gaps := np.flatnonzero(counts == 0)):
        found.append(
            DataWarning(
                "class_gaps",
                f"no row has the classes {_listed(gaps, names)}, which a model would have all the same",
                "engram data convert numbers the classes without gaps; --relabel does so for --take-classes; "
                "a class of which rows come later is added by a growth, so do not count it here",
            )
        )
    if len(held) >= MANY_CLASSES and len(held) * ROWS_OF_A_CLASS > rows:
        found.append(
            DataWarning(
                "many_classes",
                f"{rows} rows have {len(held)} different labels: another column may hold the labels",
                "name the label column with --label",
            )
        )
    elif len(few := np.flatnonzero((counts > 0) & (counts < FEW_ROWS))) and len(held) > 1:
        found.append(
            DataWarning(
                "rare_classes",
                f"fewer than {FEW_ROWS} rows have the classes {_listed(few, names)}",
                "add rows of these classes, or leave them out with --take-classes",
            )
        )
    again = repeated(features, codes) if repeats is None else repeats
    if again.same * SHARE > again.rows:
        found.append(
            DataWarning(
                "rows_repeated",
                f"{again.same} of {again.rows} rows repeat an earlier one: "
                "what is revealed tells what is sealed",
                "`engram data convert --repeated drop` leaves them out, or engram.without_repeats in Python",
            )
        )
    if again.contradicting * SHARE > again.rows:
        found.append(
            DataWarning(
                "labels_contradict",
                f"{again.contradicting} of {again.rows} rows have the features of an earlier row and another "
                "label",
                "look at such rows: a label may be wrong, or a column missing",
            )
        )
    return tuple(found)


def part_doubts(
    features: Values,
    labels: npt.NDArray[Any],
    *,
    founds: bool,
    classes: int | None = None,
    repeats: Repeats | None = None,
) -> tuple[DataWarning, ...]:
    """What is doubtful about rows that shall be a part. `founds`: a model gets its classes from them.

    `classes`: how many classes the owner says that the model has: one is then no oversight, and of each there
    should be a row. `repeats`: those of all rows of which these are a share; None counts among these.
    """
    meant = ("single_class",) if classes == 1 else ()
    left_out = (*meant, *(() if founds else OF_CLASSES))
    found = doubts(features, labels, repeats, classes=classes or 0)
    return tuple(each for each in found if each.code not in left_out)


def refuse_doubtful(source: str, warnings: Sequence[DataWarning], remedy: str) -> None:
    """Raises `DataDoubtful` if there are warnings; `remedy` says how to go on all the same."""
    if warnings:
        words = "; ".join(f"{each.message} [{each.code}]: {each.remedy}" for each in warnings)
        raise DataDoubtful(f"{source}: {words}; {remedy}", got=[warning.code for warning in warnings])


def _numbered(table: RawTable) -> int | None:
    """The place of a column that counts the rows, if there is one."""
    if table.rows < SHOWN or len(table.shape) > 1:
        return None
    start = table.features[:3].astype(np.float64)
    counting = np.flatnonzero((np.diff(start, axis=0) == 1).all(axis=0) & np.isin(start[0], (0, 1)))
    for place in counting:
        column = table.features[:, place].astype(np.float64)
        if bool(np.all(np.diff(column) == 1)):
            return int(place)
    return None


def _listed(numbers: npt.NDArray[Any], names: Sequence[str]) -> str:
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return ", ".join(names[number] if names else str(int(number)) for number in numbers[:SHOWN]) + more


def _facts(
    table: RawTable,
    mapping: DataMapping | None,
    repeats: Repeats,
    codes: npt.NDArray[Any],
    problem: InvalidInput | None,
) -> dict[str, Any]:
    features = table.features
    missing = np.isnan(features) if features.dtype.kind == "f" else None
    some = missing is None or not bool(missing.all())
    classes = int(codes.max()) + 1 if mapping is None and len(codes) else 0
    limits = NetworkLimits()
    founds = None
    if problem is None:
        count = classes if mapping is None else len(mapping.classes)
        founds = {
            "inputs": table.inputs if mapping is None else mapping.inputs,
            "classes": count,
            "rows": len(codes),
            "fits": count <= limits.max_classes,
        }
    return {
        "file": table.name,
        "format": table.format,
        "rows": table.rows,
        "inputs": table.inputs,
        "shape": list(table.shape),
        "channels": table.channels and {"axis": table.channels.axis, "found": table.channels.found},
        "header": table.header,
        "delimiter": table.delimiter,
        "label": {"column": table.column.place, "found": table.column.how},
        "labels": dict(zip(table.labels.names, table.labels.counts(), strict=True)),
        "lowest": float(np.nanmin(features)) if some else None,
        "highest": float(np.nanmax(features)) if some else None,
        "whole_bytes": features.dtype == np.uint8,
        "missing_values": 0 if missing is None else int(missing.sum()),
        "missing_rows": 0 if missing is None else int(missing.any(axis=1).sum()),
        "missing_labels": int((table.labels.codes == NO_LABEL).sum()),
        "repeated_rows": repeats.same,
        "contradicting_rows": repeats.contradicting,
        "constant_inputs": int((features == features[:1]).all(axis=0).sum()),
        "founds": founds,
    }
