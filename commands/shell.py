"""`engram shell`: installs tab completion and manual pages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from engram.commands.support.options import Group, json_flag
from engram.commands.support.session import CommandSession
from engram.primitives.version import VERSION

PROGRAM: Final = "engram"
COMPLETE_VARIABLE: Final = "_ENGRAM_COMPLETE"
COMPLETIONS: Final = {
    "bash": "bash-completion/completions/engram",
    "zsh": "zsh/site-functions/_engram",
    "fish": "fish/vendor_completions.d/engram.fish",
}
"""Where each shell looks for completions below a folder for shared data."""


@click.group("shell", cls=Group, example="engram shell install")
def command() -> None:
    """Install tab completion and manual pages."""


@command.command("install", example="engram shell install\nengram shell install --share /usr/local/share")
@click.option(
    "--share",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder for shared data to install into. Default: $XDG_DATA_HOME, else ~/.local/share.",
)
@json_flag
def install(share: Path | None, as_json: bool) -> None:
    """Install tab completion for bash, zsh and fish, and a manual page for every command.

    Files of an earlier version are replaced. A new shell completes `engram`, and `man engram` shows the
    pages. zsh needs DIR/zsh/site-functions in its `fpath`.
    """
    from engram.commands.support.manpages import SECTION, pages
    from engram.node.files import write_public

    folder = share if share is not None else _shared_data()
    root = click.get_current_context().find_root().command
    files = {folder / place: _completion(root, shell) for shell, place in COMPLETIONS.items()}
    manual = folder / "man" / f"man{SECTION}"
    files |= {manual / name: text for name, text in pages(root, PROGRAM, VERSION)}
    for path, text in files.items():
        write_public(path, text.encode())
    result = {"share": str(folder), "completions": list(COMPLETIONS), "pages": len(files) - len(COMPLETIONS)}
    CommandSession(as_json=as_json).show(result, result.items())


def _shared_data() -> Path:
    given = os.environ.get("XDG_DATA_HOME", "")
    return Path(given) if given else Path.home() / ".local" / "share"


def _completion(root: click.Command, shell: str) -> str:
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells of this list"
    # Not `kind.source`: for bash it starts the shell that happens to run here, to look at its version.
    return ShellComplete.source(kind(root, {}, PROGRAM, COMPLETE_VARIABLE))
