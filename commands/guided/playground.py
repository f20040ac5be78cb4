"""Where the guided play takes place: its folder, the keys of the players, and the chain through a node."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engram.commands.guided.narrator import Narrator
from engram.commands.support.dev_chain import DEV_KEY, make_dev_chain
from engram.commands.support.errors import DirectoryNotEmpty
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.library.chain import AsyncChain
    from engram.node.client import RpcClient
    from engram.node.keystore import Keystore
    from engram.primitives.keys import PrivateKey

PASSPHRASE: Final = DEV_KEY
"""Of every key: they guard nothing."""
MARK_NAME: Final = "PLAY.txt"
_MARK: Final = (
    "This folder belongs to `engram play`: a chain of its own, its keys, and what was made on it.\n"
    "The passphrase of every key is `dev`. Delete the folder when you have had enough of it.\n"
)


class Playground:
    """What the steps work with."""

    def __init__(self, folder: Path, narrator: Narrator) -> None:
        self.folder: Final = folder
        self.narrator: Final = narrator
        self._keys: dict[str, PrivateKey] = {}

    @property
    def keystore(self) -> Keystore:
        """The keys on disk."""
        return self.session.keystore

    @property
    def session(self) -> CommandSession:
        """What commands would work with here."""
        return CommandSession(as_json=self.narrator.as_json, data_dir=self.folder)

    def has_key(self, name: str) -> bool:
        """Whether there is a key of this name."""
        from engram.node.errors import KeyNotFound

        try:
            self.keystore.entry(name)
        except KeyNotFound:
            return False
        return True

    def make_key(self, name: str) -> None:
        """Makes a key."""
        from engram.primitives.keys import PrivateKey

        seed = secrets.token_bytes(32)
        self.keystore.create(name, PASSPHRASE, seed=seed)
        self._keys[name] = PrivateKey.from_seed(seed)

    def address(self, name: str) -> str:
        """The address of a key."""
        return self.keystore.entry(name).address_text

    def named(self, text: str) -> str:
        """The text with names in the place of addresses."""
        for entry in self.keystore.entries():
            text = text.replace(entry.address_text, entry.name)
        return text

    async def chain(self, name: str = DEV_KEY) -> AsyncChain:
        """The chain, not yet open, for somebody to act on. Raises `WrongPassphrase`."""
        from engram.library.chain import AsyncChain

        if name not in self._keys:  # deriving the key takes a third of a second by design
            self._keys[name] = await asyncio.to_thread(self.keystore.load, name, PASSPHRASE)
        return AsyncChain(None, data_dir=self.folder, key=self._keys[name])

    async def rounds(self, client: RpcClient) -> list[dict[str, Any]]:
        """The rounds of the chain, the oldest first, as `round_get` gives them."""
        listed = await client.call("round_list")
        return [await client.call("round_get", id=item["id"]) for item in listed]


def prepare(folder: Path) -> bool:
    """Makes the chain in a new or empty folder; False if an earlier play has begun there.

    Raises `DirectoryNotEmpty` for a folder that holds anything else.
    """
    from engram.node.files import write_public

    there = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
    if there and not (folder / MARK_NAME).is_file():
        raise DirectoryNotEmpty(
            f"{folder} holds files that are not of `engram play`: name a new directory",
            got=str(folder),
        )
    if not there:
        folder.mkdir(parents=True, exist_ok=True)
        write_public(folder / MARK_NAME, _MARK.encode())
    make_dev_chain(folder, lambda: PASSPHRASE)
    return not there


@contextmanager
def running(ground: Playground) -> Iterator[str]:
    """A node on the folder, at free ports; yields the address of its RPC. It does not mine yet."""
    from engram.node.config import Config
    from engram.node.datadir import read_spec
    from engram.node.threaded import running_node

    config = Config(
        data_dir=ground.folder,
        rpc_port=0,
        p2p_port=0,
        mine=False,
        miner_address=ground.address(DEV_KEY),
        miner_waits=True,
    )
    with running_node(config, read_spec(ground.folder)) as node:
        assert node.info is not None, "a node sets it before it answers"
        yield node.info.rpc_url
