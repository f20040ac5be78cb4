"""What commands print: an object, a table, or JSON. No requests, no decisions.

Results go to standard output, notes and errors to standard error, so that a pipe carries results only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

SHORT_DIGITS: Final = 12
"""Hexadecimal digits of an id in a table; commands take any unambiguous beginning of an id."""
ID_DIGITS: Final = 64
LONG_VALUE: Final = 24
"""Characters from which on the members of a list get a line each."""
PIPE_WIDTH: Final = 400
"""Columns of a table that no terminal bounds."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    value: Callable[[Any], object]
    """What a row shows here."""
    right: bool = False
    """Aligned as numbers are, and never cut."""
    whole: bool = False
    """Broken over lines in a narrow terminal, where other text is cut: people copy it."""


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2))


def print_fields(pairs: Iterable[tuple[str, object]], indent: str = "") -> None:
    """Names and values, a line each; a mapping or a list of mappings is indented below its name."""
    entries = list(pairs)
    width = max((len(name) for name, _ in entries), default=0)
    for name, value in entries:
        if isinstance(value, Mapping):
            click.echo(f"{indent}{name}")
            print_fields(value.items(), indent + "  ")
        elif objects := _objects(value):
            click.echo(f"{indent}{name}")
            for number, item in enumerate(objects):
                click.echo(f"{indent}  [{number}]")
                print_fields(item.items(), indent + "    ")
        elif isinstance(value, list | tuple) and any(len(show(item)) > LONG_VALUE for item in value):
            click.echo(f"{indent}{name}")
            for item in value:
                click.echo(f"{indent}  {show(item)}")
        else:
            click.echo(f"{indent}{name.ljust(width)}  {show(value)}".rstrip())


def print_table(columns: Sequence[Column], rows: Sequence[object], empty: str) -> None:
    """A table with a head, or the line `empty` where there is nothing to show."""
    if not rows:
        click.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    texts = [[show(column.value(row)) for column in columns] for row in rows]
    for column, cells in zip(columns, zip(*texts, strict=True), strict=True):
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold" if column.whole else "ellipsis",
            min_width=max(map(len, (*column.title.split(), *(cells if column.right else ())))),
        )
    for line in texts:
        table.add_row(*map(Text, line))
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, highlight=False, width=None if terminal else PIPE_WIDTH)
    console.print(table)


def show(value: object) -> str:
    """The text of one value; an id of zeros names nothing."""
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


def short(identity: str) -> str:
    """The beginning of a hexadecimal id, enough to name it again; nothing for an id of zeros."""
    return identity[:SHORT_DIGITS] if identity.strip("0") else "-"


def _objects(value: object) -> list[Mapping[str, object]]:
    """The members of a list that holds objects only; else nothing."""
    items = value if isinstance(value, list | tuple) else ()
    objects = [item for item in items if isinstance(item, Mapping)]
    return objects if len(objects) == len(items) else []
