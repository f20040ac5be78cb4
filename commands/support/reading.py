"""The options that say how a data file is laid out, where it does not say so itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from engram.participant.tables.raw import ReadOptions

_LONG_BYTES: Final = 2**23
"""Of a shorter file nobody waits for the reading."""


def label_option(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --label."""
    return click.option(
        "--label",
        metavar="COLUMN",
        help="The column with the labels: first, last, its title, or its number counted from 1; of an "
        ".npz file, the name of an array. Default: what the file itself shows.",
    )(function)


def mapping_option(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --mapping."""
    return click.option(
        "--mapping",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The mapping of an earlier `engram data convert`: labels get the same classes, and values "
        "the same bytes, as in its file.",
    )(function)


def with_layout(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --label, --header, --delimiter, --drop and --test-rows, of which `layout_of` makes the options."""
    options = (
        label_option,
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether the first line of a text holds titles. Default: what the lines show.",
        ),
        click.option(
            "--delimiter",
            metavar="CHARACTER",
            help="What stands between two cells of a text, such as ';' or '\\t'. Default: what the lines "
            "show.",
        ),
        click.option("--drop", multiple=True, metavar="TITLE", help="Leave a column out; may be repeated."),
        click.option(
            "--test-rows", is_flag=True, help="Of a source with training and test rows, read the test rows."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def layout_of(options: dict[str, Any], *, as_json: bool) -> ReadOptions:
    """How the options say that a file is read; takes them out of `options`."""
    from engram.participant.tables.raw import ReadOptions

    delimiter: str | None = options.pop("delimiter")
    if delimiter == "\\t":
        delimiter = "\t"
    if delimiter is not None and (len(delimiter) != 1 or delimiter in "\r\n\"'"):
        raise click.UsageError("--delimiter is one character, but no quote", click.get_current_context())
    return ReadOptions(
        label=options.pop("label"),
        header=options.pop("header"),
        delimiter=delimiter,
        drop=options.pop("drop"),
        test_rows=options.pop("test_rows"),
        progress=None if as_json else ReadProgress(),
    )


class ReadProgress:
    """Says on a terminal how much of a long file is read."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, done: int, size: int) -> None:
        if size < _LONG_BYTES or not sys.stderr.isatty():
            return
        percent = 100 * done // size
        if percent != self._shown:
            self._shown = percent
            click.echo("\r\x1b[K" if percent == 100 else f"\rreading: {percent} %", err=True, nl=False)
