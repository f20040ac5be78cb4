"""Peers that cheat while a whole node catches up: it gets the chain from others, and blames the right one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engram.consensus.block import Block
from engram.node.clock import FakeClock
from engram.p2p.errors import DisconnectReason
from engram.p2p.messages import Announce, GetBlock, Headers
from engram.primitives.codec import encode
from engram.primitives.packing import pack
from engram.primitives.types import Hash
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain, search
from tests.support.node_chain import ALICE, BOB, SPEC, fork, ids, miner_address, paying_chain, without_work
from tests.support.node_network import NodeNetwork, node_network
from tests.support.served_chain import ServedChain
from tests.support.until import until

pytestmark = pytest.mark.fault(id=5)

Cheat = Callable[[MemoryChain, Hash], Awaitable[bytes | None]]


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(12)


async def test_a_branch_with_less_work_is_not_fetched(network: NodeNetwork, chain: MemoryChain) -> None:
    node = await network.start("node")
    await node.take(chain.blocks[1:])
    weak = ServedChain(paying_chain(8, miner=miner_address(1)).blocks, claimed_work=2**200)
    await network.serve("weak", weak, "node")
    await until(lambda: network.count("weak", "node", Headers))
    honest = await network.start("honest", "node")
    await honest.follow(node)
    await honest.mine()
    await node.follow(honest)
    assert network.count("node", "weak", GetBlock) == 0


async def test_headers_without_work_are_refused(network: NodeNetwork, chain: MemoryChain) -> None:
    node, honest = await network.line("node", "honest")
    lazy = Block(without_work(chain.blocks[6].header), chain.blocks[6].transactions)
    cheat = ServedChain([*chain.blocks[:6], lazy, *chain.blocks[7:]])
    await network.serve("cheat", cheat, "node")
    assert await cheat.parting() == DisconnectReason.INVALID_DATA
    assert network.count("node", "cheat", GetBlock) == 0
    await honest.take(chain.blocks[1:])
    await node.follow(honest)


async def test_headers_from_nowhere_are_refused(network: NodeNetwork, chain: MemoryChain) -> None:
    node = await network.start("node")
    nowhere = ServedChain([chain.blocks[0], *chain.blocks[5:]])
    await network.serve("nowhere", nowhere, "node")
    assert await nowhere.parting() == DisconnectReason.INVALID_DATA
    assert node.chain.head.height == 0
    await node.mine()


async def test_a_single_block_without_work_is_refused(network: NodeNetwork, chain: MemoryChain) -> None:
    node = await network.start("node")
    served = ServedChain(chain.blocks[:1])
    manager = await network.serve("peer", served, "node")
    await network.connected(node)
    lazy = Block(without_work(chain.blocks[6].header), chain.blocks[6].transactions)
    served.blocks = [*chain.blocks[:1], lazy]
    manager.gossip.announce_block(lazy.header.id)
    assert await served.parting() == DisconnectReason.INVALID_DATA
    assert node.chain.parked(lazy.header.id) == ""
    await node.mine()


async def test_a_chain_whose_execution_is_false_is_refused(network: NodeNetwork, chain: MemoryChain) -> None:
    node, honest = await network.line("node", "honest")
    false = replace(chain.blocks[3].header, state_root=bytes(32))
    false = replace(false, nonce=search(SPEC, false))
    follower = fork(chain, 2)
    follower.blocks.append(Block(false, chain.blocks[3].transactions))
    template = replace(chain.blocks[4].header, parent=false.id)
    follower.blocks.append(
        Block(replace(template, nonce=search(SPEC, template)), chain.blocks[4].transactions)
    )
    cheat = ServedChain(follower.blocks)
    await network.serve("cheat", cheat, "node")
    assert await cheat.parting() == DisconnectReason.INVALID_DATA
    assert node.chain.head.id == ids(chain.blocks)[2], "what was valid stays"
    await honest.take(chain.blocks[1:])
    await node.follow(honest)


async def body_of_another(chain: MemoryChain, name: Hash) -> bytes | None:
    return pack(encode(chain.blocks[1 if name != ids(chain.blocks)[1] else 2]))


async def body_with_more(chain: MemoryChain, name: Hash) -> bytes | None:
    block = next(block for block in chain.blocks if block.header.id == name)
    more = (*block.transactions, chain.sign(ALICE, Transfer(BOB.address, 1)))
    return pack(encode(Block(block.header, more)))


async def body_of_noise(chain: MemoryChain, name: Hash) -> bytes | None:
    return pack(b"\x92\x90\x90")


async def no_body(chain: MemoryChain, name: Hash) -> bytes | None:
    return None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (body_of_another, DisconnectReason.INVALID_DATA),
        (body_with_more, DisconnectReason.INVALID_DATA),
        (body_of_noise, DisconnectReason.BAD_FRAME),
        (no_body, None),
    ],
)
async def test_bodies_that_one_peer_does_not_give_come_from_another(
    network: NodeNetwork, chain: MemoryChain, body: Cheat, reason: DisconnectReason | None
) -> None:
    both = asyncio.Event()

    async def answer(name: Hash) -> bytes | None:
        await both.wait()
        return await body(chain, name)

    honest = await network.start("honest")
    await honest.take(chain.blocks[1:])
    cheat = ServedChain(chain.blocks, body=answer)
    await network.serve("cheat", cheat)
    node = await network.start("node", "cheat")
    await until(lambda: network.count("node", "cheat", GetBlock))
    node.services.peers.add_peer(network.address("honest"))
    await network.connected(node, 2)
    both.set()
    await node.follow(honest)
    if reason is not None:
        assert await cheat.parting() == reason
        await until(lambda: len(node.peers) == 1)
    assert honest.peers == [node.key]


async def never(name: Hash) -> bytes | None:
    await asyncio.Event().wait()
    return None


async def test_a_peer_that_stalls_is_passed_by(tmp_path: Path, chain: MemoryChain) -> None:
    """All blocks that it owes come from another peer a little more than a second later."""
    clock = FakeClock(chain.tip.timestamp_ms)
    async with node_network(tmp_path, clock=clock) as network:
        honest = await network.start("honest")
        await honest.take(chain.blocks[1:])
        await network.serve("staller", ServedChain(chain.blocks, body=never))
        node = await network.start("node", "staller")
        await until(lambda: network.count("node", "staller", GetBlock) == 4)
        node.services.peers.add_peer(network.address("honest"))
        await network.connected(node, 2)
        began_s = clock.monotonic()

        def followed() -> bool:
            clock.advance(10)
            return node.chain.head.id == honest.chain.head.id

        await until(followed)
        assert clock.monotonic() - began_s < 15, "before the first request is given up"
        assert network.count("node", "staller", GetBlock) == 4


async def test_a_peer_that_stalls_is_left(tmp_path: Path, chain: MemoryChain) -> None:
    """If the download lasts long enough to see it."""
    left = asyncio.Event()

    async def last_waits(name: Hash) -> bytes | None:
        if name == chain.tip.id:
            await left.wait()
        return ServedChain(chain.blocks).found(name)

    clock = FakeClock(chain.tip.timestamp_ms)
    async with node_network(tmp_path, clock=clock) as network:
        staller = ServedChain(chain.blocks, body=never)
        await network.serve("staller", staller)
        await network.serve("honest", ServedChain(chain.blocks, body=last_waits))
        node = await network.start("node", "staller", "honest")

        def parted() -> bool:
            clock.advance(100)
            return bool(staller.partings)

        await until(parted)
        either = (DisconnectReason.TIMEOUT, DisconnectReason.REQUESTED)
        assert await staller.parting() in either, "by its session or by the download, whichever is first"
        left.set()

        def caught_up() -> bool:
            clock.advance(
                100
            )  # on a busy machine the honest one may have been given up too: it is dialled anew
            return node.chain.head.height == 12

        await until(caught_up)


async def test_a_chain_that_nobody_gives_is_left(network: NodeNetwork, chain: MemoryChain) -> None:
    async def nothing(name: Hash) -> bytes | None:
        return None

    node = await network.start("node")
    hollow = ServedChain(chain.blocks, body=nothing)
    await network.serve("hollow", hollow, "node")
    assert await hollow.parting() == DisconnectReason.REQUESTED
    await node.mine()


async def test_who_answers_with_another_block_hides_none(network: NodeNetwork, chain: MemoryChain) -> None:
    """The other block cannot be judged, as its parent is unknown; that says nothing about the one wanted."""
    node = await network.start("node")
    await node.take(chain.blocks[1:-1])
    wanted, gate = ids(chain.blocks)[-1], asyncio.Event()
    stranger = paying_chain(5, miner=miner_address(1)).blocks

    async def another(name: Hash) -> bytes | None:
        await gate.wait()
        return pack(encode(stranger[5]))

    cheat, honest = ServedChain(chain.blocks[:-1], body=another), ServedChain(chain.blocks[:-1])
    cheating = await network.serve("cheat", cheat, "node")
    serving = await network.serve("honest", honest, "node")
    await network.connected(node, 2)
    honest.blocks = chain.blocks
    cheating.gossip.announce_block(wanted)
    await until(lambda: network.count("node", "cheat", GetBlock))
    serving.gossip.announce_block(wanted)
    await until(lambda: network.count("honest", "node", Announce))
    gate.set()
    await node.reach(len(chain.blocks) - 1)
    assert await cheat.parting() == DisconnectReason.BAD_REPLY
