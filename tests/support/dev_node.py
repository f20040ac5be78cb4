"""A real node in a thread of its own, on LevelDB and loopback sockets, that mines when transactions wait.

Commands run their own event loops, so the node they talk to needs another one. Seeds and balances are fixed;
the proof of work is real and easy.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import structlog

from engram.consensus.chainspec import Allocation, ChainSpec, local
from engram.node.config import Config
from engram.node.datadir import KEYS_DIRECTORY
from engram.node.keystore import Keystore, write_private
from engram.node.node import Node
from engram.primitives.keys import PrivateKey, format_address
from tests.support.round_matter import ACTORS, PURSE, SMALL_RULES

HRP: Final = "leng"
PASSPHRASE: Final = "correct horse"
SEEDS: Final = {"alice": b"\x01" * 32, "bob": b"\x02" * 32, "miner": b"\x03" * 32}
START_S: Final = 30.0


def address_of(name: str) -> str:
    """Address text of one of the fixed keys."""
    return format_address(PrivateKey.from_seed(SEEDS[name]).address, HRP)


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
def running_node(config: Config, spec: ChainSpec) -> Iterator[Node]:
    """The node, answering; stopped and joined at the end. Raises what kept it from starting.

    What it logs goes to `node.log` in its data directory: standard output is the commands'.
    """
    node = Node(config, spec, mine_on_demand=True)
    thread = _NodeThread(node)
    with _logging_to(config.data_dir / "node.log"):
        thread.start()
        try:
            thread.wait_until_ready()
            yield node
        finally:
            thread.stop()


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    before = structlog.get_config()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(stream))
        try:
            yield
        finally:
            structlog.configure(**before)


class _NodeThread(threading.Thread):
    def __init__(self, node: Node) -> None:
        super().__init__(name="dev-node", daemon=True)
        self._node = node
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # handed to the thread that waits
            self._failure = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._node.run())
            group.create_task(self._tell_ready())

    async def _tell_ready(self) -> None:
        await self._node.ready.wait()
        self._ready.set()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(START_S), "the node did not start"
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._node.stop)
        self.join(START_S)
        assert not self.is_alive(), "the node did not stop"
