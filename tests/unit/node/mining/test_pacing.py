"""When the programs that play on a test network let its miners go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engram.node.clock import SystemClock
from engram.node.errors import HoldRefused
from engram.node.mining.mining import Mining, MiningSetup
from engram.node.mining.pacing import Pacing
from tests.support.node_chain import CAROL, SPEC, Running, reach, running, settled
from tests.support.until import until

BLOCK_TIME_MS = SPEC.block_time_ms
NOWHERE = "http://127.0.0.1:1"


@asynccontextmanager
async def paced() -> AsyncIterator[tuple[Running, Mining]]:
    """A chain whose miner runs and waits for programs."""
    async with running() as node:
        pacing = Pacing(lambda pace: None, node.clock, enabled=True)
        mining = Mining(
            node.chain, node.mempool, node.opened.scorer, node.clock, pacing, MiningSetup(CAROL.address)
        )
        service = asyncio.create_task(mining.run())
        await asyncio.sleep(0)
        try:
            yield node, mining
        finally:
            service.cancel()
            await asyncio.wait([service])


async def reach_in_time(node: Running, height: int) -> None:
    """Lets time pass until the head has this height."""
    while (head := node.chain.head).height < height:
        node.clock.advance(BLOCK_TIME_MS)
        await node.chain.moved_from(head)


async def test_no_block_is_made_above_the_least_height_for_which_all_are_ready() -> None:
    async with paced() as (node, mining):
        slow, quick = mining.pacing.hold(), mining.pacing.hold()
        quick.allow(100)
        slow.allow(2)
        mining.start()
        await reach_in_time(node, 2)
        slow.allow(1)  # whoever was ready stays ready
        assert mining.pacing.pace.limit == 2
        node.clock.advance(BLOCK_TIME_MS)
        await settled()
        assert node.chain.head.height == 2
        slow.allow(4)
        await reach_in_time(node, 4)
        mining.pacing.release(slow)
        await reach_in_time(node, 5)


async def test_while_programs_hold_a_block_comes_no_sooner_than_the_block_time() -> None:
    async with paced() as (node, mining):
        mining.pacing.hold().allow(100)
        mining.start()
        await reach(node.chain, 1)
        node.clock.advance(BLOCK_TIME_MS - 1)
        await settled()
        assert node.chain.head.height == 1
        node.clock.advance(1)
        await reach(node.chain, 2)


async def test_blocks_that_are_asked_for_wait_for_nobody() -> None:
    async with paced() as (node, mining):
        mining.pacing.hold()
        assert len(await mining.mine(2)) == 2
        assert node.chain.head.height == 2


async def test_a_muster_ends_when_enough_programs_hold_at_once() -> None:
    told: list[dict[str, Any]] = []
    pacing = Pacing(told.append, SystemClock(), enabled=True)
    pacing.await_programs(2)
    pacing.release(pacing.hold())
    first = pacing.hold()
    assert not pacing.may_mine_empty()
    pacing.hold()
    assert pacing.may_mine_empty()
    pacing.release(first)
    assert pacing.may_mine_empty()
    assert told[-1] == {"limit": 0, "programs": 1, "muster": 0}


async def test_nobody_holds_where_blocks_wait_for_nobody() -> None:
    pacing = Pacing(lambda pace: None, SystemClock(), enabled=False)
    for attempt in (pacing.hold, lambda: pacing.await_programs(1)):
        with pytest.raises(HoldRefused):
            attempt()
    assert pacing.may_mine(1)
    assert pacing.may_mine_empty()


async def test_a_miner_waits_until_it_knows_whether_others_run() -> None:
    pacing = Pacing(lambda pace: None, SystemClock(), enabled=True, others=(NOWHERE,))
    assert not pacing.may_mine(1)
    assert not pacing.may_mine_empty()
    service = asyncio.create_task(pacing.run())
    await until(lambda: pacing.may_mine(1))
    assert pacing.may_mine_empty()
    service.cancel()
    await asyncio.wait([service])
