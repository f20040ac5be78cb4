"""Many nodes in one loop under a clock turned by hand: partitions, losses, delays, back-off, time-outs."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import pytest

from engram.p2p.errors import DialFailed, DisconnectReason, PeerTimeout
from engram.p2p.link import Link, PeerAddress
from engram.p2p.manager import PeerConfig
from engram.p2p.memory import MemoryTransport
from engram.p2p.messages import MAX_ANNOUNCED_BLOCKS
from engram.p2p.targets import RedialLimits, TargetInfo
from tests.support.p2p_nodes import MemoryNodes, Node, running

T = TypeVar("T")


async def mesh(world: MemoryNodes) -> None:
    """Every node dials every earlier one."""
    for index, node in enumerate(world.nodes):
        for other in world.nodes[:index]:
            node.manager.add_peer(other.address)
    await world.settle()
    assert all(len(node.chain.peers) == len(world.nodes) - 1 for node in world.nodes)


async def asked(world: MemoryNodes, request: Awaitable[T]) -> T:
    """The answer to a request, however long it takes."""
    asking = asyncio.ensure_future(request)
    while not asking.done():
        await world.pass_time(0.5)
    return await asking


def tips(world: MemoryNodes) -> list[bytes]:
    return [node.chain.tip.id for node in world.nodes]


async def test_a_block_reaches_all_nodes_without_time_passing() -> None:
    world = MemoryNodes(6)
    async with running(*world.nodes):
        for node, following in pairwise(world.nodes):
            node.manager.add_peer(following.address)
        await world.settle()
        block = world.nodes[0].chain.mine(b"one")
        await world.settle()
        assert tips(world) == [block.id] * 6


async def test_transactions_are_gathered_for_a_tenth_of_a_second_and_blocks_are_not() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        await mesh(world)
        first.chain.submit(b"pay")
        await world.settle()
        assert second.chain.pool == {}
        first.chain.mine(b"block")
        await world.settle()
        assert second.chain.tip == first.chain.tip
        assert len(second.chain.pool) == 1, "a block takes waiting transactions along"
        first.chain.submit(b"pay again")
        await world.settle()
        assert len(second.chain.pool) == 1
        await world.pass_time(0.1)
        assert len(second.chain.pool) == 2


async def test_a_peer_that_comes_later_is_told_what_waits() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        first.chain.submit(b"pay")
        second.chain.submit(b"pay too")
        await mesh(world)
        await world.pass_time(0.2)
        assert first.chain.pool == second.chain.pool
        assert len(first.chain.pool) == 2


async def test_transactions_are_fetched_once_the_node_has_caught_up() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        first.chain.submit(b"pay")
        second.chain.may_judge.clear()
        await mesh(world)
        await world.pass_time(1)
        assert second.chain.pool == {}
        second.chain.may_judge.set()
        await world.settle()
        assert second.chain.pool == first.chain.pool


async def test_a_block_announced_while_it_is_executed_is_not_fetched_again() -> None:
    world = MemoryNodes(3)
    first, second, late = world.nodes
    async with running(*world.nodes):
        await mesh(world)
        late.chain.may_execute.clear()
        block = first.chain.mine(b"one")
        await world.settle()
        assert second.chain.tip == block
        assert late.chain.tip != block
        first.manager.gossip.announce_block(block.id)
        late.chain.may_execute.set()
        await world.settle()
        assert late.chain.fetched == [block.id]


async def test_of_many_new_heads_the_last_are_announced() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        await mesh(world)
        blocks = [first.chain.mine(b"%d" % number) for number in range(40)]
        await world.settle()
        known = list(dict.fromkeys(second.chain.announced))
        assert known == [block.id for block in blocks[-MAX_ANNOUNCED_BLOCKS:]]


@pytest.mark.fault(id=15)
async def test_a_partition_cuts_links_and_heals_by_redialling() -> None:
    world = MemoryNodes(4)
    async with running(*world.nodes):
        await mesh(world)
        world.network.partition(["host0", "host1"], ["host2", "host3"])
        await world.settle()
        assert [len(node.chain.peers) for node in world.nodes] == [1, 1, 1, 1]
        left = world.nodes[0].chain.mine(b"left")
        right = world.nodes[3].chain.mine(b"right")
        await world.pass_time(60)
        assert tips(world) == [left.id, left.id, right.id, right.id]
        world.network.heal()
        await world.pass_time(30)
        assert [len(node.chain.peers) for node in world.nodes] == [3, 3, 3, 3]
        block = world.nodes[0].chain.mine(b"more")
        assert left.id not in world.nodes[2].chain.blocks
        found = await world.nodes[2].peer(world.nodes[0]).get_headers([right.id], 10)
        assert found == (left.header, block.header)


async def test_a_silent_host_is_noticed_within_three_quarters_of_a_minute() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        await mesh(world)
        world.network.lose("host1", "host0")
        await world.pass_time(44)
        assert first.knows(second)
        await world.pass_time(2)
        assert first.chain.partings == [(second.key.public_key, DisconnectReason.TIMEOUT)]
        assert second.chain.partings == [(first.key.public_key, DisconnectReason.TIMEOUT)]


async def test_a_quiet_session_lives_on() -> None:
    world = MemoryNodes(2)
    async with running(*world.nodes):
        await mesh(world)
        await world.pass_time(120)
        assert [node.chain.partings for node in world.nodes] == [[], []]
        assert all(node.manager.peers()[0].connected_s > 119 for node in world.nodes)


async def test_three_unanswered_requests_end_a_session() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        await mesh(world)
        release = []

        async def hang(block_id: bytes) -> None:
            release.append(block_id)
            await world.clock.sleep(1_000)

        second.chain.block_bytes = hang  # type: ignore[method-assign]  # a store that hangs
        peer = first.peer(second)
        for number in range(3):
            assert first.chain.partings == []
            with pytest.raises(PeerTimeout):
                await asked(world, peer.get_block(bytes([number]) * 32))
        await world.settle()
        assert first.chain.partings == [(second.key.public_key, DisconnectReason.TIMEOUT)]
        assert first.policy.score(second.key.public_key) == 0


async def test_an_answer_that_comes_too_late_is_dropped() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        await mesh(world)
        block = second.chain.append(b"late")
        world.network.delay("host1", "host0", 31.0)
        with pytest.raises(PeerTimeout):
            await asked(world, first.peer(second).get_block(block.id))
        world.network.heal()
        await world.pass_time(2)
        assert (first.chain.partings, first.policy.reports) == ([], [])
        assert await asked(world, first.peer(second).get_block(block.id)) == block.packed_bytes


async def test_failed_dials_wait_longer_and_longer() -> None:
    config = PeerConfig(
        redial=RedialLimits(first_retry_s=1.0, last_retry_s=8.0), peers=(PeerAddress("nowhere", 1),)
    )
    world = MemoryNodes(1, config)
    dials: list[float] = []
    connect = world.network.connect

    def counted(source: str, address: PeerAddress) -> object:
        dials.append(world.clock.monotonic())
        return connect(source, address)

    world.network.connect = counted  # type: ignore[assignment,method-assign]  # counts on the way
    async with running(*world.nodes):
        await world.pass_time(60)
    waits = [later - earlier for earlier, later in pairwise(dials)]
    for wait_s, longest_s in zip(waits, [2.0, 4.0, 8.0, 8.0, 8.0], strict=False):
        assert longest_s / 2 <= wait_s <= longest_s + 0.2
    assert len(waits) >= 8


async def test_targets_say_how_they_stand() -> None:
    nowhere = PeerAddress("nowhere", 1)
    world = MemoryNodes(2, PeerConfig(redial=RedialLimits(first_retry_s=4.0, last_retry_s=4.0)))
    first, second = world.nodes
    first.manager.add_peer(nowhere)
    assert first.manager.targets() == [TargetInfo(nowhere, nowhere.host, None, None, None)]
    async with running(*world.nodes):
        first.manager.add_peer(second.address)
        await world.pass_time(1)
        failed, reached = first.manager.targets()
        assert isinstance(failed.error, DialFailed)
        assert failed.retry_s is not None
        assert 1.0 <= failed.retry_s <= 3.0, "of two to four seconds one has passed"
        key = second.key.public_key
        assert reached == TargetInfo(second.address, second.address.host, key, None, None, key)
        assert second.manager.targets() == []


async def test_a_long_session_starts_the_waits_anew() -> None:
    world = MemoryNodes(2, PeerConfig(redial=RedialLimits(first_retry_s=1.0, last_retry_s=64.0)))
    first, second = world.nodes
    async with running(*world.nodes):
        world.network.partition(["host0"])
        first.manager.add_peer(second.address)
        await world.pass_time(40)
        world.network.heal()
        await world.pass_time(64)
        assert first.knows(second)
        await world.pass_time(31)
        assert second.manager.disconnect(first.key.public_key)
        await world.settle()
        assert not first.knows(second)
        await world.pass_time(1.1)
        assert first.knows(second)


async def test_crossing_dials_leave_one_session_on_both_sides() -> None:
    for _ in range(5):
        world = MemoryNodes(2)
        low, high = world.nodes
        world.network.delay("host0", "host1", 0.3)
        world.network.delay("host1", "host0", 0.2)
        async with running(*world.nodes):
            low.manager.add_peer(high.address)
            high.manager.add_peer(low.address)
            await world.pass_time(5)
            assert [peer.inbound for peer in low.manager.peers()] == [False]
            assert [peer.inbound for peer in high.manager.peers()] == [True]


async def test_a_restarted_node_takes_the_place_of_its_dead_session() -> None:
    """The first session's host lost power: no word, no reset."""
    world = MemoryNodes(2)
    staying, lost = world.nodes
    async with running(staying):
        async with running(lost):
            lost.manager.add_peer(staying.address)
            await world.settle()
            world.network.lose("host1", "host0")
        assert staying.knows(lost)
        world.network.heal()
        again = Node(
            1,
            clock=world.clock,
            config=replace(lost.config, host="host1"),
            transport=world.network.transport("host1"),
        )
        async with running(again):
            again.manager.add_peer(staying.address)
            await world.settle()
            assert again.knows(staying)
            assert len(staying.chain.peers) == 1


