"""Asks before a model is founded, or a part sealed or published, on rows that look wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from engram.commands.support.reading import ReadProgress

if TYPE_CHECKING:
    from engram.commands.support.session import CommandSession
    from engram.participant.datasets import Dataset
    from engram.participant.selection import ReadSelection, Selection
    from engram.participant.tables.examining import DataWarning


def yes_option(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --yes."""
    text = "Go on although `engram data check` has warnings about the rows."
    return click.option("--yes", is_flag=True, help=text)(function)


def sure_selection(
    session: CommandSession,
    selection: Selection,
    *,
    yes: bool,
    founds: bool,
    classes: int | None = None,
) -> ReadSelection:
    """The rows that a selection chooses, once the user is sure about what is doubtful in them.

    `founds`: whether a model gets its classes from these rows; `classes`: how many the user says that it has.
    Raises `DataDoubtful` if the user is not sure, or cannot be asked, and what `Selection.read` raises.
    """
    from engram.participant.tables.examining import part_doubts
    from engram.participant.tables.repeats import repeated

    read, of_file = selection.read_once(None if session.as_json else ReadProgress())
    rows, whole = read.rows_of(0), read.of_all_shares(0)
    repeats = repeated(whole.features, whole.labels)  # so that the same rows are judged alike in every share
    of_rows = part_doubts(rows.features, rows.labels, founds=founds, classes=classes, repeats=repeats)
    make_sure(session, selection.source, (*of_file, *of_rows), yes=yes)
    return read


def make_sure(session: CommandSession, source: str, warnings: Sequence[DataWarning], *, yes: bool) -> None:
    """Says what is doubtful about rows, and asks whether to go on. Raises `DataDoubtful` if not."""
    from engram.participant.tables.errors import DataDoubtful
    from engram.participant.tables.examining import refuse_doubtful

    asks = sys.stdin.isatty() and not session.as_json
    if yes or asks:  # the refusal says the same
        for warning in warnings:
            session.note(f"warning: {warning.message} [{warning.code}]\n  {warning.remedy}")
    if not warnings or yes:
        return
    if asks:
        if click.confirm("Go on with these rows all the same?", err=True):
            return
        raise DataDoubtful("the rows are not taken, as you say", got=[each.code for each in warnings])
    refuse_doubtful(source, warnings, "to go on all the same, say --yes")


def selected_rows(session: CommandSession, selection: Selection, seed: int) -> Dataset:
    """The rows that a selection chooses. What is doubtful in how the file was read is said on standard
    error.
    """
    read, of_file = selection.read_once(None if session.as_json else ReadProgress())
    for warning in of_file:
        session.note(f"warning: {warning.message} [{warning.code}]\n  {warning.remedy}")
    return read.rows_of(seed)
