"""What commands are made of: their classes, and the options that many of them have.

A command that is decorated with `with_session` takes --rpc, --data-dir and --json and gets a
`CommandSession` as its first argument; `with_key` adds --key and --passphrase-file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from engram.commands.support.completion import complete_keys
from engram.commands.support.session import CommandSession

Function = TypeVar("Function", bound=Callable[..., None])

AS_JSON: Final = "as_json"
"""Name of the --json flag's parameter, and of what it leaves in the root context's `obj`."""


class Command(click.Command):
    """A command whose help ends with an example."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        self.example: Final = example
        super().__init__(*args, **kwargs)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example, a command a line."""
        title = "Examples" if "\n" in self.example else "Example"
        with formatter.section(title):
            for line in self.example.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """A group of `Command`s."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The first sentence of every command, whole."""
        commands = [self.commands[name] for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(command.name or "", command.get_short_help_str(200)) for command in commands]
            )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are written."""
        return list(self.commands)


def with_session(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --rpc, --data-dir and --json; the function gets a `CommandSession` before its own parameters."""

    @wraps(function)
    def run(**params: Any) -> None:
        shared = {name: params.pop(name) for name in _SHARED if name in params}
        function(CommandSession(**shared), **params)

    for option in reversed(_SESSION_OPTIONS):
        run = option(run)
    return run


def data_dir_option(function: Function) -> Function:
    """Adds --data-dir alone, for commands that make or run a node."""
    return _DATA_DIR_OPTION(function)


def choosing_key(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --key, for commands that need no more than its address; stands above `with_session`."""
    return _KEY_OPTION(function)


def with_passphrase(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --passphrase-file; stands above `with_session`."""
    return _PASSPHRASE_OPTION(function)


def with_key(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --key and --passphrase-file, for commands that sign; stands above `with_session`."""
    return choosing_key(with_passphrase(function))


def refuse_given(names: tuple[str, ...], why: str) -> None:
    """Refuses parameters that were given and would do nothing. Raises `click.UsageError` naming the first."""
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} {why}", ctx)


def json_flag(function: Function) -> Function:
    """Adds --json alone, for commands that ask no node."""
    return _JSON_OPTION(function)


def _remember_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Errors have to be JSON too, and they are printed when the context is gone."""
    root = ctx.find_root()
    if isinstance(root.obj, dict):
        root.obj[AS_JSON] = value
    return value


_SHARED: Final = (AS_JSON, "data_dir", "rpc", "key", "passphrase_file")
_JSON_OPTION: Final = click.option(
    "--json",
    AS_JSON,
    is_flag=True,
    is_eager=True,
    callback=_remember_json,
    help="Print JSON, errors too.",
)
_DATA_DIR_OPTION: Final = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="ENGRAM_DATA_DIR",
    show_envvar=True,
    help="Settings, keys and token; default: the platform's place for application data.",
)
_SESSION_OPTIONS: Final = (
    click.option(
        "--rpc",
        metavar="URL",
        envvar="ENGRAM_RPC",
        show_envvar=True,
        help="The node to talk to; default: the one of the data directory.",
    ),
    _DATA_DIR_OPTION,
    _JSON_OPTION,
)
_KEY_OPTION: Final = click.option(
    "--key",
    metavar="NAME",
    envvar="ENGRAM_KEY",
    show_envvar=True,
    shell_complete=complete_keys,
    help="The key to act with; default: the only one there is.",
)
_PASSPHRASE_OPTION: Final = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Its first line is the passphrase; else ENGRAM_PASSPHRASE is, else it is asked for.",
)
