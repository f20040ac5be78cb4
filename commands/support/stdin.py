"""Arguments that may be too long for a command line: a single `-` means the text of standard input."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from engram.commands.support.streams import read_input

STDIN: Final = "-"
_SHOWN: Final = 80
"""Characters of a wrong text that a message repeats."""


def hex_argument(word: str) -> bytes:
    """The bytes that an argument, or standard input, gives in hexadecimal. Raises `click.UsageError`."""
    text = _text(word).strip()
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise _usage(f"{text[:_SHOWN]!r} is not hexadecimal") from None


def json_argument(word: str) -> Any:
    """The JSON value of an argument or of standard input. Raises `click.UsageError`."""
    text = _text(word)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _usage(f"{text[:_SHOWN]!r} is not JSON: {error}") from error


def _text(word: str) -> str:
    try:
        return read_input() if word == STDIN else word
    except ValueError as error:
        raise _usage(str(error)) from error


def _usage(message: str) -> click.UsageError:
    return click.UsageError(message, click.get_current_context())
