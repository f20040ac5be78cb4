"""The miner in an operator's hands: started, stopped, changed, asked for blocks."""

import asyncio

import pytest

from engram.consensus.chainspec import dev
from engram.node.errors import MinerAddressMissing, MinerChanged
from engram.node.mining.mining import MiningSetup
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.mining import mining
from tests.support.node_chain import ALICE, BOB, CAROL, SPEC, reach, settled
from tests.support.p2p_chain import WAIT_S
from tests.support.until import until


async def test_without_an_address_nothing_is_mined() -> None:
    async with mining(MiningSetup(None)) as (node, hands):
        with pytest.raises(MinerAddressMissing):
            await hands.mine(1)
        with pytest.raises(MinerAddressMissing):
            hands.start()
        assert hands.status()["mining"] is False
        hands.start(CAROL.address)
        await reach(node.chain, 3)
        assert node.chain.head.header.miner == CAROL.address


async def test_a_stopped_miner_still_mines_what_it_is_asked_for() -> None:
    async with mining(MiningSetup(CAROL.address)) as (node, hands):
        blocks = await hands.mine(3)
        assert [node.chain.store.get_ref(block).height for block in blocks] == [1, 2, 3]
        assert node.chain.head.height == 3
        assert await hands.mine(0) == []
        hands.start()
        await reach(node.chain, 5)
        await hands.stop()
        assert hands.status()["mining"] is False


async def test_after_a_stop_no_block_comes_that_was_begun_before() -> None:
    async with mining(MiningSetup(CAROL.address)) as (node, hands):
        for steps in range(60):
            hands.start()
            await reach(node.chain, node.chain.head.height + 1)
            for _ in range(steps):
                await asyncio.sleep(0)
            await hands.stop()
            head, blocks = node.chain.head, hands.blocks
            await settled()
            assert (node.chain.head.id, hands.blocks) == (head.id, blocks), steps
            await hands.stop()


async def test_a_stop_waits_for_a_block_that_was_found_and_is_being_judged() -> None:
    async with mining(MiningSetup(CAROL.address)) as (node, hands):
        for height in range(1, 31):
            tried = hands.hashes
            hands.start()
            async with asyncio.timeout(WAIT_S):
                while hands.hashes == tried:  # noqa: ASYNC110 (the very step after the search is wanted)
                    await asyncio.sleep(0)
            await hands.stop()
            assert node.chain.head.height >= height, "what was found is in the chain"
            head = node.chain.head
            await settled()
            assert node.chain.head is head
            await reach(node.chain, height)


async def test_on_demand_a_transaction_is_enough() -> None:
    async with mining(MiningSetup(CAROL.address, on_demand=True, active=True)) as (node, hands):
        assert (await node.mempool.admit(MemoryChain(SPEC).sign(ALICE, Transfer(BOB.address, 5)))).accepted
        await reach(node.chain, 1)
        assert len(node.chain.store.receipts(node.chain.head)) == 1
        await until(lambda: hands.blocks == 1)


async def test_on_a_chain_without_work_blocks_come_with_transactions_only() -> None:
    spec = dev(SPEC.allocations, SPEC.genesis_time_ms)
    async with mining(MiningSetup(CAROL.address, active=True), spec) as (node, hands):
        hands.pacing.hold().allow(100)
        await settled()
        assert node.chain.head.height == 0
        for nonce in range(3):  # and no block time passes between them
            tx = MemoryChain(spec).sign(ALICE, Transfer(BOB.address, 5), nonce=nonce)
            assert (await node.mempool.admit(tx)).accepted
            await reach(node.chain, nonce + 1)
        await until(lambda: hands.blocks == 3)
        assert hands.hashes == 0, "any nonce does: nothing is tried"


async def test_whoever_waits_for_blocks_learns_that_the_miner_was_changed() -> None:
    async with mining(MiningSetup(CAROL.address, max_hashes_per_s=1)) as (node, hands):
        asking = asyncio.create_task(hands.mine(10**6))
        await reach(node.chain, 1)
        hands.start(BOB.address, max_hashes_per_s=0)
        with pytest.raises(MinerChanged):
            await asking
        await reach(node.chain, 5)
        assert node.chain.head.header.miner == BOB.address
        assert hands.setup.max_hashes_per_s == 0
        await until(lambda: hands.blocks >= 5)
        assert hands.hashes >= hands.blocks, "the counts outlive a change"


@pytest.mark.parametrize("steps", range(6))
async def test_nothing_more_is_mined_for_a_caller_that_went_away(steps: int) -> None:
    async with mining(MiningSetup(CAROL.address)) as (node, hands):
        asking = asyncio.create_task(hands.mine(2))
        await reach(node.chain, 2)
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        [last] = await hands.mine(1)
        assert node.chain.store.get_ref(last).height == 3
        assert node.chain.head.id == last


async def test_a_paused_miner_mines_what_it_is_asked_for_and_later_goes_on() -> None:
    async with mining(MiningSetup(CAROL.address, active=True)) as (node, hands):
        await reach(node.chain, 3)
        hands.pause(True)
        await hands.mine(1)
        head = node.chain.head
        hands.start(BOB.address)  # a new miner is paused as well
        await until(lambda: hands.setup.address == BOB.address)
        for _ in range(20):
            await settled()
        assert node.chain.head is head
        assert hands.status()["paused"] is True
        hands.pause(False)
        await reach(node.chain, head.height + 3)
