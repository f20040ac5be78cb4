"""Options that give rows of features, typed or taken from a data set, and the printing of predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from engram.commands.support.completion import complete_data
from engram.commands.support.errors import RowsInvalid
from engram.commands.support.options import refuse_given
from engram.commands.support.output import Column, print_table
from engram.commands.support.reading import label_option, mapping_option
from engram.commands.support.session import CommandSession


@dataclass(frozen=True)
class ChosenRows:
    """Rows that a model is to predict."""

    features: list[list[int]]
    """For each row, whole numbers from 0 to 255."""
    labels: list[int | None]
    """The true class of each row, if the rows come from a data set that has them; else empty."""
    classes: tuple[str, ...] = ()
    """The label of each class, if a mapping names them."""
    shape: tuple[int, ...] = ()
    """The shape of a row as its file shows it, such as height and width; () if rows were typed."""
    first: int = 0
    """The number of the first row in its data set."""
    source: str = ""
    """The data set; empty if rows were typed."""
    there: int = 0
    """How many rows the data set has."""
    filled: int = 0
    """How many missing values of these rows a mapping has filled."""
    beyond: int = 0
    """How many of their values lie beyond the mapping's range, and became the nearest that it knows."""

    mapping: Path | None = None
    """The mapping that was used, if one was."""

    @property
    def extent(self) -> str | None:
        """Which rows of the data set these are, and how to take all; None if they are all, or typed."""
        count = len(self.features)
        if count >= self.there:
            return None
        last = self.first + count - 1
        which = f"row {last} is" if count == 1 else f"rows {self.first} to {last} are"
        return (
            f"{which} taken of the {self.there:,} rows of {self.source}, which count from 0; --first and "
            f"--rows choose others, --rows {self.there} takes all"
        )

    @property
    def changed(self) -> str | None:
        """What a mapping did to these rows that one should know; None if nothing."""
        told = []
        if self.filled:
            were = "value of these rows was" if self.filled == 1 else "values of these rows were"
            told.append(f"{self.filled:,} missing {were} filled by the mapping")
        if self.beyond:
            lie, were = ("value lies", "was") if self.beyond == 1 else ("values lie", "were")
            told.append(
                f"{self.beyond:,} {lie} beyond what the mapping was made of and {were} moved to its end, so "
                "trust these answers less"
            )
        return "; ".join(told) or None

    def name(self, label: int) -> str:
        """The label of a class as people know it: what a mapping calls it, else its number."""
        return self.classes[label] if label < len(self.classes) else str(label)

    def explain(self, predictions: Sequence[dict[str, Any]]) -> None:
        """Adds to each prediction the row's true class, and the label of the predicted one, where known."""
        for answer, label in zip(predictions, self.labels, strict=False):
            answer["label"] = label
        for answer in predictions:
            if answer["class"] < len(self.classes):
                answer["name"] = self.classes[answer["class"]]


