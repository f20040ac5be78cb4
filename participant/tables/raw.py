"""What a file of rows says, before anything is changed: values, label texts, and how the file is laid out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.participant.tables.cells import is_missing
from engram.participant.tables.errors import DatasetTooLarge
from engram.participant.tables.limits import LABEL_LETTERS, check_labels, check_size

Values = npt.NDArray[np.number[Any]]
Codes = npt.NDArray[np.int32]

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are read."""

NO_LABEL: Final = -1
NONE: Final = "none"
"""The place of the label column of a file that has none."""
"""The code of a row whose label is missing."""
_PIECE_VALUES: Final = 2**20


@dataclass(frozen=True)
class ReadOptions:
    """What a person says about a file; what they leave open is found out."""

    label: str | None = None
    """The label column: `first`, `last`, its name, its number counted from 1, or `none`."""
    hint: str | None = None
    """The label column of a mapping's file; it counts if this file has such a column, too."""
    header: bool | None = None
    """Whether the first line of a text names the columns."""
    delimiter: str | None = None
    """The character between two cells of a text."""
    decimal: str | None = None
    """The character before the fraction of a number in a text: a point, or a comma; None: a point."""
    drop: tuple[str, ...] = ()
    """Names of columns to leave out."""
    inputs: int | None = None
    """How many features a mapping knows; a file without titles that has as many columns has no labels."""
    only: tuple[str, ...] = ()
    """Titles of the features; of a file that has all of them, only these and the labels are read."""
    size: tuple[int, int] | None = None
    """The width and height that all pictures get; None: theirs, which must be the same."""
    grey: bool = False
    """Read pictures without their colours."""
    channels: str | None = None
    """Where the channels of pictures are: the `first` axis of a row, or the `last`; None: what its shape
    shows."""
    test_rows: bool = False
    """Of a source that holds training and test rows, read the test rows."""
    progress: Progress | None = field(default=None, compare=False)


@dataclass(frozen=True)
class LabelColumn:
    """Where the labels were found, and how sure that is."""

    place: str
    """`first`, `last`, the name of a column or array, its number counted from 1, or `folders`."""
    how: str
    """`asked`: the user has named it, or said that there is none; `named`: its name says it; `words`: it is
    the only one that holds words; `values`: its values are whole numbers 0, 1, … and those at the row's
    other end are not; `format`: the format says it; `guessed`: nothing says it, and the last column was
    taken."""

    @property
    def doubtful(self) -> bool:
        """Whether another column may hold the labels as well."""
        return self.how == "guessed"

    @property
    def hint(self) -> str | None:
        """What finds the column in another file of the same make; None where its format says it."""
        return None if self.how == "format" else self.place


@dataclass(frozen=True)
class Channels:
    """Where the channels of a file's pictures are, and how sure that is."""

    axis: str
    """`first`: a row is channels x height x width; `last`: height x width x channels."""
    found: str
    """`asked`: the user has said it; `format`: the format says it; `guessed`: it is the shortest axis."""


@dataclass(frozen=True)
class Labels:
    """The label of each row, as the file writes it."""

    names: tuple[str, ...]
    """Every label that occurs: whole numbers in their order if all are numbers, else words in theirs."""
    codes: Codes
    """(rows,) for each row the place of its label in `names`; `NO_LABEL` where it is missing."""

    @property
    def are_numbers(self) -> bool:
        """Whether every label is a whole number that is not negative."""
        return all(name.isascii() and name.isdigit() for name in self.names)

    def counts(self) -> list[int]:
        """How many rows each label of `names` has."""
        found = self.codes[self.codes >= 0]
        return [int(count) for count in np.bincount(found, minlength=len(self.names))]


@dataclass(frozen=True)
class RawTable:
    """The rows of a file."""

    name: str
    """The file's name."""
    format: str
    """`csv`, `npz`, `npy`, `idx`, `images` or `parquet`."""
    features: Values
    """(rows, inputs): uint8, if all are whole numbers from 0 to 255; else floats, NaN for a missing value."""
    labels: Labels
    column: LabelColumn
    shape: tuple[int, ...]
    """The shape of a row in the order of its values: (inputs,), or that of a picture."""
    columns: tuple[str, ...] = ()
    """The names of the features; () if the file has none."""
    header: bool = False
    counting: bool = False
    """Whether the first row counts 0, 1, 2, …, as titles may, and was read as a row all the same."""
    delimiter: str | None = None
    decimal: str = "."
    """What stands before the fraction of a number in a text."""
    size: tuple[int, int] | None = None
    """The width and height that pictures were given, if they were."""
    grey: bool = False
    """Whether pictures were to be read without their colours."""
    channels: Channels | None = None
    """Where the channels of pictures are; None for rows without such an axis."""

    @property
    def has_labels(self) -> bool:
        """Whether the file has a label column, or its user has not said that it has none."""
        return bool(self.labels.names) or self.column.place != NONE

    @property
    def rows(self) -> int:
        return int(self.features.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.features.shape[1])


