"""Finds out how a table of text is laid out: delimiter, quotes, titles, and which column holds the labels."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from engram.participant.errors import EmptyDataset, ForeignDataset
from engram.participant.tables.cells import is_amount, is_name, is_number, is_word
from engram.participant.tables.errors import (
    ColumnNotFound,
    DatasetTooLarge,
    LabelsMissing,
    RowsRagged,
    ValueNotNumber,
)
from engram.participant.tables.guessing import (
    LABEL_NAMES,
    check_features,
    check_named,
    find_column,
    has_no_labels,
    hinted_column,
    named_labels,
)
from engram.participant.tables.limits import INPUTS, LABEL_LETTERS
from engram.participant.tables.raw import ReadOptions

DELIMITERS: Final = (",", ";", "\t", "|", " ", ":", "^", "~", "/", "#", "&")
"""What is tried if no delimiter is named, in this order."""
_USUAL: Final = (",", ";", "\t", "|")
"""Delimiters that come before others which divide a table as well: these may stand within dates and times."""
_SAMPLE_ROWS: Final = 100
_NUMBERED: Final = 8
"""Cells 0, 1, 2, … of a first row are titles if they are as many: fewer may be a row."""
AMONG_NUMBERS: Final = -1
NOWHERE: Final = -2
SHOWN: Final = 20
"""How many columns an error names."""
PLAIN_NUMBERS: Final = (
    "write the number alone, without a unit, or leave the cell empty if the value is missing"
)
_COMMAS: Final = re.compile(r"\s*[+-]?[0-9]*(?:,[0-9]+)+\s*")


@dataclass(frozen=True)
class Form:
    """How a table of text is laid out."""

    delimiter: str
    quote: str
    width: int
    """Cells of a row."""
    header: bool
    titles: tuple[str, ...]
    """The names of all columns; () without a header."""
    label: int
    """The place of the label column; `AMONG_NUMBERS` if the numbers must show it; `NOWHERE` without one."""
    how: str
    """As in `LabelColumn`."""
    numeric: tuple[int, ...]
    """The places of the columns that are read as numbers."""
    comments: int = 0
    """How many lines at the beginning are comments; the last of them may hold the titles, as numpy writes
    them.
    """
    title_row: bool = False
    """Whether the first row behind the comments holds the titles."""
    decimal: str = "."
    """What stands before the fraction of a number."""
    counting: bool = False
    """Whether the first row is read as one of numbers, though it counts 0, 1, 2, … as titles may."""
    known: bool = False
    """Whether a mapping has named the features, so that none of them can be left out or hold the labels."""
    blank: int | None = None
    """The place of a column without title or cells, as a delimiter at the end of each line makes it."""

    def cells(self, row: Sequence[str]) -> Sequence[str]:
        """Cells of numbers with a point before the fraction."""
        return with_points(row) if self.decimal == "," else row

    @property
    def dialect(self) -> dict[str, Any]:
        """What the csv module is told."""
        return dialect(self.delimiter, self.quote)


def with_points(row: Sequence[str]) -> list[str]:
    """Cells whose fractions begin with a comma, with a point instead; one with a point is no number then."""
    return [cell.replace(".", "'").replace(",", ".") for cell in row]


def dialect(delimiter: str, quote: str) -> dict[str, Any]:
    """What the csv module is told for a delimiter and a quote."""
    return {"delimiter": delimiter, "quotechar": quote, "skipinitialspace": delimiter != "\t", "strict": True}


def form_of(name: str, sample: str, options: ReadOptions) -> Form:
    """The layout of a text, by its beginning.

    Raises `EmptyDataset`, `RowsRagged`, `ValueNotNumber` if several columns hold words, `LabelsMissing`,
    `ColumnNotFound`, `DatasetTooLarge`.
    """
    comments = _comments(sample)
    sample = sample[sum(map(len, comments)) :]
    if not sample.strip():
        raise EmptyDataset(f"{name} holds no rows")
    quote = _quote(sample, options)
    delimiter = options.delimiter or _delimiter(sample, quote)
    try:
        rows = _records(sample, delimiter, quote)
    except csv.Error as error:
        raise RowsRagged(f"{name} is no table of text: {error}") from error
    width = len(rows[0])
    if width > INPUTS + 1:
        raise DatasetTooLarge(f"{name} has too many columns", expected=INPUTS + 1, got=width)
    if width < 2 and is_word(rows[0][0]):
        raise ForeignDataset(
            f"{name} is no table: if another character than a comma divides the cells, name it with "
            "--delimiter",
            got=rows[0][0][:40],
        )
    if width < 2:
        raise LabelsMissing(
            f"{name} has one column only: if another character than a comma divides the cells, name it with "
            "--delimiter",
            got=rows[0][0][:40],
        )
    alike = [row for row in rows if len(row) == width]
    if options.decimal == ",":
        alike = [rows[0], *map(with_points, alike[1:])] if options.header else list(map(with_points, alike))
    named = _records(comments[-1].lstrip("# "), delimiter, quote)[:1] if comments else []
    above = bool(named) and len(named[0]) == width and options.header is not False
    title_row = not above and (_has_header(alike) if options.header is None else options.header)
    header = above or title_row
    titles = tuple(title.strip() for title in (named[0] if above else rows[0])) if header else ()
    if any(len(title) > LABEL_LETTERS for title in titles):
        raise DatasetTooLarge(f"{name} has a column whose title is too long", expected=LABEL_LETTERS)
    check_features(name, titles, options)
    body = alike[1:] if title_row else alike
    blank = _blank(titles, body)
    left_out = _dropped(name, titles, options.drop) | _unwanted(titles, options) | {blank}
    kept = [place for place in range(width) if place not in left_out]
    label, how = _label(name, titles, kept, body, options)
    numeric = tuple(place for place in kept if place != label)
    if not numeric:
        raise LabelsMissing(f"{name} has no column of features beside its labels")
    _check_numbers(name, titles, numeric, body, known=bool(titles and options.only))
    return Form(
        delimiter,
        quote,
        width,
        header,
        titles,
        label,
        how,
        numeric,
        comments=len(comments),
        title_row=title_row,
        decimal=options.decimal or ".",
        counting=not header and options.header is None and width > 2 and _counts([*map(str.strip, rows[0])]),
        known=bool(titles and options.only),
        blank=blank,
    )


def _comments(sample: str) -> list[str]:
    """The lines at the beginning that start with a hash, unless all do."""
    lines = list(io.StringIO(sample))
    found = list(takewhile(lambda line: line.startswith("#"), lines))
    return found if len(found) < len(lines) else []


def _quote(sample: str, options: ReadOptions) -> str:
    """The character around cells: that of CSV, or an apostrophe where it stands around whole cells."""
    if "'" not in sample or '"' in sample:
        return '"'
    try:
        rows = _records(sample, options.delimiter or _delimiter(sample, "'"), "'")
    except csv.Error:
        return '"'
    return "'" if len({len(row) for row in rows}) == 1 else '"'


def _records(sample: str, delimiter: str, quote: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for record in csv.reader(io.StringIO(sample, newline=None), **dialect(delimiter, quote)):
            if record and not (len(record) == 1 and not record[0].strip()):
                found.append(record)
            if len(found) == _SAMPLE_ROWS:
                break
    except csv.Error:
        if len(found) < 2:  # else the sample may end within quotes; the whole text is judged when it is read
            raise
    return found


def _delimiter(sample: str, quote: str) -> str:
    """The character that divides all rows of a sample into equally many cells, most of which are amounts."""
    best, most = ",", (0.0, False, 0)
    for delimiter in DELIMITERS:
        if delimiter not in sample:
            continue
        try:
            rows = _records(sample, delimiter, quote)
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        if width < 2 or any(len(row) != width for row in rows):
            continue
        cells = [cell for row in rows for cell in row]
        score = sum(map(is_amount, cells)) / len(cells), delimiter in _USUAL, width
        if score > most:
            best, most = delimiter, score
    return best


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds titles: words above numbers, or known names of labels."""
    first, *others = rows
    if not others:
        return all(is_word(cell) for cell in first)
    for place, title in enumerate(first):
        below = [row[place] for row in others]
        if is_word(title) and any(map(is_number, below)) and not any(map(is_word, below)):
            return True
    for place, title in enumerate(first):
        if is_word(title) and title.strip().lower() in LABEL_NAMES:
            again = any(row[place].strip() == title.strip() for row in others)  # it may be a label itself
            return not again or sum(map(is_word, first)) > 1
    counted = [cell.strip() for cell in first if not is_word(cell)]
    if counted and not counted[0]:  # above the numbers of the rows, as pandas writes them
        below = [row[0].strip() for row in others]
        return len(first) > 2 and _counts(counted[1:]) and (len(counted) == len(first) or _counts(below))
    return len(counted) >= max(_NUMBERED, len(first) - 1) and _counts(counted)