def with_rows(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --row, --data, --first and --rows; the function gets the `ChosenRows` as `chosen`."""

    @wraps(function)
    def run(
        *,
        row: tuple[str, ...],
        data: str | None,
        label: str | None,
        mapping: Path | None,
        first: int,
        rows: int,
        **params: Any,
    ) -> None:
        if data is None:
            refuse_given(("label",), "goes with --data only")
        source = None if data is None else RowsOfFile(data, label, mapping)
        if row and source is None and mapping is not None:
            function(chosen=typed_rows(row, mapping), **params)
        else:
            function(chosen=chosen_rows(row, source, first, rows), **params)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


@dataclass(frozen=True)
class RowsOfFile:
    """A data set, and how it is read."""

    source: str
    label: str | None = None
    mapping: Path | None = None


def chosen_rows(typed: tuple[str, ...], source: RowsOfFile | None, first: int, count: int) -> ChosenRows:
    """The rows that the options name. Raises `RowsInvalid`, and what `datasets.load` raises."""
    if bool(typed) == (source is not None):
        raise click.UsageError("give either --row or --data", click.get_current_context())
    if source is None:
        return ChosenRows([parse_row(text) for text in typed], [])
    return rows_of(source, first, count)


def typed_rows(typed: tuple[str, ...], mapping: Path) -> ChosenRows:
    """Typed rows of the values that a table holds, as a mapping makes them bytes.

    Raises what `load_mapping` and `typed_values` raise.
    """
    from engram.participant.tables.mapping import load_mapping
    from engram.participant.tables.typed import typed_values

    known = load_mapping(mapping)
    made = [typed_values(text, known) for text in typed]
    features: list[list[int]] = [each.features[0].tolist() for each in made]
    filled, beyond = (int(sum(getattr(each, name)[0] for each in made)) for name in ("filled", "beyond"))
    return ChosenRows(features, [], known.classes, filled=filled, beyond=beyond, mapping=mapping)


def parse_row(text: str) -> list[int]:
    """Features from whole numbers separated by commas or spaces. Raises `RowsInvalid`."""
    cells = text.replace(",", " ").split()
    if not cells or not all(cell.isascii() and cell.isdecimal() and int(cell) <= 255 for cell in cells):
        raise RowsInvalid(got=text[:80])
    return [int(cell) for cell in cells]


def rows_of(given: RowsOfFile, first: int, count: int) -> ChosenRows:
    """`count` rows of a data set, from row `first` on, which counts from 0.

    Raises `RowsInvalid` if the data set has fewer rows, and what `datasets.load` raises.
    """
    from engram.participant.datasets import load_questions
    from engram.participant.tables.raw import ReadOptions

    source = given.source
    data = load_questions(source, ReadOptions(label=given.label), given.mapping)
    if given.mapping is None and data.mapping is not None:
        say_mapping(data.mapping)
    there = len(data.features)
    if first + count > there:
        left = there - first
        remedy = f"--rows {left} takes all from --first {first} on" if left > 0 else "take a smaller --first"
        raise RowsInvalid(
            f"{source} has {there} rows, which count from 0, so none follows row {there - 1}; {remedy}",
            expected=f"at most {there}",
            got=first + count,
        )
    chosen = slice(first, first + count)
    features: list[list[int]] = data.features[chosen].tolist()
    filled, beyond = int(data.filled[chosen].sum()), int(data.beyond[chosen].sum())
    labels = list(data.labels[chosen])
    shown = (data.shape, first, source, there, filled, beyond)
    return ChosenRows(features, labels, data.classes, *shown, mapping=data.mapping)


def say_mapping(mapping: Path) -> None:
    """Says that a mapping was used that nobody has named."""
    click.echo(f"engram: read by {mapping}, which lies beside the data", err=True)


def note_unnamed(session: CommandSession, mapping: Path | None, classes: int) -> None:
    """Says on standard error if a mapping does not name all classes of the model, as after a growth."""
    from engram.participant.tables.applying import unnamed_classes
    from engram.participant.tables.mapping import load_mapping

    if mapping is not None and (said := unnamed_classes(load_mapping(mapping), classes, mapping.name)):
        session.note(f"warning: {said}")


def show_classes(predictions: Sequence[dict[str, Any]]) -> None:
    """Prints a table of predicted classes and their probabilities, and of labels where they are known."""
    columns = [
        Column("class", lambda row: row["class"], right=True),
        Column("probability", lambda row: f"{row['probability']:.4f}", right=True),
    ]
    if any("name" in row for row in predictions):
        columns.insert(1, Column("name", lambda row: row.get("name")))
    if any("label" in row for row in predictions):
        columns.append(Column("label", lambda row: row["label"], right=True))
    print_table(columns, predictions, "no rows")


_OPTIONS = (
    click.option(
        "--row",
        multiple=True,
        metavar="VALUES",
        help="One row: a number from 0 to 255 for each input, separated by commas; with --mapping the values "
        "as a table holds them, in the mapping's order of columns. May be repeated.",
    ),
    click.option(
        "--data",
        metavar="DATA",
        shell_complete=complete_data,
        help="A data set, with labels or without: digits, or a file or folder that `engram data check` can "
        "read.",
    ),
    label_option,
    mapping_option,
    click.option(
        "--first",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="The first row of --data to take, counted from 0.",
    ),
    click.option(
        "--rows",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="How many rows of --data to take, from --first on.",
    ),
)