def no_labels(rows: int) -> Labels:
    """The labels of rows that have none."""
    return Labels((), np.full(rows, NO_LABEL, dtype=np.int32))


def labels_of_texts(texts: Sequence[str], codes: Codes) -> Labels:
    """Labels from distinct texts and codes that point at them: put in order, and 1, 01 and 1.0 made one."""
    wholes = [_whole(text) for text in texts]
    if all(whole is not None for whole in wholes):
        keys: list[Any] = [int(whole) for whole in wholes if whole is not None]
    else:
        keys = list(texts)
    order = sorted(set(keys))
    place = {key: number for number, key in enumerate(order)}
    moved = np.array([place[key] for key in keys] + [NO_LABEL], dtype=np.int32)
    return Labels(tuple(str(key) for key in order), moved[codes])


def labels_of_numbers(name: str, values: npt.NDArray[np.generic]) -> Labels:
    """Labels from numbers; NaN and infinite ones are missing. A fraction keeps its digits as its name.

    Raises `DatasetTooLarge` if there are too many different ones in the file `name`.
    """
    numbers = np.asarray(values)
    if numbers.dtype.kind == "f":
        known = np.isfinite(numbers)
        found, places = np.unique(numbers[known], return_inverse=True)
        codes = np.full(numbers.shape, NO_LABEL, dtype=np.int32)
        codes[known] = places
    else:
        found, places = np.unique(numbers, return_inverse=True)
        codes = places.astype(np.int32)
    check_labels(name, len(found))
    return Labels(tuple(number_text(value) for value in found.tolist()), codes)


def number_text(value: float) -> str:
    """A number as text: whole ones without a fraction."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _whole(text: str) -> str | None:
    """The digits of a whole number written as digits or as digits with an empty fraction; else None."""
    sign, digits = (text[:1], text[1:]) if text[:1] in "+-" else ("", text)
    whole, _, fraction = digits.partition(".")
    if not whole.isascii() or not whole.isdigit() or fraction.strip("0") or len(whole) > 18:
        return None
    return ("-" if sign == "-" else "") + whole


def labels_of_words(name: str, words: Iterable[str]) -> Labels:
    """Labels from a word for each row; words that stand for nothing are missing.

    Raises `DatasetTooLarge` if the file `name` has too many different ones, or too long ones.
    """
    texts: dict[str, int] = {}
    codes = array("i")
    for word in words:
        text = word.strip()
        if is_missing(text):
            codes.append(NO_LABEL)
            continue
        if len(text) > LABEL_LETTERS:
            raise DatasetTooLarge(
                f"{name} has a label that is too long", expected=LABEL_LETTERS, got=len(text)
            )
        codes.append(texts.setdefault(text, len(texts)))
        check_labels(name, len(texts))
    return labels_of_texts(list(texts), np.frombuffer(codes, dtype=np.int32))


def compact(name: str, values: npt.NDArray[Any]) -> Values:
    """Values as uint8 if all are whole numbers from 0 to 255; else as floats, NaN for what is not finite.

    The values are looked at piece by piece, and floats are changed where they lie. Raises `DatasetTooLarge`
    if those of the file `name` take too much memory as floats.
    """
    if values.dtype.kind == "b" or values.dtype == np.uint8:
        return values.view(np.uint8)
    small = np.empty(values.shape, dtype=np.uint8)
    for piece in _pieces(values):
        if (found := _as_bytes(values[piece])) is None:
            return _floats(name, values)
        small[piece] = found
    return small


def _as_bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
    """Values as uint8, or None if one is no whole number from 0 to 255."""
    if not bool(np.all((values >= 0) & (values <= 255))):
        return None
    small = values.astype(np.uint8)
    return small if values.dtype.kind != "f" or bool(np.all(small == values)) else None


def _floats(name: str, values: npt.NDArray[Any]) -> Values:
    """Values as floats that hold each of them, whole numbers of 64 bits apart, which are rounded."""
    narrow = values.dtype.itemsize <= (4 if values.dtype.kind == "f" else 2)
    dtype = np.dtype(np.float32 if narrow else np.float64)
    check_size(name, len(values), values[:1].size, dtype.itemsize)
    floats = values if values.dtype == dtype and values.flags.writeable else np.empty(values.shape, dtype)
    for piece in _pieces(values):
        with np.errstate(invalid="ignore"):  # of a NaN that signals
            part = values[piece].astype(dtype, copy=False)
        if not bool(np.all(finite := np.isfinite(part))):
            part = np.where(finite, part, dtype.type(np.nan))
        floats[piece] = part
    return floats


def _pieces(values: npt.NDArray[Any]) -> Iterator[slice]:
    """Stretches of rows that hold so many values that what is made of them takes little memory."""
    step = max(1, _PIECE_VALUES // max(1, values[:1].size))
    for begin in range(0, len(values), step):
        yield slice(begin, begin + step)