def _counts(cells: Sequence[str]) -> bool:
    """Whether these are 0, 1, 2, … or 1, 2, 3, …"""
    start = 1 if cells[:1] == ["1"] else 0
    return cells == [str(number) for number in range(start, start + len(cells))]


def _dropped(name: str, titles: Sequence[str], drop: Sequence[str]) -> set[int]:
    if drop and not titles:
        raise ColumnNotFound(f"{name} has no titles, so no column can be left out by its name", got=drop[0])
    return {find_column(titles, column, name) for column in drop}


def _unwanted(titles: Sequence[str], options: ReadOptions) -> set[int]:
    """The places of columns that a mapping does not know, if the titles tell its inputs and labels."""
    if titles and has_no_labels(titles, len(titles), options):
        return {place for place, title in enumerate(titles) if options.only and title not in options.only}
    label = options.label or options.hint
    if not options.only or not set(options.only) <= set(titles) or label not in titles:
        return set()
    return {place for place, title in enumerate(titles) if title not in options.only and title != label}


def _holds_words(cells: Sequence[str]) -> bool:
    """Whether most of these cells hold words: one among numbers is a mistake."""
    words = sum(map(is_word, cells))
    return words > sum(map(is_number, cells))


def _holds_names(cells: Sequence[str]) -> bool:
    """Whether most of the words in these cells are names: no numbers, dates or amounts that are written in
    another way.
    """
    return sum(map(is_name, cells)) * 2 > sum(map(is_word, cells))


