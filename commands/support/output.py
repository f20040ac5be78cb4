"""Prints the results of commands: an object as names and values, a list as a table, or either as JSON.

Results go to standard output, notes and errors to standard error, so that a pipe carries results only. What
is printed is decided by the commands.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from engram.participant.short_ids import short as short

if TYPE_CHECKING:
    from rich.console import Console

ID_DIGITS: Final = 64
LONG_VALUE: Final = 24
"""If a member of a list has more characters than this, each member is printed on a line of its own."""
PIPE_WIDTH: Final = 400
"""Width of a table that is not printed to a terminal, in characters."""
_BETWEEN: Final = 2
"""Blanks between two columns."""
_PROSE: Final = 32
"""Characters that a column needs which may be broken over several lines."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    value: Callable[[Any], object]
    """Takes a row and gives what this column shows of it."""
    right: bool = False
    """Aligned to the right and never cut, as numbers are."""
    whole: bool = False
    """In a narrow terminal, broken over several lines instead of cut, so that people can copy it whole."""
    spare: int = 0
    """Left out if the table is too wide for the terminal, the highest number first; 0 is never left out."""


def print_json(value: object) -> None:
    """Prints one JSON document, indented."""
    click.echo(json.dumps(value, indent=2))


def print_fields(pairs: Iterable[tuple[str, object]], indent: str = "") -> None:
    """Prints names and values, each pair on a line; mappings and lists of mappings are indented below.

    In a terminal, a value that does not fit beside its name is broken between words, and goes on below its
    beginning.
    """
    entries = list(pairs)
    width = max((len(name) for name, value in entries if not _is_below(value)), default=0)
    for name, value in entries:
        if isinstance(value, Mapping):
            click.echo(f"{indent}{name}")
            print_fields(value.items(), indent + "  ")
        elif objects := _objects(value):
            click.echo(f"{indent}{name}")
            for number, item in enumerate(objects):
                click.echo(f"{indent}  [{number}]")
                print_fields(item.items(), indent + "    ")
        elif _is_below(value):
            assert isinstance(value, list | tuple), "of the rest, only lists stand below their names"
            click.echo(f"{indent}{name}")
            for item in value:
                click.echo(_within(f"{indent}  ", show(item)))
        else:
            click.echo(_within(f"{indent}{name.ljust(width)}  ", show(value)).rstrip())


def _is_below(value: object) -> bool:
    """Whether a value is printed in lines below its name, not beside it."""
    if isinstance(value, Mapping) or _objects(value):
        return True
    return isinstance(value, list | tuple) and any(len(show(item)) > LONG_VALUE for item in value)


def _within(before: str, text: str) -> str:
    """Text behind `before`, in lines that fit a terminal; unbroken where none is. No word is broken."""
    if not sys.stdout.isatty():
        return before + text
    room = shutil.get_terminal_size().columns
    lines = [
        textwrap.fill(
            line,
            room,
            initial_indent=before if not number else " " * len(before),
            subsequent_indent=" " * len(before),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, line in enumerate(text.splitlines() or [""])
    ]
    return "\n".join(lines) if text else before


def print_table(columns: Sequence[Column], rows: Sequence[object], empty: str) -> None:
    """Prints a table with column titles, or the line `empty` if there are no rows."""
    if not rows:
        click.echo(empty)
        return
    from rich.table import Table
    from rich.text import Text

    console = console_for(sys.stdout)
    found = [(column, [show(column.value(row)) for row in rows]) for column in columns]
    kept = _that_fit(found, console.width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, cells in kept:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold" if column.whole else "ellipsis",
            min_width=max(map(len, (*column.title.split(), *(cells if column.right else ())))),
        )
    for line in zip(*(cells for _, cells in kept), strict=True):
        table.add_row(*map(Text, line))
    console.print(table)
    if left_out := [column.title for column, _ in found if (column not in [each for each, _ in kept])]:
        click.echo(f"no room for: {', '.join(left_out)}; a wider terminal or --json shows them", err=True)


def _that_fit(found: Sequence[tuple[Column, list[str]]], width: int) -> list[tuple[Column, list[str]]]:
    """Columns with their cells, without those that can be spared if the table is too wide with them."""
    kept = list(found)
    while sum(_least(*each) + _BETWEEN for each in kept) - _BETWEEN > width:
        spare = max(kept, key=lambda each: each[0].spare)
        if not spare[0].spare:
            break
        kept.remove(spare)
    return kept


def _least(column: Column, cells: Sequence[str]) -> int:
    """Characters that a column needs so that nothing in it is cut and no word broken."""
    words = (max(map(len, cell.split()), default=0) for cell in cells)
    needed = max(max(words), min(max(map(len, cells)), _PROSE)) if column.whole else max(map(len, cells))
    return max(needed, *map(len, column.title.split()))


def console_for(stream: TextIO) -> Console:
    """What draws tables and screens on a stream."""
    from rich.console import Console

    return Console(file=stream, highlight=False, width=None if stream.isatty() else PIPE_WIDTH)


def show(value: object) -> str:
    """The text of one value; "-" for nothing, and for an id of zeros, which stands for no id."""
    match value:
        case None | "" | () | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case str() if len(value) == ID_DIGITS and not value.strip("0"):
            return "-"
        case list() | tuple():
            return ", ".join(show(item) for item in value)
        case _:
            return str(value)


def _objects(value: object) -> list[Mapping[str, object]]:
    """The members of a list of mappings; an empty list for any other value."""
    items = value if isinstance(value, list | tuple) else ()
    objects = [item for item in items if isinstance(item, Mapping)]
    return objects if len(objects) == len(items) else []
