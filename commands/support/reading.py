"""The options that say how a data file is laid out, where it does not say so itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from engram.participant.tables.raw import ReadOptions

_LONG_BYTES: Final = 2**23
"""Of a shorter file nobody waits for the reading."""


class PictureSize(click.ParamType[tuple[int, int]]):
    """A click parameter such as 28x28; its value is the width and the height."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", str(value))
        if match is None:
            self.fail(f"{value!r} is not a width and a height such as 28x28", param, ctx)
        return int(match[1]), int(match[2])


PICTURE_SIZE: Final = PictureSize()


def label_option(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --label."""
    return click.option(
        "--label",
        metavar="COLUMN",
        help="The column with the labels: first, last, its title, its number counted from 1, or none; of an "
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
    """Adds --label, --header, --delimiter, --decimal, --size, --grey, --channels, --drop and --test-rows,
    of which `layout_of` makes the options.
    """
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
        click.option(
            "--decimal",
            type=click.Choice((".", ",")),
            help="What stands before the fraction of a number in a text. Default: a point.",
        ),
        click.option(
            "--size",
            type=PICTURE_SIZE,
            metavar="WxH",
            help="Make all pictures so many pixels wide and high, such as 28x28. Default: as they are.",
        ),
        click.option("--grey", is_flag=True, help="Read pictures without their colours."),
        click.option(
            "--channels",
            type=click.Choice(("first", "last")),
            help="Where arrays of pictures have their channels. first: rows, channels, height, width; last: "
            "rows, height, width, channels. Default: the axis that is shorter than both others.",
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
        decimal=options.pop("decimal"),
        drop=options.pop("drop"),
        size=options.pop("size"),
        grey=options.pop("grey"),
        channels=options.pop("channels"),
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
