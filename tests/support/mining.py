"""A chain whose mining is in a test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from engram.consensus.chainspec import ChainSpec
from engram.node.mining.miner import Miner
from engram.node.mining.mining import Mining, MiningSetup
from engram.node.mining.pacing import Pacing
from tests.support.node_chain import SPEC, Running, running


@asynccontextmanager
async def mining(setup: MiningSetup, spec: ChainSpec = SPEC) -> AsyncIterator[tuple[Running, Mining]]:
    """A chain with a miner that waits for programs; both stop when the block ends."""
    async with running(spec=spec) as node:
        pacing = Pacing(lambda pace: None, node.clock, enabled=True)
        new_miner = partial(Miner, node.chain, node.mempool, node.opened.scorer, node.clock, pacing)
        hands = Mining(new_miner, pacing, setup)
        service = asyncio.create_task(hands.run())
        await asyncio.sleep(0)
        try:
            yield node, hands
        finally:
            service.cancel()
            await asyncio.wait([service])
