"""A real node in a thread of its own, on LevelDB and loopback sockets, that mines when transactions wait.

Commands run their own event loops, so the node they talk to needs another one. Seeds and balances are fixed;
the proof of work is real and easy.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from engram.consensus.chainspec import Allocation, ChainSpec, local
from engram.node.config import Config
from engram.node.datadir import KEYS_DIRECTORY
from engram.node.files import write_private
from engram.node.keystore import Keystore
from engram.node.threaded import running_node
from engram.primitives.keys import PrivateKey, format_address
from tests.support.cli import Shell
from tests.support.round_matter import ACTORS, PURSE, SMALL_RULES

HRP: Final = "leng"
PASSPHRASE: Final = "correct horse"
SEEDS: Final = {"alice": b"\x01" * 32, "bob": b"\x02" * 32, "miner": b"\x03" * 32}


def address_of(name: str, hrp: str = HRP) -> str:
    """Address text of one of the fixed keys."""
    return format_address(PrivateKey.from_seed(SEEDS[name]).address, hrp)


def dev_spec() -> ChainSpec:
    """A local chain of short rounds; alice, bob and the actors of `round_matter` hold 1,000 coins each.

    A block is due every hour: a round that runs makes a node that mines on demand mine no block in a test.
    """
    holders = [PrivateKey.from_seed(SEEDS[name]) for name in ("alice", "bob")]
    allocations = tuple(Allocation(key.address, PURSE) for key in (*holders, *ACTORS))
    # A little in the past: blocks that are mined at once would otherwise run ahead of the clock.
    spec = local(allocations, time.time_ns() // 1_000_000 - 600_000)
    return replace(spec, rules=SMALL_RULES, block_time_ms=3_600_000, half_life_ms=30 * 3_600_000)


def write_keys(data_dir: Path) -> None:
    """The fixed keys, encrypted under `PASSPHRASE`."""
    for name, content in _key_files().items():
        write_private(data_dir / KEYS_DIRECTORY / name, content)


@cache
def _key_files() -> dict[str, bytes]:
    """Name and content of the fixed keys' files, made once: a key's derivation takes a third of a second."""
    with tempfile.TemporaryDirectory() as folder:
        keystore = Keystore(Path(folder), HRP)
        paths = [keystore.create(name, PASSPHRASE, seed=seed).path for name, seed in SEEDS.items()]
        return {path.name: path.read_bytes() for path in paths}


@contextmanager
def served_shell(data_dir: Path) -> Iterator[Shell]:
    """A user of a node that mines when transactions wait."""
    write_keys(data_dir)
    config = Config(data_dir=data_dir, rpc_port=0, p2p_port=0, mine=True, miner_address=address_of("miner"))
    with running_node(config, dev_spec()):
        yield Shell(data_dir, {"ENGRAM_PASSPHRASE": PASSPHRASE})
