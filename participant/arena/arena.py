"""One node, its pacer, and the actors who play rounds on it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Self, TypeVar

from engram.consensus.chainspec import Allocation, ChainSpec, local
from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.datadir import find_run_info
from engram.node.engines.registry import NUMPY
from engram.node.node import Node
from engram.node.threaded import running_node
from engram.participant.arena.pacing import PacedClient, Pacer
from engram.participant.arena.venue import Ended as Ended
from engram.participant.arena.venue import Venue
from engram.participant.notices import Report
from engram.participant.wallet import Wallet
from engram.primitives.keys import PrivateKey, format_address
from engram.statemachine.rules import Rules

T = TypeVar("T")

PURSE: Final = 10**6 * 10**8
"""Sparks that every actor has at genesis."""
WINDOWS: Final = {
    **{"open": 3, "reveal": 4, "commit": 4, "update": 4},
    **{"witness": 4, "audit": 4, "score": 4, "gap": 1},
}
"""Phases of a few blocks: they wait for everybody."""
_EASY_TARGET: Final = (1 << 255).to_bytes(32, "big")
_START_MS: Final = 1_700_000_000_000
_HOUR_MS: Final = 3_600_000


def key_of(name: str) -> PrivateKey:
    """The key of an actor. It follows from the name, so it is for chains that hold nothing of value."""
    return PrivateKey.from_seed(hashlib.sha256(f"engram arena {name}".encode()).digest())


def arena_spec(actors: tuple[str, ...], rules: Rules) -> ChainSpec:
    """A chain on which every actor holds `PURSE`, and every second digest is a block, for ever.

    A block is due every hour, so the node mines none by itself; its genesis lies far in the past, so no block
    is ahead of the clock.
    """
    allocations = tuple(Allocation(key_of(name).address, PURSE) for name in actors)
    spec = replace(local(allocations, _START_MS), rules=rules, block_time_ms=_HOUR_MS)
    return replace(
        spec, pow="sha256d", genesis_target=_EASY_TARGET, max_target=_EASY_TARGET, half_life_ms=10**15
    )


class Arena(Venue):
    """A node, its pacer, and what everyone does on it."""

    def __init__(
        self,
        folder: Path,
        spec: ChainSpec,
        report: Report,
        keys: Mapping[str, PrivateKey] | None = None,
        engine: str = NUMPY,
    ) -> None:
        """`keys` are those of the actors by name, where they are not those of `key_of`.

        `engine` names what evaluates networks. Networks are small here and nodes many: a race of engines at
        every start would take longer than it saves.
        """
        super().__init__(folder, report, engine)
        self.spec: Final = spec
        self.pacer: Final = Pacer()
        self._keys: Final = keys
        self._node: AbstractContextManager[Node] | None = None
        self._url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """The arena with its node running; the node is stopped at the end."""
        await asyncio.to_thread(self.start)
        try:
            async with asyncio.TaskGroup() as group:
                pacing = group.create_task(self.pacer.run(self.mine))
                yield self
                pacing.cancel()
        finally:
            await asyncio.to_thread(self.stop)

    def key(self, name: str) -> PrivateKey:
        """The key of an actor."""
        return key_of(name) if self._keys is None else self._keys[name]

    def start(self) -> None:
        """Starts the node, at a port of its choice. Blocks."""
        address = format_address(key_of("miner").address, self.spec.hrp)
        config = Config(
            data_dir=self.folder, rpc_port=0, p2p_port=0, miner_address=address, engine=self.engine
        )
        self._node = running_node(config, self.spec)
        self._node.__enter__()

    def stop(self) -> None:
        """Stops it; what waits in its mempool is kept. Blocks."""
        node, self._node = self._node, None
        if node is not None:
            node.__exit__(None, None, None)

    def find(self) -> str:
        """Where the node answers, or did before it was stopped."""
        running = find_run_info(self.folder)
        self._url = running.rpc_url if running is not None else self._url
        return self._url

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RpcClient]:
        """A client of somebody who only looks."""
        async with RpcClient(self.find()) as client:
            yield client

    @asynccontextmanager
    async def actor(self, name: str) -> AsyncIterator[Wallet]:
        """The wallet of an actor; inside the block, no block is mined unless they wait too."""
        async with PacedClient(self.find, self.pacer) as client:
            self.pacer.set(client, None)
            try:
                yield Wallet(client, self.key(name))
            finally:
                self.pacer.leave(client)

    async def mine(self) -> int:
        """One block that the mempool has followed; the height it has."""
        async with RpcClient.of_data_dir(self.find(), self.folder) as client:
            (block,) = await client.call("miner_mine", blocks=1)
            height = int(block["height"])
            while int((await client.call("mempool_info"))["height"]) < height:
                continue
        return height
