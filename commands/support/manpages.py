"""Manual pages of the commands, as man(1) reads them, made from the help that each command prints."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Final

import click

from engram.commands.support.options import Command

SECTION: Final = "1"
_MARKS: Final = {"\\": "\\e", "-": "\\-"}


def pages(root: click.Command, name: str, version: str) -> Iterator[tuple[str, str]]:
    """The file name and the text of a page for `root`, called `name`, and for every command below it."""
    return _pages(root, click.Context(root, info_name=name), version)


def _pages(command: click.Command, ctx: click.Context, version: str) -> Iterator[tuple[str, str]]:
    name = ctx.command_path.replace(" ", "-")
    yield f"{name}.{SECTION}", _page(command, ctx, name, version)
    if isinstance(command, click.Group):
        for each in command.list_commands(ctx):
            member = command.get_command(ctx, each)
            assert member is not None, "a group gives the commands that it lists"
            yield from _pages(member, click.Context(member, info_name=each, parent=ctx), version)


def _page(command: click.Command, ctx: click.Context, name: str, version: str) -> str:
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    lines = [f'.TH "{_roff(name.upper())}" "{SECTION}" "" "engram {_roff(version)}" "User Commands"']
    lines += [".SH NAME", f"{_roff(name)} \\- {_roff(command.get_short_help_str(500))}"]
    lines += [".SH SYNOPSIS", f".B {_roff(usage)}", ".SH DESCRIPTION"]
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        lines += [".PP", *_text(paragraph)]
    for title, options in _options(command, ctx):
        lines.append(title)
        for option, text in options:
            lines += [".TP", f".B {_roff(option)}", *_text(text)]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for each in command.list_commands(ctx):
            lines += [".TP", f".BR {_roff(name)}\\-{_roff(each)} ({SECTION})"]
    if example := str(getattr(command, "example", "")):
        lines += [".SH EXAMPLES", ".nf", *[_roff(line) for line in example.splitlines()], ".fi"]
    return "\n".join(lines) + "\n"


def _options(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Headings, each with its options and what they do."""
    if isinstance(command, Command) and command.sections:
        yield ".SH OPTIONS", []
        yield from ((f".SS {_roff(title)}", options) for title, options in command.option_sections(ctx))
        return
    if given := [record for param in command.get_params(ctx) if (record := param.get_help_record(ctx))]:
        yield ".SH OPTIONS", given


def _text(paragraph: str) -> list[str]:
    """A paragraph; one that begins with click's mark \\b keeps its lines."""
    if paragraph.startswith("\b"):
        return [".nf", *[_roff(line) for line in paragraph.splitlines()[1:]], ".fi"]
    return [_roff(" ".join(paragraph.split()))]


def _roff(text: str) -> str:
    """The text with nothing in it that man would take for a request."""
    plain = "".join(_MARKS.get(letter, letter) for letter in text).replace('"', "\\(dq")
    return f"\\&{plain}" if plain[:1] in (".", "'") else plain
