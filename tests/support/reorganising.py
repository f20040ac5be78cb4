"""Replaces the last blocks of a stage's node by others, while everybody on the stage waits for a block."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from engram.node.client import RpcClient
from engram.statemachine.transaction import Transaction
from tests.support.memory_chain import MemoryChain, search
from tests.support.node_chain import disk_store, miner_address, running
from tests.support.stage import Stage

_AHEAD_MS = 10**6
"""The clock of the importer is so far ahead of the chain, so that it takes every block at once."""

When = Callable[[RpcClient], Awaitable[int | None]]
"""Gives the height of the last block that both branches share, once it is time; None before."""
Held = Callable[[MemoryChain, Sequence[Transaction]], Sequence[Transaction]]
"""What the next block of the branch that wins holds; it is given what the blocks that are lost hold."""


def nothing(chain: MemoryChain, lost: Sequence[Transaction]) -> Sequence[Transaction]:
    return ()


@dataclass
class Reorganiser:
    """Makes a node change to a longer branch, once. What waited for the blocks that it loses is gone."""

    stage: Stage
    when: When
    held: Held = nothing
    done: int = 0
    """How many blocks have been replaced."""

    def begin(self) -> None:
        """From now on, it looks before each block whether it is time."""
        self.stage.pacer.before_block = self._before_block

    async def _before_block(self) -> bool:
        if self.done:
            return False
        async with self.stage.client() as client:
            shared = await self.when(client)
        if shared is None:
            return False
        await asyncio.to_thread(self.stage.stop)
        height = await self._replace(shared)
        await asyncio.to_thread(self.stage.start)
        self.stage.pacer.moved(height)
        return True

    async def _replace(self, shared: int) -> int:
        """The height of the new head."""
        spec = self.stage.spec
        store, branch = disk_store(self.stage.folder, spec), MemoryChain(spec)
        names = [name for _, name in store.canonical(1)]
        for name in names[:shared]:
            branch.take(store.get_block(store.get_ref(name)))
        lost = [tx for name in names[shared:] for tx in store.get_block(store.get_ref(name)).transactions]
        while branch.height <= len(names):
            miner, moment = miner_address(1_000 + branch.height), branch.tip.timestamp_ms + 1
            template = branch.template(self.held(branch, lost), miner=miner, timestamp_ms=moment)
            branch.take(template.seal(search(spec, template.header)))
        async with running(store, spec, now_ms=branch.tip.timestamp_ms + _AHEAD_MS) as node:
            outcomes = await node.take(*branch.blocks[shared + 1 :])
        assert outcomes[-1] == "reorged", outcomes
        self.done = len(names) - shared
        return branch.height
