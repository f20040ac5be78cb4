"""What commands share: their classes, the common options, and the session that stands behind them.

A command that is decorated with `with_session` takes --rpc, --data-dir and --json and gets a `Session` as
its first argument; `with_key` adds --key and --passphrase-file. Heavy imports happen inside methods only:
`--help` must stay fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from engram.commands import output
from engram.commands.errors import KeyNotChosen, PassphraseMissing

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.node.config import Config
    from engram.node.keystore import KeyEntry, Keystore
    from engram.participant.wallet import Wallet
    from engram.primitives.keys import PrivateKey

T = TypeVar("T")
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


class Session:
    """One run of a command: which node, which data directory, which key, and how to print."""

    def __init__(
        self,
        *,
        as_json: bool,
        data_dir: Path | None = None,
        rpc: str | None = None,
        key: str | None = None,
        passphrase_file: Path | None = None,
    ) -> None:
        self.as_json: Final = as_json
        self._data_dir = data_dir
        self._rpc = rpc
        self.key: Final = key
        self._passphrase_file = passphrase_file

    @cached_property
    def config(self) -> Config:
        """The settings of the node in the data directory, or the defaults. Raises `ConfigInvalid`."""
        from engram.node.config import load_config

        return load_config({"data_dir": self._data_dir}, os.environ).config

    @property
    def url(self) -> str:
        """Where the node answers: --rpc, or what the data directory's settings say."""
        return self._rpc or f"http://{self.config.rpc_host}:{self.config.rpc_port}"

    def client(self, *, admin: bool = False) -> RpcClient:
        """A client of the node, not yet open. Only an admin's requests carry the data directory's token."""
        from engram.node.client import RpcClient

        if admin:
            return RpcClient.of_data_dir(self.url, self.config.data_dir)
        return RpcClient(self.url)

    def run(self, action: Callable[[RpcClient], Awaitable[T]], *, admin: bool = False) -> T:
        """What `action` gives with an open client."""
        import asyncio

        async def with_client() -> T:
            async with self.client(admin=admin) as client:
                return await action(client)

        return asyncio.run(with_client())

    def call(self, method: str, /, *, admin: bool = False, **params: Any) -> Any:
        """The result of one request."""
        return self.run(lambda client: client.call(method, **params), admin=admin)

    def run_wallet(self, action: Callable[[Wallet], Awaitable[T]]) -> T:
        """What `action` gives with the chosen key's wallet; the passphrase is asked for before all else."""
        from engram.participant.wallet import Wallet

        key = self.unlock()
        return self.run(lambda client: action(Wallet(client, key)))

    @cached_property
    def hrp(self) -> str:
        """The first letters of addresses, from the data directory's chain or else from the node.

        Raises `ChainNotFound` where there is neither.
        """
        from engram.consensus.chainspec import load_spec
        from engram.node.errors import ChainNotFound, NodeUnreachable

        if self.config.spec_file.is_file():
            return load_spec(self.config.spec_file.read_text("utf-8")).hrp
        try:
            return str(self.call("node_info")["hrp"])
        except NodeUnreachable as error:
            raise ChainNotFound(f"no chain in {self.config.data_dir}, and {error}") from error

    @property
    def keystore(self) -> Keystore:
        """The keys of the data directory."""
        from engram.node.keystore import Keystore

        return Keystore(keys_folder(self.config.data_dir), self.hrp)

    def key_entry(self, name: str | None = None) -> KeyEntry:
        """The key of this name, or the one that --key names, or the only one there is.

        Raises `KeyNotFound`, `KeyNotChosen`.
        """
        from engram.node.errors import KeyNotFound

        entries, wanted = self.keystore.entries(), name or self.key
        chosen = [entry for entry in entries if wanted is None or entry.name == wanted]
        if len(chosen) == 1:
            return chosen[0]
        names = ", ".join(entry.name for entry in entries)
        if not entries:
            raise KeyNotChosen("there is no key yet: make one with `engram key new NAME`")
        if wanted is None:
            raise KeyNotChosen(f"there are several keys, choose one with --key: {names}")
        raise KeyNotFound(f"no key named {wanted}; there are: {names}", got=wanted)

    def unlock(self, key: str | None = None) -> PrivateKey:
        """The key of this name, or the chosen one.

        Raises `KeyNotFound`, `KeyNotChosen`, `WrongPassphrase`, `PassphraseMissing`.
        """
        name = self.key_entry(key).name
        return self.keystore.load(name, self.passphrase(f"Passphrase of {name}"))

    def passphrase(self, prompt: str, *, confirm: bool = False) -> str:
        """From --passphrase-file, else ENGRAM_PASSPHRASE, else typed by whoever sits there.

        Raises `PassphraseMissing` where nobody does.
        """
        if self._passphrase_file is not None:
            return self._passphrase_file.read_text("utf-8").partition("\n")[0]
        if (given := os.environ.get("ENGRAM_PASSPHRASE")) is not None:
            return given
        if not sys.stdin.isatty():
            raise PassphraseMissing()
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))

    def address(self, text: str | None) -> str:
        """An address text: as given, or of the key of that name; None means the chosen key.

        Raises `BadAddress`, `KeyNotFound`, `KeyNotChosen`.
        """
        from engram.primitives.keys import format_address, parse_address

        if text is None or text in [entry.name for entry in self.keystore.entries()]:
            return format_address(self.key_entry(text).address, self.hrp)
        return format_address(parse_address(text, self.hrp), self.hrp)

    def show(self, result: object, fields: Iterable[tuple[str, object]]) -> None:
        """Prints an object: `result` as JSON, or `fields` for people."""
        if self.as_json:
            output.print_json(result)
        else:
            output.print_fields(fields)

    def show_rows(self, rows: Sequence[Any], columns: Sequence[output.Column], empty: str) -> None:
        """Prints a list: all of it as JSON, or `columns` of it for people."""
        if self.as_json:
            output.print_json(rows)
        else:
            output.print_table(columns, rows, empty)

    def note(self, text: str) -> None:
        """Tells people what goes on, on standard error."""
        if not self.as_json:
            click.echo(text, err=True)