async def test_the_same_story_is_told_twice() -> None:
    """Losses are drawn from the network's own source: a run can be repeated."""

    async def story() -> list[list[bytes]]:
        world = MemoryNodes(4)
        async with running(*world.nodes):
            await mesh(world)
            for source in range(4):
                for target in range(4):
                    world.network.lose(f"host{source}", f"host{target}", 0.2)
            for number in range(30):
                world.nodes[number % 4].chain.submit(b"pay %d" % number)
                await world.pass_time(0.5)
            await world.pass_time(60)
            return [node.chain.fetched for node in world.nodes]

    assert await story() == await story()


async def test_two_addresses_of_one_node_share_one_session_for_good() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        first.manager.add_peer(second.address)
        await world.settle()
        first.manager.add_peer(replace(second.address, node_key=second.key.public_key))
        await world.pass_time(120)
        assert first.chain.partings == [(second.key.public_key, DisconnectReason.DUPLICATE)]
        assert len(first.chain.peers) == len(second.chain.peers) == 1


async def test_a_dial_that_hangs_is_given_up() -> None:
    world = MemoryNodes(1)
    dials: list[float] = []

    class Hanging(MemoryTransport):
        async def dial(self, address: PeerAddress) -> Link:
            dials.append(world.clock.monotonic())
            await world.clock.sleep(1e6)
            return await super().dial(address)

    config = PeerConfig(
        host="host9", peers=(PeerAddress("nowhere", 1),), dial_s=5.0, redial=RedialLimits(first_retry_s=1.0)
    )
    node = Node(0, config=config, clock=world.clock, transport=Hanging(world.network, "host9"))
    async with running(node):
        await world.settle()
        await world.pass_time(12)
    assert dials[0] == 0.0
    assert 6.0 <= dials[1] <= 7.1


@pytest.mark.parametrize("steps", range(20))
async def test_a_node_that_is_stopped_while_a_session_breaks_stops(steps: int) -> None:
    world = MemoryNodes(2)
    dialer, acceptor = world.nodes
    async with running(acceptor):
        task = asyncio.create_task(dialer.manager.run())
        await dialer.manager.ready.wait()
        dialer.manager.add_peer(acceptor.address)
        await world.settle()
        assert dialer.knows(acceptor)
        world.network.partition(["host0"], ["host1"])
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await world.settle()
        assert task.cancelled()
