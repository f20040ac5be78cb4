"""Makes a chain for development, whose coins belong to a new key."""

from __future__ import annotations

import time
from typing import Final

from engram.commands.support.session import CommandSession
from engram.participant.coins import SPARKS_PER_COIN

DEV_KEY: Final = "dev"
"""Name of the key that owns the coins of a development chain, and its passphrase if the user gives none."""
DEV_COINS: Final = 1_000_000


def make_dev_chain(session: CommandSession) -> None:
    """Makes a chain for development in a directory that holds none.

    If an earlier attempt was cut off after it had made the key, that key is used.
    """
    from concurrent.futures import ThreadPoolExecutor
    from importlib import import_module

    from engram.consensus.chainspec import Allocation, dev
    from engram.node.config import SPEC_NAME
    from engram.node.datadir import KEYS_DIRECTORY, make_data_dir
    from engram.node.errors import KeyNotFound
    from engram.node.keystore import Keystore

    data_dir = session.config.data_dir
    if (data_dir / SPEC_NAME).exists():
        return
    begin_ms = time.time_ns() // 1_000_000
    keystore = Keystore(data_dir / KEYS_DIRECTORY, dev((), begin_ms).hrp)
    try:
        address = keystore.entry(DEV_KEY).address
    except KeyNotFound:
        passphrase = session.given_passphrase()
        with ThreadPoolExecutor(1) as worker:
            making = worker.submit(keystore.create, DEV_KEY, DEV_KEY if passphrase is None else passphrase)
            # Encrypting the key (scrypt) runs without the interpreter's lock and takes about as long as this
            # import, so the two are done at the same time.
            import_module("engram.node.node")
            address = making.result().address
        if passphrase is None:
            session.note(
                f"the passphrase of the key {DEV_KEY} is {DEV_KEY}: set ENGRAM_PASSPHRASE={DEV_KEY} to use it"
            )
    make_data_dir(data_dir, dev((Allocation(address, DEV_COINS * SPARKS_PER_COIN),), begin_ms))