def keys_folder(data_dir: Path) -> Path:
    """Where the encrypted keys of a data directory lie."""
    return data_dir / "keys"


def with_session(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --rpc, --data-dir and --json; the function gets a `Session` before its own parameters."""

    @wraps(function)
    def run(**params: Any) -> None:
        shared = {name: params.pop(name) for name in _SHARED if name in params}
        function(Session(**shared), **params)

    for option in reversed(_SESSION_OPTIONS):
        run = option(run)
    return run


def choosing_key(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --key, for commands that need no more than its address; stands above `with_session`."""
    return _KEY_OPTION(function)


def with_passphrase(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --passphrase-file; stands above `with_session`."""
    return _PASSPHRASE_OPTION(function)


def with_key(function: Callable[..., None]) -> Callable[..., None]:
    """Adds --key and --passphrase-file, for commands that sign; stands above `with_session`."""
    return choosing_key(with_passphrase(function))


def json_flag(function: Function) -> Function:
    """Adds --json alone, for commands that ask no node."""
    return _JSON_OPTION(function)


def _remember_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Errors have to be JSON too, and they are printed when the context is gone."""
    root = ctx.find_root()
    if isinstance(root.obj, dict):
        root.obj[AS_JSON] = value
    return value


def _complete_keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from engram.node.config import load_config

    data_dir = load_config({"data_dir": ctx.params.get("data_dir")}, os.environ).config.data_dir
    names = sorted(path.stem for path in keys_folder(data_dir).glob("*.json"))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_SHARED: Final = (AS_JSON, "data_dir", "rpc", "key", "passphrase_file")
_JSON_OPTION: Final = click.option(
    "--json",
    AS_JSON,
    is_flag=True,
    is_eager=True,
    callback=_remember_json,
    help="Print JSON, errors too.",
)
_SESSION_OPTIONS: Final = (
    click.option(
        "--rpc",
        metavar="URL",
        envvar="ENGRAM_RPC",
        show_envvar=True,
        help="The node to talk to; default: the one of the data directory.",
    ),
    click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        envvar="ENGRAM_DATA_DIR",
        show_envvar=True,
        help="Settings, keys and token; default: the platform's place for application data.",
    ),
    _JSON_OPTION,
)
_KEY_OPTION: Final = click.option(
    "--key",
    metavar="NAME",
    envvar="ENGRAM_KEY",
    show_envvar=True,
    shell_complete=_complete_keys,
    help="The key to act with; default: the only one there is.",
)
_PASSPHRASE_OPTION: Final = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Its first line is the passphrase; else ENGRAM_PASSPHRASE is, else it is asked for.",
)
