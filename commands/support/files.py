"""The options of commands that write a file: -o names it, and only --force replaces a file that exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from engram.commands.support.errors import FileExistsAlready


def output_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds -o/--output FILE and --force."""
    output = click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        default=default,
        show_default=True,
        help="The file to write.",
    )
    force = click.option("--force", is_flag=True, help="Replace the file if it exists.")
    return lambda function: output(force(function))


def check_free(*paths: Path, force: bool) -> None:
    """Raises `FileExistsAlready` if a path exists and `force` is not set. Call it before any work is done."""
    for path in paths:
        if path.exists() and not force:
            raise FileExistsAlready(f"{path} exists: name another file, or use --force", got=str(path))
