"""The classes of commands and groups, and the options that many commands have.

A command decorated with `with_session` takes --rpc, --data-dir and --json and gets a `CommandSession` as its
first argument. `with_key` adds --key and --passphrase-file. Options of one command only stand in its own
file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from engram.commands.support.completion import complete_keys
from engram.commands.support.glossary import technical_words
from engram.commands.support.param_types import DataDirectory
from engram.commands.support.session import CommandSession

Function = TypeVar("Function", bound=Callable[..., None])

AS_JSON: Final = "as_json"
"""Name of the --json flag's parameter, and the key under which `_remember_json` notes its value."""


class Command(click.Command):
    """A command whose help ends with examples: `example` holds one command line on each line.

    `sections` groups the options of a long help: titles, each with the names of its parameters. Options that
    most commands have come last, and need not be named. `lines` says that --json prints a document a line.
    """

    def __init__(
        self,
        *args: Any,
        example: str,
        sections: Mapping[str, Sequence[str]] | None = None,
        lines: bool = False,
        **kwargs: Any,
    ) -> None:
        self.example: Final = example
        self.sections: Final = {} if sections is None else {**sections, **_COMMON_SECTIONS}
        super().__init__(*args, **kwargs)
        self.lines: Final = lines
        for param in self.params:
            if lines and param.name == AS_JSON and isinstance(param, click.Option):
                param.help = "Print each event as a line of JSON, the result last, and errors as JSON."
            if isinstance(param, click.Option) and param.metavar is None and isinstance(param.type, _NUMBERS):
                param.metavar = "NUMBER"  # click itself writes INTEGER RANGE

    def option_sections(self, ctx: click.Context) -> list[tuple[str, list[tuple[str, str]]]]:
        """Titles, each with its options and their help. What no section names comes first."""
        given = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {param.name: param.get_help_record(ctx) for param in given}
        named = {name for names in self.sections.values() for name in names}
        parts = {"Options": [name for name in records if name not in named], **self.sections}
        found = {
            title: [record for name in names if (record := records.get(name)) is not None]
            for title, names in parts.items()
        }
        return [(title, options) for title, options in found.items() if options]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section."""
        for title, options in self.option_sections(ctx):
            with formatter.section(title):
                formatter.write_dl(options)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write which words are in the glossary, and the examples, at the end of the help."""
        texts = [self.help or "", *(text for _, options in self.option_sections(ctx) for _, text in options)]
        if words := technical_words(" ".join(texts)):
            with formatter.section("Words that `engram glossary WORD` explains"):
                formatter.write_text(", ".join(words))
        _write_examples(self.example, formatter)


class Group(click.Group):
    """A group of `Command`s whose help, too, ends with examples."""

    command_class = Command

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        self.example: Final = example
        super().__init__(*args, **kwargs)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples at the end of the help."""
        _write_examples(self.example, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List every command with the first sentence of its help, which click itself would cut short."""
        commands = [self.commands[name] for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(command.name or "", command.get_short_help_str(200)) for command in commands]
            )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands in the order in which the code adds them."""
        return list(self.commands)


def _write_examples(example: str, formatter: click.HelpFormatter) -> None:
    with formatter.section("Examples" if "\n" in example else "Example"):
        for line in example.splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def with_session(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --rpc, --data-dir and --json; the function gets a `CommandSession` before its own parameters."""
    return _RPC_OPTION(with_offline_session(function))


def with_offline_session(function: Callable[..., None]) -> Callable[..., None]:
    """As `with_session`, without --rpc: for commands that read the data directory and ask no node."""

    @wraps(function)
    def run(**params: Any) -> None:
        shared = {name: params.pop(name) for name in _SHARED if name in params}
        function(CommandSession(**shared), **params)

    return _DATA_DIR_OPTION(_JSON_OPTION(run))


def data_dir_option(function: Function) -> Function:
    """Adds --data-dir without --rpc and --json, for commands that make or run a node."""
    return _DATA_DIR_OPTION(function)


def choosing_key(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --key, for commands that need the key's address only. Write it above `with_session`."""
    return _KEY_OPTION(function)


def with_passphrase(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --passphrase-file, for commands that ask for a passphrase. Write it above `with_session`."""
    return with_known_passphrase("the command asks")(function)


def with_known_passphrase(otherwise: str) -> Callable[[Function], Function]:
    """Adds --passphrase-file. `otherwise` ends its help: what happens if the user gives no passphrase."""
    return click.option(
        "--passphrase-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A file whose first line is the passphrase. Default: the variable ENGRAM_PASSPHRASE; "
        f"if that is not set either, {otherwise}.",
    )


def with_key(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --key and --passphrase-file, for commands that sign. Write it above `with_session`."""
    return choosing_key(with_passphrase(function))


def refuse_given(names: tuple[str, ...], why: str) -> None:
    """Refuses these parameters if the user gave one of them, because it would have no effect.

    `why` follows the option's name in the message. Raises `click.UsageError` for the first one given.
    """
    ctx = click.get_current_context()
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} {why}", ctx)


def is_given(name: str) -> bool:
    """Whether the user gave this parameter of the running command, on the command line or by a variable."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def json_flag(function: Function) -> Function:
    """Adds --json without --rpc and --data-dir, for commands that ask no node."""
    return _JSON_OPTION(function)


def _remember_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Notes on the root context that --json was given.

    Errors are to be JSON as well, but `cli.LazyGroup.main` prints them after click has closed the command's
    context. The root context's `obj` is the dictionary that `main` itself has made and still holds then.
    """
    root = ctx.find_root()
    if isinstance(root.obj, dict):
        root.obj[AS_JSON] = value
    return value


_NUMBERS: Final = (click.IntRange, click.FloatRange, click.types.IntParamType, click.types.FloatParamType)
_COMMON_SECTIONS: Final = {
    "Key and node": ("key", "passphrase_file", "rpc", "data_dir"),
    "Output": (AS_JSON, "help"),
}
_SHARED: Final = (AS_JSON, "data_dir", "rpc", "key", "passphrase_file")
_JSON_OPTION: Final = click.option(
    "--json",
    AS_JSON,
    is_flag=True,
    is_eager=True,
    callback=_remember_json,
    help="Print results and errors as JSON.",
)
_DATA_DIR_OPTION: Final = click.option(
    "--data-dir",
    type=DataDirectory(),
    metavar="DIR",
    envvar="ENGRAM_DATA_DIR",
    show_envvar=True,
    help="The directory of a node: its chain, settings, keys and token. "
    "Default: the platform's directory for application data.",
)
_RPC_OPTION: Final = click.option(
    "--rpc",
    metavar="URL",
    envvar="ENGRAM_RPC",
    show_envvar=True,
    help="Address of the node to ask. Default: the node that runs on the data directory.",
)
_KEY_OPTION: Final = click.option(
    "--key",
    metavar="NAME",
    envvar="ENGRAM_KEY",
    show_envvar=True,
    shell_complete=complete_keys,
    help="Name of the key to act with. Default: the only key of the data directory.",
)
