"""What one run of a command works with: the node, the data directory, the key, and how to print.

It finds the node, opens clients and wallets, asks for passphrases and prints results. Heavy imports happen
inside methods only, so that `--help` stays fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from engram.commands.support import output
from engram.commands.support.errors import KeyNotChosen
from engram.library.names import Names, People, name_in, tells_accounts
from engram.library.words import in_words

if TYPE_CHECKING:
    from engram.commands.support.progress import ProgressPrinter
    from engram.nn.engine import Engine
    from engram.node.client import RpcClient
    from engram.node.config import Config
    from engram.node.configsources import LoadedConfig
    from engram.node.keystore import KeyEntry, Keystore
    from engram.participant.connecting import ChosenNode
    from engram.participant.notices import Report
    from engram.participant.wallet import Wallet
    from engram.primitives.keys import PrivateKey

T = TypeVar("T")

PASSPHRASE: Final = "ENGRAM_PASSPHRASE"
"""The environment variable with the passphrase of the key to act with."""
_MAX_PASSPHRASE_BYTES: Final = 2**16


class CommandSession:
    """What one run of a command works with, made from the options that commands share."""

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
        self._skipped: set[Path] = set()

    @cached_property
    def loaded_config(self) -> LoadedConfig:
        from engram.node.configsources import load_config

        return load_config({"data_dir": self._data_dir}, os.environ)

    @property
    def config(self) -> Config:
        """The settings of the data directory's node; defaults where none are set. Raises `ConfigInvalid`."""
        return self.loaded_config.config

    @cached_property
    def data_dir(self) -> Path:
        """The data directory, which is found without reading its settings. Raises `ConfigInvalid`."""
        from engram.node.configsources import find_data_dir

        return find_data_dir(self._data_dir, os.environ)[0]

    @cached_property
    def node(self) -> ChosenNode:
        """Which node is meant: the one of --rpc, else that of the data directory."""
        from engram.participant.connecting import ChosenNode

        return ChosenNode.of(self._data_dir, self._rpc)

    @property
    def url(self) -> str:
        """The address of the node to ask."""
        return self.node.url

    def client(self, *, admin: bool = False) -> RpcClient:
        """A client of the node, not yet open.

        With `admin`, its requests carry the data directory's token, which a node asks for before it lets
        itself be changed. Other requests never carry it.
        """
        from engram.node.client import RpcClient

        if admin:
            return RpcClient.of_data_dir(self.url, self.data_dir)
        return RpcClient(self.url)

    def run(self, action: Callable[[RpcClient], Awaitable[T]], *, admin: bool = False) -> T:
        """Calls `action` with an open client and returns its result."""
        import asyncio

        async def with_client() -> T:
            async with self.client(admin=admin) as client:
                await self.node.check_chain(client)
                return await action(client)

        with self._naming_errors():
            return asyncio.run(with_client())

    def call(self, method: str, /, *, admin: bool = False, **params: Any) -> Any:
        """Sends one request to the node and returns its result."""
        return self.run(lambda client: client.call(method, **params), admin=admin)

    def run_wallet(self, action: Callable[[Wallet], Awaitable[T]]) -> T:
        """Calls `action` with the wallet of the chosen key and returns its result.

        The passphrase is asked for before the node is contacted.
        """
        from engram.participant.wallet import Wallet

        key = self.unlock()
        return self.run(lambda client: action(Wallet(client, key)))

    def run_actor(self, action: Callable[[Wallet], Awaitable[T]], report: Report, *, holds: bool = True) -> T:
        """As `run_wallet`, for an action that lasts a whole round: if the node goes away, it is waited for.

        `report` is told when the node is lost and when it is back. With `holds`, the blocks of a test
        network wait for the action.
        """
        import asyncio

        from engram.participant.wallet import Wallet

        key = self.unlock()

        async def with_client() -> T:
            async with self.node.patient_client(report, holds=holds) as client:
                return await action(Wallet(client, key))

        with self._naming_errors():
            return asyncio.run(with_client())

    @property
    def rounds_folder(self) -> Path:
        """The folder of the data directory for secrets of rounds: parts, salts, nonces and commits."""
        from engram.participant.parts import ROUNDS_DIRECTORY

        return self.data_dir / ROUNDS_DIRECTORY

    @cached_property
    def hrp(self) -> str:
        """The first letters of addresses, from the data directory's chain or else from the node.

        Raises `ChainNotFound` if there is neither a chain nor a node.
        """
        from engram.node.datadir import find_hrp
        from engram.node.errors import ChainNotFound, NodeUnreachable

        if (hrp := find_hrp(self.data_dir)) is not None:
            return hrp
        try:
            return str(self.call("node_info")["hrp"])
        except NodeUnreachable as error:
            raise ChainNotFound(f"no chain in {self.data_dir}, and {error}") from error

    @property
    def keystore(self) -> Keystore:
        """The store of the data directory's keys, which may be there before a chain is."""
        from engram.node.datadir import KEYS_DIRECTORY, find_hrp
        from engram.node.keystore import Keystore

        folder = self.data_dir
        return Keystore(folder / KEYS_DIRECTORY, find_hrp(folder))

    def key_entries(self, *, some: bool = False) -> list[KeyEntry]:
        """The keys of the data directory. Files in their folder that hold none are named once each.

        With `some`, what is wrong with the first of them is raised if there is no key at all.
        """
        found = self.keystore.scan()
        if some and found.skipped and not found.entries:
            raise found.skipped[0][1]
        for path, error in found.skipped:
            if path not in self._skipped:
                self._skipped.add(path)
                click.echo(f"engram: skipped a file: {error} [{error.code}]", err=True)
        return found.entries

    def key_entry(self, name: str | None = None) -> KeyEntry:
        """The key of this name, or the one that --key names, or the only one there is.

        Raises `KeyNotFound`, `KeyNotChosen`.
        """
        wanted = name or self.key
        if wanted is not None:
            return self.keystore.entry(wanted)
        entries = self.key_entries(some=True)
        if len(entries) == 1:
            return entries[0]
        names = ", ".join(entry.name for entry in entries)
        if not entries:
            raise KeyNotChosen("the data directory has no key yet: make one with `engram key new NAME`")
        raise KeyNotChosen(f"the data directory has several keys, choose one with --key: {names}")

    def unlock(self, key: str | None = None) -> PrivateKey:
        """Decrypts the key of this name, or the chosen key.

        Raises `KeyNotFound`, `KeyNotChosen`, `WrongPassphrase`, `PassphraseMissing`.
        """
        name = self.key_entry(key).name
        return self.keystore.load(name, self.passphrase(f"Passphrase of {name}"))

    def passphrase(self, prompt: str, *, confirm: bool = False, variable: str = PASSPHRASE) -> str:
        """The passphrase from --passphrase-file, else from `variable`, else typed in the terminal.

        `confirm` asks for it twice. Raises `PassphraseMissing` if there is no terminal to ask, and
        `PassphraseInvalid`.
        """
        from engram.node.errors import PassphraseInvalid

        if (given := self.given_passphrase(variable)) is not None:
            return given
        if not sys.stdin.isatty():
            from engram.participant.errors import PassphraseMissing

            raise PassphraseMissing()
        try:
            return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))
        except UnicodeDecodeError:
            raise PassphraseInvalid from None

    def given_passphrase(self, variable: str = PASSPHRASE) -> str | None:
        """The passphrase from --passphrase-file, else from the variable; None if neither is given.

        Raises `PassphraseInvalid` if the file does not begin with a line of text, `NotAFile`.
        """
        from engram.node.errors import FileDamaged, PassphraseInvalid
        from engram.node.files import read_plain

        path = self._passphrase_file
        if path is None:
            return os.environ.get(variable)
        try:
            # Some editors begin a file with a byte order mark or end its lines as Windows does.
            text = read_plain(path, _MAX_PASSPHRASE_BYTES, pipes=True).decode("utf-8-sig")
        except (UnicodeDecodeError, FileDamaged) as error:
            raise PassphraseInvalid(f"{path} holds no passphrase: {error}; write it in UTF-8") from error
        passphrase = text.partition("\n")[0].removesuffix("\r")
        if not passphrase:
            raise PassphraseInvalid(f"the first line of {path} is empty: the passphrase belongs there")
        return passphrase

    def address(self, text: str | None) -> str:
        """The address that `text` means, as text: itself an address, or the name of a key.

        None means the chosen key. Raises `BadAddress`, `KeyNotFound`, `KeyNotChosen`.
        """
        from engram.primitives.errors import BadAddress
        from engram.primitives.keys import format_address, parse_address

        names = [entry.name for entry in self.key_entries()]
        if text is None or text in names:
            return format_address(self.key_entry(text).address, self.hrp)
        if not text.lower().startswith(f"{self.hrp}1"):
            there = ", ".join(names) or "none"
            raise BadAddress(
                f"this is neither an address ({self.hrp}1…) nor the name of a key; the keys are: {there}",
                got=text,
            )
        return format_address(parse_address(text, self.hrp), self.hrp)

    def show(self, result: object, fields: Iterable[tuple[str, object]]) -> None:
        """Prints one object: `result` in words with --json, else `fields`."""
        if self.as_json:
            output.print_json(self.names.for_programs(in_words(result)))
        else:
            output.print_fields((name, self._named(name, value)) for name, value in fields)

    def show_rows(self, rows: Sequence[Any], columns: Sequence[output.Column], empty: str) -> None:
        """Prints a list: all of it with --json, else a table of `columns`; the line `empty` for no rows."""
        if self.as_json:
            output.print_json(self.names.for_programs(in_words(rows)))
        else:
            output.print_table([self._naming(column) for column in columns], rows, empty)

    @cached_property
    def names(self) -> Names:
        """The names of the addresses of the data directory's keys."""
        return Names(self._key_names)

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """What people read of an error has names in place of addresses; with --json it stays as it is."""
        try:
            yield
        except Exception as error:
            if not self.as_json:
                name_in(error, self._people(tells_accounts(error)))
            raise

    def _people(self, accounts: bool) -> People:
        """Who stands behind the addresses of an error. `accounts`: some have to be written as addresses, for
        which a chain must be known; without one they stay hexadecimal digits.
        """
        from engram.primitives.errors import ChainError

        try:
            hrp = self.hrp if accounts else ""
        except (ChainError, OSError):
            hrp = ""
        return People(hrp, self._key_names())

    def _key_names(self) -> dict[str, str]:
        from engram.primitives.errors import ChainError

        try:
            return {entry.address_text: entry.name for entry in self.keystore.scan().entries}
        except (ChainError, OSError):  # what is wrong with keys is said by the commands that use them
            return {}

    def _named(self, name: str, value: object) -> object:
        """The value of a field for people. The field "address" is whole, to be copied."""
        return value if name == "address" else self.names.for_people(value)

    def _naming(self, column: output.Column) -> output.Column:
        """A column that shows names in place of addresses, and addresses cut short in a terminal.

        What a column shows whole stays as it is, to be copied.
        """
        if column.whole:
            return column
        cut = sys.stdout.isatty()
        return replace(column, value=lambda row: self.names.in_table(column.value(row), cut=cut))

    def printer(self) -> ProgressPrinter:
        """What prints the events and the result of a command that plays with the chosen key."""
        from engram.commands.support.progress import ProgressPrinter

        return ProgressPrinter(as_json=self.as_json, player=self.key_entry().name, names=self.names)

    def engine(self, name: str | None, macs: int | None = None) -> Engine:
        """The engine of this name, else that of the settings, for so much work.

        Raises what `engine_for` raises.
        """
        from engram.node.engines.choosing import engine_for

        return engine_for(self.config.engine if name is None else name, macs)

    def note(self, text: str) -> None:
        """Prints a line about what happens on standard error; nothing with --json."""
        if not self.as_json:
            click.echo(text, err=True)

    def note_unknown(self, loaded: LoadedConfig) -> None:
        """Says which variables of the environment look like settings and are none."""
        for variable, meant in loaded.unknown.items():
            click.echo(f"engram: {variable} sets nothing: did you mean {meant}?", err=True)
