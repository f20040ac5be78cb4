"""Makes the chain of `engram run --dev` and `engram play`: a new one, whose coins belong to a new key."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engram.participant.coins import SPARKS_PER_COIN

if TYPE_CHECKING:
    from engram.node.chain.forking import Forked

DEV_KEY: Final = "dev"
"""Name of the key that owns the coins of a development chain, and its passphrase if the user gives none."""
DEV_COINS: Final = 1_000_000


def make_dev_chain(data_dir: Path, passphrase: Callable[[], str | None]) -> bool:
    """Makes a chain for development in a directory that holds none.

    If an earlier attempt was cut off after it had made the key, that key is used. `passphrase` is asked for
    that of a key that is made; None means `DEV_KEY`, and then True is returned.
    """
    from engram.consensus.chainspec import Allocation, dev
    from engram.node.config import SPEC_NAME
    from engram.node.datadir import make_data_dir

    if (data_dir / SPEC_NAME).exists():
        return False
    begin_ms = time.time_ns() // 1_000_000
    address, is_usual = _dev_key(data_dir, dev((), begin_ms).hrp, passphrase)
    make_data_dir(data_dir, dev((Allocation(address, DEV_COINS * SPARKS_PER_COIN),), begin_ms))
    return is_usual


async def fork_dev_chain(
    data_dir: Path, place: str, passphrase: Callable[[], str | None]
) -> tuple[bool, Forked]:
    """As `make_dev_chain`, with the state of another chain: of a directory, or of the node at an address.

    Raises `ChainExists` if the directory holds a chain, and what `fork_source` and `fork_chain` raise.
    """
    from engram.consensus.chainspec import Allocation, dev
    from engram.node.chain.forking import fork_chain, fork_source
    from engram.node.config import SPEC_NAME
    from engram.node.datadir import make_data_dir
    from engram.node.errors import ChainExists

    if (data_dir / SPEC_NAME).exists():
        raise ChainExists(f"{data_dir} holds a chain already: leave out --fork to go on with it")
    async with fork_source(place) as source:
        address, is_usual = _dev_key(data_dir, source.spec.hrp, passphrase)
        own = (Allocation(address, DEV_COINS * SPARKS_PER_COIN),)
        usual = dev(own, time.time_ns() // 1_000_000)
        spec, forked = await fork_chain(data_dir, source, usual)
    make_data_dir(data_dir, spec)
    return is_usual, forked


def _dev_key(data_dir: Path, hrp: str, passphrase: Callable[[], str | None]) -> tuple[bytes, bool]:
    """The address of the key `dev`, which is made if need be, and whether its passphrase is `DEV_KEY` now."""
    from concurrent.futures import ThreadPoolExecutor
    from importlib import import_module

    from engram.node.datadir import KEYS_DIRECTORY
    from engram.node.errors import KeyNotFound
    from engram.node.keystore import Keystore

    keystore = Keystore(data_dir / KEYS_DIRECTORY, hrp)
    try:
        return keystore.entry(DEV_KEY).address, False
    except KeyNotFound:
        given = passphrase()
        with ThreadPoolExecutor(1) as worker:
            making = worker.submit(keystore.create, DEV_KEY, DEV_KEY if given is None else given)
            # Encrypting the key (scrypt) runs without the interpreter's lock and takes about as long as this
            # import, so the two are done at the same time.
            import_module("engram.node.node")
            return making.result().address, given is None
