"""Whole nodes catch up with each other: late, after an absence or a partition, and past peers that cheat."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from engram.node.clock import FakeClock
from engram.p2p.messages import Announce, BlockData, GetBlock, GetHeaders
from engram.primitives.types import Hash
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain, search
from tests.support.node_chain import ALICE, BOB, CAROL, SPEC, fork, ids, paying_chain
from tests.support.node_network import NodeNetwork, node_network
from tests.support.served_chain import ServedChain
from tests.support.until import pass_until, until

PURSE = SPEC.allocations[0].amount
Cheat = Callable[[MemoryChain, Hash], Awaitable[bytes | None]]


@pytest.fixture(scope="module")
def long_chain() -> MemoryChain:
    return paying_chain(150)


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(12)


async def test_a_late_node_fetches_headers_first_and_bodies_from_all(
    network: NodeNetwork, long_chain: MemoryChain
) -> None:
    first, second = await network.start("first"), await network.start("second", "first")
    await first.take(long_chain.blocks[1:])
    await second.follow(first)
    late = await network.start("late", "first", "second")
    await late.follow(first)
    assert late.chain.state().account(BOB.address) == first.chain.state().account(BOB.address)
    order = [type(said.message) for said in network.said if said.source == "late"]
    assert order.index(GetHeaders) < order.index(GetBlock)
    shares = [network.bodies_asked("late", peer) for peer in ("first", "second")]
    assert sum(shares) == 150
    assert {network.asked("late", name) for name in ids(long_chain.blocks)[1:]} == {1}
    assert min(shares) > 0


async def test_a_sync_goes_on_after_a_restart_where_it_was(
    network: NodeNetwork, long_chain: MemoryChain
) -> None:
    """What was executed is not fetched again, whether the node ends in the middle or not."""
    gate = asyncio.Event()
    names = ids(long_chain.blocks)

    async def half(name: Hash) -> bytes | None:
        if names.index(name) > 70:
            await gate.wait()
        return ServedChain(long_chain.blocks).found(name)

    await network.serve("source", ServedChain(long_chain.blocks, body=half))
    node = await network.start("node", "source")
    await node.reach(70)
    await network.stop("node")
    gate.set()
    network.said.clear()
    node = await network.start("node", "source")
    assert node.chain.head.height == 70
    await node.reach(150)
    assert network.bodies_asked("node", "source") == 80
    assert not any(network.asked("node", name) for name in names[:71])


async def test_a_node_that_was_away_fetches_what_it_missed(
    network: NodeNetwork, long_chain: MemoryChain
) -> None:
    stayed, away = await network.line("stayed", "away")
    await stayed.take(long_chain.blocks[1:101])
    await away.follow(stayed)
    await network.stop("away")
    await stayed.take(long_chain.blocks[101:])
    network.said.clear()
    away = await network.start("away", "stayed")
    await away.follow(stayed)
    assert network.bodies_asked("away", "stayed") == 50


async def test_a_node_that_is_stopped_in_the_middle_goes_on(
    network: NodeNetwork, long_chain: MemoryChain
) -> None:
    first = await network.start("first")
    await first.take(long_chain.blocks[1:])
    late = await network.start("late", "first")
    await late.reach(20)
    await network.stop("late")
    late = await network.start("late", "first")
    assert 20 <= late.chain.head.height < 150
    await late.follow(first)


async def test_the_others_serve_on_when_one_goes_away(network: NodeNetwork, long_chain: MemoryChain) -> None:
    first, second = await network.start("first"), await network.start("second", "first")
    await first.take(long_chain.blocks[1:])
    await second.follow(first)
    late = await network.start("late", "first", "second")
    await late.reach(20)
    await network.stop("first")
    await late.follow(second)


@pytest.mark.fault(id=23)
async def test_new_blocks_and_transactions_pass_once(network: NodeNetwork) -> None:
    left, middle, right = members = await network.line("left", "middle", "right")
    right.services.peers.add_peer(network.address("left"))
    for member in members:
        await network.connected(member, 2)
    payment = MemoryChain(SPEC).sign(ALICE, Transfer(BOB.address, 5))
    await left.admit(payment)
    await until(lambda: middle.waits(payment) and right.waits(payment))
    mined = await right.mine() + await right.mine()
    for member in members:
        await member.follow(right)
        assert member.chain.state().account(BOB.address).balance == PURSE + 5
    await until(lambda: not any(member.waits(payment) for member in members))
    assert [network.asked(name, payment.id) for name in ("left", "middle", "right")] == [0, 1, 1]
    assert [network.asked(name, mined[0]) for name in ("left", "middle", "right")] == [1, 1, 0]


async def test_what_waits_reaches_a_peer_that_comes_later(network: NodeNetwork) -> None:
    first = await network.start("first")
    await first.mine(30)
    signer = MemoryChain(SPEC)
    payments = [signer.sign(ALICE, Transfer(BOB.address, 5), nonce=nonce) for nonce in range(3)]
    for payment in payments:
        await first.admit(payment)
    late = await network.start("late", "first")
    await until(lambda: all(late.waits(payment) for payment in payments))
    assert late.chain.head.id == first.chain.head.id


@pytest.mark.fault(id=15)
async def test_a_partition_heals_to_the_heavier_branch(network: NodeNetwork) -> None:
    north, south = await network.line("north", "south")
    await north.mine(2)
    await south.follow(north)
    network.network.partition(["north"], ["south"])
    await until(lambda: not north.peers and not south.peers)
    lost = MemoryChain(SPEC).sign(ALICE, Transfer(BOB.address, 7))
    await north.admit(lost)
    await north.mine(2)
    await until(lambda: not north.waits(lost))
    await south.mine(5)
    network.network.heal()
    await north.follow(south)
    assert north.chain.head.height == 7
    await until(lambda: north.waits(lost) and south.waits(lost))
    await south.mine()
    await north.follow(south)
    assert north.chain.store.find_transaction(lost.id) is not None
    assert north.chain.state().account(BOB.address).balance == PURSE + 7


async def test_a_block_whose_parents_are_missing_brings_them(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    node, other = await network.line("node", "other")
    served = ServedChain(chain.blocks[:2])
    manager = await network.serve("peer", served, "node")
    await node.reach(1)
    served.blocks = chain.blocks
    manager.gossip.announce_block(ids(chain.blocks)[-1])
    await node.reach(12)
    await other.follow(node)
    assert network.asked("node", ids(chain.blocks)[-1]) <= 3, "compact, whole, and with its ancestors"


async def test_a_block_that_is_announced_during_a_download_is_fetched_afterwards(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    """Nobody announces a block twice."""
    older, gate = ServedChain(chain.blocks[:-1]), asyncio.Event()

    async def body(name: Hash) -> bytes | None:
        await gate.wait()
        return older.found(name)

    older.body = body
    node = await network.start("node")
    newer = ServedChain(chain.blocks[:1], body=body)
    manager = await network.serve("newer", newer, "node")
    await network.serve("older", older, "node")
    await until(lambda: node.services.sync.is_running)
    newer.blocks, newer.body = chain.blocks, None
    manager.gossip.announce_block(ids(chain.blocks)[-1])
    await until(lambda: network.count("newer", "node", Announce))
    gate.set()
    await node.reach(12)


async def test_a_block_that_its_only_announcer_did_not_deliver_in_time_is_asked_for_again(
    tmp_path: Path, chain: MemoryChain
) -> None:
    clock = FakeClock(chain.tip.timestamp_ms)
    async with node_network(tmp_path, clock=clock) as network:
        node = await network.start("node")
        served, gate = ServedChain(chain.blocks[:-1]), asyncio.Event()
        manager = await network.serve("peer", served, "node")
        await node.reach(11)
        await until(lambda: not node.services.sync.is_running)
        asked: list[Hash] = []

        async def body(name: Hash) -> bytes | None:
            asked.append(name)
            if len(asked) == 1:
                await gate.wait()
            return served.found(name)

        served.blocks, served.body = chain.blocks, body
        manager.gossip.announce_block(ids(chain.blocks)[-1])
        await until(lambda: asked)
        clock.advance(9_900)
        assert node.chain.head.height == 11
        clock.advance(200)
        gate.set()
        await node.reach(12)


@pytest.fixture(scope="module")
def ahead(chain: MemoryChain) -> MemoryChain:
    """The chain with one more block, 5 s after the one before."""
    branch = fork(chain)
    template = branch.template(timestamp_ms=chain.tip.timestamp_ms + 5_000)
    branch.take(template.seal(search(SPEC, template.header)))
    return branch


async def test_an_announced_block_ahead_of_the_clock_is_tried_again(
    tmp_path: Path, ahead: MemoryChain
) -> None:
    tip = ids(ahead.blocks)[-1]
    clock = FakeClock(ahead.tip.timestamp_ms - 5_000)
    async with node_network(tmp_path, clock=clock) as network:
        node, other = await network.line("node", "other")
        served = ServedChain(ahead.blocks[:-1])
        manager = await network.serve("peer", served, "node")
        await node.reach(12)
        await until(lambda: not node.services.sync.is_running)
        served.blocks = ahead.blocks
        manager.gossip.announce_block(tip)
        await until(lambda: node.chain.parked(tip))
        assert node.chain.parked(tip) == "timestamp_ahead"
        clock.advance(2_999)
        await other.follow(node)
        assert node.chain.parked(tip)
        clock.advance(1)
        await node.reach(13)
        await other.follow(node)
        assert served.partings == [], "nobody is to blame"


async def test_a_header_ahead_of_the_clock_is_asked_for_again(tmp_path: Path, ahead: MemoryChain) -> None:
    clock = FakeClock(ahead.tip.timestamp_ms - 5_000)
    async with node_network(tmp_path, clock=clock) as network:
        node = await network.start("node")
        served = ServedChain(ahead.blocks)
        await network.serve("peer", served, "node")
        await node.reach(12)
        clock.advance(3_000)
        await node.reach(13)
        assert served.partings == [], "nobody is to blame"


async def test_a_node_that_is_far_behind_does_not_mine_on_its_old_head(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    served, gate = ServedChain(chain.blocks), asyncio.Event()

    async def body(name: Hash) -> bytes | None:
        await gate.wait()
        return served.found(name)

    served.body = body
    behind = await network.start("behind", mine=True)
    await network.serve("peer", served, "behind")
    mining = behind.services.mining
    await until(lambda: mining.status()["paused"])
    payment = MemoryChain(SPEC).sign(CAROL, Transfer(BOB.address, 5))
    await behind.admit(payment)
    elsewhere = await network.start("elsewhere", mine=True)
    await elsewhere.admit(payment)
    await elsewhere.reach(1)  # by then the one that is behind would have mined its block too
    assert (behind.chain.head.height, mining.blocks, mining.hashes) == (0, 0, 0)
    gate.set()
    await behind.reach(len(chain.blocks))
    assert not mining.status()["paused"]
    await until(lambda: not behind.waits(payment))
    assert behind.chain.store.canonical_id(len(chain.blocks) - 1) == ids(chain.blocks)[-1]


@pytest.mark.fault(id=39)
async def test_who_dials_in_and_stalls_is_passed_by(tmp_path: Path, chain: MemoryChain) -> None:
    """The staller answers nothing any more; it is asked for bodies too, as it may have them."""
    clock = FakeClock(chain.tip.timestamp_ms)
    async with node_network(tmp_path, clock=clock) as network:
        node = await network.start("node")
        stalling = StallingHeaders(chain.blocks, claimed_work=2**200)
        await network.serve("staller", stalling, "node")
        await until(lambda: stalling.asked)
        await network.serve("honest", ServedChain(chain.blocks), "node")
        await until(lambda: network.count("node", "staller", GetBlock) == 4)
        await until(lambda: network.count("honest", "node", BlockData) == len(chain.blocks) - 1 - 4)
        # In one leap, the time of an answer that is here and not read yet would be over too.
        await pass_until(clock, lambda: node.chain.head.height == len(chain.blocks) - 1)


class StallingHeaders(ServedChain):
    """Claims to have more, and never says what."""

    asked = False

    async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
        self.asked = True
        await asyncio.Event().wait()
        return ()
