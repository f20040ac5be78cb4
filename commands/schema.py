"""`engram schema` prints the JSON Schema of what a command prints with --json, from docs/json.md."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from engram.commands.support.options import Command, json_flag
from engram.commands.support.output import print_json
from engram.commands.support.shapes import LINES, load_page

ERROR = "error"
"""The name under which the shape of errors is printed."""


def complete_commands(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The next word of the commands that begin with those that are there."""
    before = tuple(ctx.params.get("command_") or ())
    known = [tuple(name.split()) for name in load_page().commands]
    words = {name[len(before)] for name in known if name[: len(before)] == before and len(name) > len(before)}
    return [CompletionItem(word) for word in sorted(words) if word.startswith(incomplete)]


@click.command(
    "schema",
    cls=Command,
    example="engram schema\nengram schema account show\nengram schema error",
)
@click.argument("command_", metavar="[COMMAND]...", nargs=-1, shell_complete=complete_commands)
@json_flag
def command(command_: tuple[str, ...], as_json: bool) -> None:
    """Print the JSON Schema of what a command prints with --json.

    Without COMMAND, list the commands; those marked "lines" print one JSON document a line, and their schema
    is that of a line. COMMAND `error` is what every command prints when it fails. docs/json.md says which
    units and names are used. No node is asked.
    """
    page = load_page()
    if not command_:
        if as_json:
            print_json({name: page.schema(name) for name in page.commands})
            return
        for name, shape in page.commands.items():
            click.echo(f"{name} ({LINES})" if shape.startswith(f"{LINES} ") else name)
        return
    name = " ".join(command_)
    if name == ERROR:
        print_json(page.error())
        return
    if name not in page.commands:
        begun = [each for each in page.commands if each.startswith(f"{name} ")]
        hint = f"it has {', '.join(begun)}" if begun else "`engram schema` lists those that do"
        raise click.UsageError(f"no command {name!r} prints JSON; {hint}", click.get_current_context())
    print_json(page.schema(name))
