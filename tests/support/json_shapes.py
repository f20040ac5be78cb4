"""Holds what commands print with --json against the schemas of docs/json.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import click
from jsonschema import Draft202012Validator

from engram.cli import main
from engram.commands.support.shapes import LINES, Page, load_page

FLAG: Final = "--json"


@cache
def page() -> Page:
    """The page as it ships."""
    return load_page()


@cache
def validator(command: str) -> Draft202012Validator:
    """What judges outputs of a command, or errors if it is named "error"."""
    return Draft202012Validator(page().error() if command == "error" else page().schema(command))


def command_of(arguments: Sequence[str]) -> str:
    """The command that a command line names, as the page calls it."""
    context = click.Context(main, info_name="engram")
    command: click.Command = main
    path: list[str] = []
    for word in arguments:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(context, word)
        if found is not None:
            command = found
            path.append(word)
    return " ".join(path)


def check_output(arguments: Sequence[str], output: str) -> None:
    """Asserts that an output of this command line has the shape that the page gives it."""
    if FLAG not in arguments or not output.strip():
        return
    name = command_of(arguments)
    for document in _documents(output):
        is_error = isinstance(document, dict) and set(document) == {"error"}
        assert is_error or name in page().commands, f"docs/json.md has no shape of `engram {name}`"
        judge = validator("error" if is_error and name != "status" else name)
        wrong = [f"{error.json_path}: {error.message[:200]}" for error in judge.iter_errors(document)]
        assert wrong == [], f"engram {name}: docs/json.md has another shape"


def _documents(output: str) -> list[Any]:
    """One document over several lines, or one a line."""
    try:
        return [json.loads(output)]
    except ValueError:
        return [json.loads(line) for line in output.splitlines() if line.strip()]


def prints_lines(command: str) -> bool:
    """Whether a command prints one document a line, by the page."""
    return page().commands[command].startswith(f"{LINES} ")
