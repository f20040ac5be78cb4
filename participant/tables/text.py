"""Reads tables of text: CSV with any delimiter, quotes and line ends, with titles or without.

The text is read once, row by row. A cell is a number as CSV writes one: digits, a point, an exponent.
Python's own liberties (`1_0`, other scripts' digits) are no numbers. An empty cell, NaN and infinite ones
are missing values.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from engram.participant.errors import EmptyDataset
from engram.participant.tables import cells, layout
from engram.participant.tables.errors import DatasetTooLarge, RowsRagged, TextUnreadable, ValueNotNumber
from engram.participant.tables.guessing import matrix_table, unlabelled
from engram.participant.tables.limits import LABEL_LETTERS, check_labels, check_size
from engram.participant.tables.opening import opened
from engram.participant.tables.raw import (
    NO_LABEL,
    LabelColumn,
    Labels,
    RawTable,
    ReadOptions,
    Values,
    compact,
    labels_of_texts,
)

RECORD_LETTERS: Final = 2**22
"""Most letters of one row."""
SAMPLE_LETTERS: Final = 2**16
SAMPLE_LINES: Final = 3
"""Lines that the sample holds at least behind the first, if they are as long as that."""
_CHUNK_VALUES: Final = 2**19
_DOUBLE: Final = 8


@contextmanager
def open_text(path: Path, options: ReadOptions) -> Iterator[TextIO]:
    """The text of a file in UTF-8.

    Raises `TextUnreadable`, also within the block, and what `opened` raises.
    """
    try:
        with opened(path, options.progress) as raw, io.TextIOWrapper(raw, "utf-8-sig") as text:
            yield text
    except UnicodeDecodeError as error:
        raise TextUnreadable(
            f"{path.name} is not text in UTF-8: save it as CSV in UTF-8",
            got=error.object[error.start : error.start + 8],
        ) from error


def read_text(path: Path, options: ReadOptions) -> RawTable:
    """The rows of a table of text.

    Raises `TextUnreadable`, `RowsRagged`, `ValueNotNumber`, `ColumnNotFound`, `LabelsMissing`,
    `EmptyDataset`, `DatasetTooLarge`, and what `opened` raises.
    """
    with open_text(path, options) as text:
        first = text.readline(RECORD_LETTERS)
        sample = first + text.read(max(SAMPLE_LETTERS, SAMPLE_LINES * len(first)))
        whole = not text.read(1)
    if "\0" in sample:
        raise TextUnreadable(f"{path.name} is no text: it holds bytes of zero; save it as CSV in UTF-8")
    form = layout.form_of(path.name, sample if whole else sample[: sample.rfind("\n") + 1] or sample, options)
    with open_text(path, options) as text:
        for _ in range(form.comments):
            text.readline(RECORD_LETTERS)
        reader = _Reader(path.name, form, text)
        if form.title_row:
            next(reader.records(), None)
        features, labels = reader.read()
    titles = tuple(form.titles[place] for place in form.numeric) if form.titles else ()
    if form.label == layout.NOWHERE:
        return _described(unlabelled(path.name, "csv", features, (features.shape[1],), titles), form)
    if labels is None:
        table = matrix_table(path.name, "csv", features, options, titles)
        return _described(table, form)
    place = form.label
    title = (
        form.titles[place] if form.titles else {0: "first", form.width - 1: "last"}.get(place, str(place + 1))
    )
    column = LabelColumn(title, form.how)
    found = RawTable(path.name, "csv", features, labels, column, (features.shape[1],), titles)
    return _described(found, form)


def _described(table: RawTable, form: layout.Form) -> RawTable:
    return replace(
        table, header=form.header, delimiter=form.delimiter, decimal=form.decimal, counting=form.counting
    )


def text_rows(path: Path) -> list[list[str]]:
    """The cells of a file of comma-separated text as they are, with its titles.

    Raises `TextUnreadable`, `RowsRagged`, `DatasetTooLarge`, and what `opened` raises.
    """
    form = layout.Form(",", '"', 0, False, (), 0, "asked", ())
    with open_text(path, ReadOptions()) as text:
        return list(_Reader(path.name, form, text).records())


class _Lines:
    """The lines of a text, none of which is endless, and none of whose rows is."""

    def __init__(self, name: str, text: TextIO) -> None:
        self._name = name
        self._text = text
        self._left = RECORD_LETTERS

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._left + 1)
        if not line:
            raise StopIteration
        self._left -= len(line)
        if self._left < 0:
            raise DatasetTooLarge(f"{self._name} has a row without end", expected=RECORD_LETTERS)
        return line

    def row_ended(self) -> None:
        """The next line begins another row."""
        self._left = RECORD_LETTERS


class _Reader:
    """Turns the text into numbers, and the label column, if it is known, into labels."""

    def __init__(self, name: str, form: layout.Form, text: TextIO) -> None:
        self._name = name
        self._form = form
        self._lines = _Lines(name, text)
        self._csv = csv.reader(self._lines, **form.dialect)
        self._chunks: list[Values] = []
        self._flat = array("d")
        self._values = 0
        self._floats = False
        self._texts: dict[str, int] = {}
        self._codes = array("i")
        self._rows = 0

    def records(self) -> Iterator[list[str]]:
        """The rows that are not empty. Raises `RowsRagged` for text that is no CSV, `DatasetTooLarge`."""
        while True:
            try:
                record = next(self._csv)
            except StopIteration:
                return
            except csv.Error as error:
                raise RowsRagged(f"{self._name}: line {self._line} is no row of a table: {error}") from error
            self._lines.row_ended()
            if record and not (len(record) == 1 and not record[0].strip()):
                yield record

    @property
    def _line(self) -> int:
        """The number of the line that was read last."""
        return self._form.comments + self._csv.line_num

    def read(self) -> tuple[Values, Labels | None]:
        """All rows that are left; no labels, if their column is among the numbers."""
        form = self._form
        take = _taker(form.numeric)
        for record in self.records():
            if len(record) != form.width:
                raise RowsRagged(
                    f"{self._name}: line {self._line} does not have as many cells as the first row",
                    expected=form.width,
                    got=len(record),
                )
            if form.blank is not None and record[form.blank].strip():
                raise RowsRagged(
                    f"{self._name}: line {self._line} has a cell in the last column, which is empty "
                    "elsewhere",
                    got=record[form.blank][:40],
                )
            self._numbers(take(record))
            if form.label >= 0:
                self._label(record[form.label])
            self._rows += 1
        self._pack()
        if not self._rows:
            raise EmptyDataset(
                f"{self._name} holds no rows but a line of titles"
                if form.header
                else f"{self._name} holds no rows"
            )
        features = np.concatenate(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
        matrix: Values = features.reshape(self._rows, len(form.numeric))
        if form.label < 0:
            return matrix, None
        codes = np.frombuffer(self._codes, dtype=np.int32)
        return matrix, labels_of_texts(list(self._texts), codes)

    def _numbers(self, row: Sequence[str]) -> None:
        try:
            self._flat.extend(cells.numbers(self._form.cells(row)))
        except ValueError:
            written = self._form.cells(row)
            place = next(place for place, cell in enumerate(written) if cells.number(cell) is None)
            column = self._form.numeric[place]
            titles = self._form.titles
            raise ValueNotNumber(
                f"{self._name}: line {self._line}, column "
                f"{titles[column] if titles else column + 1} holds {row[place][:40]!r}, which is no number; "
                + (
                    layout.PLAIN_NUMBERS
                    if self._form.known
                    else "name the label column with --label, leave columns out with --drop"
                ),
                got=row[place][:40],
            ) from None
        if len(self._flat) >= _CHUNK_VALUES:
            self._pack()

    def _pack(self) -> None:
        if not self._flat:
            return
        chunk = compact(self._name, np.frombuffer(self._flat, dtype=np.float64))
        self._flat = array("d")
        self._chunks.append(chunk)
        self._values += len(chunk)
        self._floats |= chunk.dtype != np.uint8
        check_size(self._name, self._rows, self._form.width - 1, _DOUBLE if self._floats else 1)

    def _label(self, cell: str) -> None:
        text = cell.strip()
        if cells.is_missing(text):
            self._codes.append(NO_LABEL)
            return
        if len(text) > LABEL_LETTERS:
            raise DatasetTooLarge(
                f"{self._name}: line {self._line} has a label that is too long",
                expected=LABEL_LETTERS,
                got=len(text),
            )
        self._codes.append(self._texts.setdefault(text, len(self._texts)))
        check_labels(self._name, len(self._texts))


def _taker(places: Sequence[int]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    getter = itemgetter(*places)
    return getter if len(places) > 1 else lambda record: (getter(record),)
