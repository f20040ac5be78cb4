"""Peers that announce a block first and then stay mute: what they cost, alone and many together."""

import pytest

from engram.p2p.gossip import GossipLimits
from tests.support.faults import Played, inputs
from tests.support.p2p_nodes import MemoryNodes, Node, running


async def seconds_until_the_block_is_here(world: MemoryNodes, node: Node, honest: Node) -> float:
    """The mute announce a block that the honest has mined, and then nothing of theirs arrives any more.

    The honest announces it last.
    """
    mutes = world.nodes[2:]
    block = honest.chain.append(b"wanted")
    for number, mute in enumerate(mutes, 2):
        mute.chain.blocks[block.id] = block
        world.network.delay(f"host{number}", "host0", 0.1)
        mute.manager.gossip.announce_block(block.id)
    await world.settle()
    for number, _ in enumerate(mutes, 2):
        world.network.lose(f"host{number}", "host0")
    await world.pass_time(0.1)
    honest.manager.gossip.announce_block(block.id)
    await world.settle()
    assert block.id not in node.chain.blocks, "one of the mute was asked first"
    began_s = world.clock.monotonic()
    while block.id not in node.chain.blocks:
        await world.pass_time(0.1)
    return world.clock.monotonic() - began_s


async def meet(world: MemoryNodes) -> None:
    """All dial the first node."""
    node = world.nodes[0]
    for other in world.nodes[1:]:
        other.manager.add_peer(node.address)
    await world.settle()
    assert len(node.chain.peers) == len(world.nodes) - 1


@pytest.mark.fault(id=40)
async def test_one_mute_announcer_costs_a_second() -> None:
    world = MemoryNodes(3)
    async with running(*world.nodes):
        await meet(world)
        assert await seconds_until_the_block_is_here(world, *world.nodes[:2]) <= 1.1
        await world.pass_time(10)
        assert world.nodes[0].knows(world.nodes[2]), "one unanswered request ends no session"
        assert world.nodes[0].chain.missed == [], "the block is here, so nobody need be asked for headers"


@pytest.mark.fault(id=40)
async def test_many_mute_announcers_cost_little_more_than_one(fault: Played) -> None:
    """Fails if announcers are asked one after the other: sixteen took 160 s."""
    count = inputs(40, sample=16)
    world = MemoryNodes(2 + count)
    async with running(*world.nodes):
        await meet(world)
        waited_s = await seconds_until_the_block_is_here(world, *world.nodes[:2])
        assert 1 <= waited_s <= 1.1 + count.bit_length()
        assert all(world.nodes[0].knows(mute) for mute in world.nodes[2:]), "slowness ends no session at once"
    fault.tell(count, ratio=waited_s / (10 * count))


@pytest.mark.fault(id=40)
async def test_who_has_delivered_before_is_the_second_to_be_asked(fault: Played) -> None:
    count = inputs(40, sample=16)
    world = MemoryNodes(2 + count)
    node, honest = world.nodes[:2]
    async with running(*world.nodes):
        await meet(world)
        first = honest.chain.mine(b"before")
        await world.settle()
        assert all(first.id in other.chain.blocks for other in world.nodes)
        assert await seconds_until_the_block_is_here(world, node, honest) <= 1.1
    fault.tell(count)


@pytest.mark.fault(id=40)
async def test_strangers_who_have_each_delivered_once_do_not_hold_up_the_next_block(fault: Played) -> None:
    """Fails if those who have delivered are waited for until they are given up, four at a time."""
    count = inputs(40, sample=16)
    world = MemoryNodes(2 + count)
    node, honest, *strangers = world.nodes
    async with running(*world.nodes):
        await meet(world)
        for number, stranger in enumerate(strangers):
            block = stranger.chain.mine(b"earned %d" % number)
            await world.settle()
            assert all(block.id in other.chain.blocks for other in world.nodes)
        waited_s = await seconds_until_the_block_is_here(world, node, honest)
        assert waited_s <= 7.1 + count.bit_length()
    fault.tell(count, ratio=waited_s / (10 * count))


async def test_a_late_answer_is_no_second_block() -> None:
    world = MemoryNodes(3)
    node, honest, slow = world.nodes
    async with running(*world.nodes):
        await meet(world)
        block = honest.chain.append(b"wanted")
        slow.chain.blocks[block.id] = block
        world.network.delay("host2", "host0", 3.0)
        slow.manager.gossip.announce_block(block.id)
        await world.pass_time(3.1)
        honest.manager.gossip.announce_block(block.id)
        await world.pass_time(1.1)
        assert node.chain.fetched == [block.id]
        await world.pass_time(10)
        assert node.chain.fetched == [block.id]
        assert node.knows(slow)
        assert node.chain.missed == []


async def test_transactions_that_one_announcer_withholds_come_from_the_next() -> None:
    world = MemoryNodes(3)
    node, mute, honest = world.nodes
    async with running(*world.nodes):
        await meet(world)
        world.network.delay("host1", "host0", 0.2)
        txids = [mute.chain.submit(b"pay %d" % number) for number in range(100)]
        await world.pass_time(0.2)
        world.network.lose("host1", "host0")
        await world.pass_time(0.2)
        assert node.chain.pool == {}
        honest.chain.pool.update(mute.chain.pool)
        honest.manager.gossip.announce_transactions(txids)
        await world.pass_time(1.7)
        assert len(node.chain.fetched) == 100 - GossipLimits().fetch_transactions
        await world.pass_time(0.5)
        assert sorted(node.chain.fetched) == sorted(txids)