def _label(
    name: str,
    titles: Sequence[str],
    kept: Sequence[int],
    body: Sequence[Sequence[str]],
    options: ReadOptions,
) -> tuple[int, str]:
    """The place of the label column and how it was found. Raises `ColumnNotFound`."""
    if has_no_labels(titles, len(kept), options):
        return NOWHERE, "asked"
    if options.label is not None:
        names = [titles[place] for place in kept] if titles else [""] * len(kept)
        return kept[find_column(names, options.label, name)], "asked"
    hinted = hinted_column([titles[place] if titles else "" for place in kept], options.hint)
    if hinted is not None:
        return kept[hinted], "asked"
    words = [place for place in kept if _holds_words([row[place] for row in body])]
    names = [titles[place] if titles else "" for place in kept]
    named = named_labels(names)
    if named is not None:
        return kept[named], "named"
    check_named(name, names)
    if len(words) == 1 and _holds_names([row[words[0]] for row in body]):
        return words[0], "words"
    return AMONG_NUMBERS, "values"


def _blank(titles: Sequence[str], body: Sequence[Sequence[str]]) -> int | None:
    """The place of the last column, if it has neither title nor cells."""
    last = len(body[0]) - 1 if body else 0
    if last < 2 or (titles and titles[last]) or any(row[last].strip() for row in body):
        return None
    return last


def _check_numbers(
    name: str,
    titles: Sequence[str],
    numeric: Sequence[int],
    body: Sequence[Sequence[str]],
    *,
    known: bool,
) -> None:
    """Names all columns of words at once, beside the label column. Raises `ValueNotNumber`."""
    words = [place for place in numeric if _holds_words([row[place] for row in body])]
    if not words:
        return
    shown = ", ".join(repr(titles[place]) if titles else f"number {place + 1}" for place in words[:SHOWN])
    at = next(number for number, row in enumerate(body) if is_word(row[words[0]]))
    cell = body[at][words[0]]
    commas = (
        "if a comma stands before fractions, say --decimal ',', and if it divides thousands, take it out; "
        if _COMMAS.fullmatch(cell)
        else ""
    )
    if known:
        raise ValueNotNumber(
            f"{name}: row {at + 1}, column {titles[words[0]]!r} holds {cell.strip()[:40]!r}, which is no "
            f"number, and the mapping reads numbers there; {commas}{PLAIN_NUMBERS}",
            got=cell.strip()[:40],
        )
    raise ValueNotNumber(
        f"{name}: columns that hold no numbers: {shown}; {commas}name the label column with --label, leave "
        "the others out with --drop",
        got=cell[:40],
    )
