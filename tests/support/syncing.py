"""A chain whose sync is in a test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec
from engram.node.concurrency import ReaderThreads
from engram.node.sync.sync import Sync, SyncLimits
from tests.support.node_chain import SPEC, Running, running


@asynccontextmanager
async def syncing(
    limits: SyncLimits, *, spec: ChainSpec = SPEC, blocks: Sequence[Block] = ()
) -> AsyncIterator[tuple[Running, Sync]]:
    """A chain that begins with these blocks, and a sync that runs."""
    threads = ReaderThreads(2)
    async with running(spec=spec) as node:
        await node.take(*blocks)
        sync = Sync(node.chain, node.clock, threads, limits)
        service = asyncio.create_task(sync.run())
        try:
            yield node, sync
        finally:
            service.cancel()
            await asyncio.wait([service])
            threads.close()
