"""The node that a program asks, and the key with which it acts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Self

from engram.consensus.chainspec import ChainSpec
from engram.library.dev_keys import dev_account
from engram.library.errors import ChainClosed, OptionInvalid
from engram.library.names import People, name_in
from engram.node.client import RpcClient
from engram.node.datadir import KEYS_DIRECTORY, find_hrp
from engram.node.keystore import Keystore, is_key_name
from engram.participant.connecting import ChosenNode
from engram.participant.errors import KeyMissing, PassphraseMissing
from engram.participant.notices import Report
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.view import spec_of
from engram.participant.wallet import Wallet
from engram.primitives.errors import BadAddress, ChainError
from engram.primitives.keys import PrivateKey, format_address, parse_address

PASSPHRASE: Final = "ENGRAM_PASSPHRASE"


class Connection:
    """A node that is asked, and the key that acts, for the length of an `async with` block."""

    def __init__(
        self,
        url: str | None = None,
        *,
        data_dir: str | Path | None = None,
        key: str | PrivateKey | None = None,
        passphrase: str | None = None,
        windows: Mapping[str, int] | None = None,
        patience_s: float | None = None,
        keys: Callable[[str], PrivateKey] | None = None,
        accounts: Sequence[str] = (),
    ) -> None:
        """`url` is the RPC address of a node; None means the node of the data directory, which is the default
        one unless `data_dir` names another.

        `key` acts in rounds and pays: a key's name in the data directory, opened with `passphrase` or with
        the environment's ENGRAM_PASSPHRASE, or the key itself. Without it the chain is only read. `windows`
        are the lengths of phases that `open_round` takes, unless it is given others. `patience_s`: so many
        seconds a node that has answered before may be away before a call raises; None is an hour, as whoever
        plays a round must outlast a restart. `keys` finds a key by
        its name, where names are not those of the data directory; `accounts` are the names that it knows.
        """
        if url is not None and not isinstance(url, str):
            raise OptionInvalid(
                "url is the address of a node, such as http://127.0.0.1:8645", got=repr(url)[:40]
            )
        if key is not None and not isinstance(key, str | PrivateKey):
            raise OptionInvalid("key is the name of a key, or a PrivateKey", got=repr(key)[:40])
        self._node: Final = ChosenNode.of(None if data_dir is None else Path(data_dir), url)
        self._key = key
        self._passphrase = passphrase
        self._patience_s: Final = patience_s
        self._keys = keys
        self._accounts: Final = tuple(accounts)
        self._windows: Final = dict(windows or {})
        self._stack: Final = AsyncExitStack()
        self._client: RpcClient | None = None
        self._wallet: Wallet | None = None
        self._spec: ChainSpec | None = None
        self.hrp = ""
        """The first letters of addresses; known once it is open."""

    def __repr__(self) -> str:
        acting = f" as {self.address}" if self._client is not None and self._wallet is not None else ""
        return f"<chain at {self.url}{acting}{'' if self._client is not None else ', not open'}>"

    async def __aenter__(self) -> Self:
        client = await self._stack.enter_async_context(
            self._node.patient_client(lambda notice: None, holds=False, patience_s=self._patience_s)
        )
        try:
            self.hrp = str((await client.call("node_info"))["hrp"])
            if self._key is not None:
                self._wallet = Wallet(client, await asyncio.to_thread(self._unlocked, self._key))
        except BaseException:
            await self._stack.aclose()
            raise
        self._client = client
        return self

    async def __aexit__(self, *error: object) -> None:
        self._client = self._wallet = self._spec = None
        await self._stack.aclose()

    def check_open(self) -> None:
        """Raises `ChainClosed` if it is not open."""
        if self._client is None:
            raise ChainClosed

    @property
    def url(self) -> str:
        """The RPC address of the node."""
        return self._node.url

    @property
    def client(self) -> RpcClient:
        """The client of the node: `await chain.client.call(method, **params)` sends any request.

        Raises `ChainClosed` outside of the `async with` block.
        """
        if self._client is None:
            raise ChainClosed
        return self._client

    @property
    def wallet(self) -> Wallet:
        """The account of the key. Raises `KeyMissing` if the chain was opened without one, `ChainClosed`."""
        self.check_open()
        if self._wallet is None:
            raise KeyMissing
        return self._wallet

    @property
    def address(self) -> str:
        """The address of the key. Raises `KeyMissing`."""
        return format_address(self.wallet.key.address, self.hrp)

    async def people(self) -> People:
        """Who stands behind addresses: the keys of the data directory, or a test chain's accounts. On a chain
        without work also those whom the node names, unless a name is known here for the address.
        """
        return People(self.hrp, {**await self._named_there(), **await asyncio.to_thread(self._named)})

    @asynccontextmanager
    async def naming_errors(self) -> AsyncIterator[None]:
        """The texts of errors that leave the block have names in place of the addresses that are known."""
        try:
            yield
        except Exception as error:
            name_in(error, await self.people())
            raise

    async def address_of(self, account: str | PrivateKey) -> str:
        """The address of an account: of a key, or what a text means, which is itself an address, or a name.

        Known are the names of keys of the data directory, or of a test chain's accounts, and on a chain
        without work each name to whose `dev_key` the chain gave coins at its beginning. Names that only the
        node gives are not taken, because coins are sent there. Raises `BadAddress`.
        """
        if isinstance(account, PrivateKey):
            return format_address(account.address, self.hrp)
        if not isinstance(account, str):
            raise BadAddress(
                "an account is an address as text, a name, or a PrivateKey such as engram.dev_key('bob'); "
                f"this is of the type {type(account).__name__}"
            )
        if self._looks_like_address(account):
            return format_address(parse_address(account, self.hrp), self.hrp)
        addresses = {name: address for address, name in (await asyncio.to_thread(self._named)).items()}
        if account in addresses:
            return addresses[account]
        spec = await self.spec()
        if (found := dev_account(account, spec)) is not None:
            return format_address(found, self.hrp)
        told = {name for name in (await self._named_there()).values() if dev_account(name, spec)}
        there = ", ".join(sorted({*addresses, *told})) or "none"
        raise BadAddress(
            f"this is neither an address ({self.hrp}1…) nor the name of an account that is known here; "
            f"known are: {there}",
            got=account,
        )

    async def spec(self) -> ChainSpec:
        """Every constant of the chain, as this node has it; `engram.verify` takes it as `chain`."""
        if self._spec is None:
            self._spec = await spec_of(self.client)
        return self._spec

    def _looks_like_address(self, text: str) -> bool:
        return text.lower().startswith(f"{self.hrp}1")

    def _named(self) -> dict[str, str]:
        """The names of known addresses. What is wrong with keys is said where they are used."""
        if self._keys is not None:
            found = [(self._keys(name).address, name) for name in self._accounts]
        else:
            folder = self._node.data_dir
            try:
                entries = Keystore(folder / KEYS_DIRECTORY, find_hrp(folder)).scan().entries
            except (ChainError, OSError):
                return {}
            found = [(entry.address, entry.name) for entry in entries]
        return {format_address(raw, self.hrp): name for raw, name in found}

    async def _named_there(self) -> dict[str, str]:
        """What the node calls accounts of a chain without work, by address; nothing if it does not say.

        It is asked without patience, because the names are for texts, and the text may be that the node is
        away.
        """
        if self._keys is not None or self._client is None:
            return {}
        try:
            if (await RpcClient.call(self._client, "chain_head"))["has_work"]:
                return {}
            told = await RpcClient.call(self._client, "dev_names")
            return {
                format_address(parse_address(each["address"], self.hrp), self.hrp): each["name"]
                for each in told
                if is_key_name(each["name"])
            }
        except (ChainError, LookupError, TypeError, AttributeError):
            return {}

    def acting_client(self, report: Report) -> AbstractAsyncContextManager[RpcClient]:
        """A client of its own for somebody who plays, for whom the blocks of a test network wait."""
        return self._node.patient_client(report, holds=True, patience_s=self._patience_s)

    @property
    def node(self) -> ChosenNode:
        """Which node is asked."""
        return self._node

    @property
    def rounds_folder(self) -> Path:
        """Where the secrets of rounds are kept: without them nobody can reveal."""
        return self._node.data_dir / ROUNDS_DIRECTORY

    def _unlocked(self, key: str | PrivateKey) -> PrivateKey:
        """The key, or the one of this name. Raises `KeyNotFound`, `PassphraseMissing`, `WrongPassphrase`."""
        if isinstance(key, PrivateKey):
            return key
        if self._keys is not None:
            return self._keys(key)
        folder = self._node.data_dir
        given = os.environ.get(PASSPHRASE) if self._passphrase is None else self._passphrase
        if given is None:
            raise PassphraseMissing("give passphrase=, or set ENGRAM_PASSPHRASE", got=key)
        return Keystore(folder / KEYS_DIRECTORY, find_hrp(folder)).load(key, given)
