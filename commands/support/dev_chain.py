"""Makes the chain of `engram run --dev` and `engram play`: a new one, whose coins belong to a new key."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engram.participant.coins import SPARKS_PER_COIN

DEV_KEY: Final = "dev"
"""Name of the key that owns the coins of a development chain, and its passphrase if the user gives none."""
DEV_COINS: Final = 1_000_000


def make_dev_chain(data_dir: Path, passphrase: Callable[[], str | None]) -> bool:
    """Makes a chain for development in a directory that holds none.

    If an earlier attempt was cut off after it had made the key, that key is used. `passphrase` is asked for
    that of a key that is made; None means `DEV_KEY`, and then True is returned.
    """
    from concurrent.futures import ThreadPoolExecutor
    from importlib import import_module

    from engram.consensus.chainspec import Allocation, dev
    from engram.node.config import SPEC_NAME
    from engram.node.datadir import KEYS_DIRECTORY, make_data_dir
    from engram.node.errors import KeyNotFound
    from engram.node.keystore import Keystore

    if (data_dir / SPEC_NAME).exists():
        return False
    begin_ms = time.time_ns() // 1_000_000
    keystore = Keystore(data_dir / KEYS_DIRECTORY, dev((), begin_ms).hrp)
    is_usual = False
    try:
        address = keystore.entry(DEV_KEY).address
    except KeyNotFound:
        given = passphrase()
        is_usual = given is None
        with ThreadPoolExecutor(1) as worker:
            making = worker.submit(keystore.create, DEV_KEY, DEV_KEY if given is None else given)
            # Encrypting the key (scrypt) runs without the interpreter's lock and takes about as long as this
            # import, so the two are done at the same time.
            import_module("engram.node.node")
            address = making.result().address
    make_data_dir(data_dir, dev((Allocation(address, DEV_COINS * SPARKS_PER_COIN),), begin_ms))
    return is_usual
