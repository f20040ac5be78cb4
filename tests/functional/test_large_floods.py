"""Strangers on a chain whose blocks may be larger than a message: what they can do to a node."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from engram.consensus.block import Block
from engram.node.clock import FakeClock
from engram.node.compactblocks import MAX_LARGE_BODIES, HeldBlock
from engram.node.concurrency import ReaderThreads
from engram.p2p.blockmessages import GetOutline, Outline
from engram.p2p.errors import DisconnectReason
from engram.p2p.messages import BlockTransactions, GetBlockTransactions, GetCompact, GetHeaders
from engram.p2p.relayed import ServedBlock
from engram.primitives.types import Hash
from tests.support.large_blocks import LARGE, large_chain, upload
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import BOB, LATE_MS, miner_address
from tests.support.node_network import NodeNetwork, node_network
from tests.support.served_chain import ServedChain
from tests.support.until import pass_until, until

CHUNKS = 24


@pytest.fixture
def threads() -> Iterator[ReaderThreads]:
    threads = ReaderThreads(1)
    yield threads
    threads.close()


class HalfBlock(HeldBlock):
    """A block whose compact form and outline are true, and whose transactions nobody gets."""

    async def body(self, places: Sequence[int]) -> bytes:
        if places:
            await asyncio.Event().wait()
        return await super().body(places)


class ChangedBlock(HeldBlock):
    """A block whose compact form and outline are true, and whose transactions are those of another one."""

    other: Block

    async def body(self, places: Sequence[int]) -> bytes:
        return await HeldBlock(self.other, self._threads).body(places)


@dataclass
class Stranger(ServedChain):
    """Has the header of a block with work, and says that it has the block."""

    half: HeldBlock | None = None

    async def near_block(self, block_id: Hash) -> ServedBlock | None:
        return self.half


async def strangers(network: NodeNetwork, halves: Sequence[HeldBlock]) -> list[Stranger]:
    """So many peers have a session with the node, and announce one of these blocks each."""
    genesis = MemoryChain(LARGE).blocks
    served: list[Stranger] = []
    for number, half in enumerate(halves):
        served.append(Stranger(genesis, LARGE, half=half))
        manager = await network.serve(f"stranger{number}", served[-1], "node")
        await until(manager.peers)
        manager.gossip.announce_block(half.id)
    return served


@pytest.mark.parametrize("count", [1, 12])
async def test_parts_that_strangers_keep_back_come_from_an_honest_peer(
    tmp_path: Path, threads: ReaderThreads, count: int
) -> None:
    """All of them heard of the block before, and each is asked for a part that it does not send."""
    _, (block,) = large_chain(CHUNKS)
    clock = FakeClock(LATE_MS)
    async with node_network(tmp_path, LARGE, clock) as network:
        node, honest = await network.start("node"), await network.start("honest", "node")
        await network.connected(honest)
        await strangers(network, [HalfBlock(block, threads) for _ in range(count)])
        await until(lambda: network.count("node", "stranger0", GetBlockTransactions) > 0)
        await honest.take([block])
        await pass_until(clock, lambda: node.chain.head.id == block.header.id)
        assert network.count("stranger0", "node", BlockTransactions) <= 1, "the first answer is nil"


async def test_false_parts_end_the_session_and_cost_nobody_else_anything(
    tmp_path: Path, threads: ReaderThreads
) -> None:
    _, (block,) = large_chain(CHUNKS)
    changed = ChangedBlock(block, threads)
    changed.other = large_chain(0, CHUNKS)[1][1]
    clock = FakeClock(LATE_MS)
    async with node_network(tmp_path, LARGE, clock) as network:
        node, honest = await network.start("node"), await network.start("honest", "node")
        await network.connected(honest)
        (liar,) = await strangers(network, [changed])
        assert await liar.parting() == DisconnectReason.BAD_REPLY
        await honest.take([block])
        await pass_until(clock, lambda: node.chain.head.id == block.header.id)


async def test_no_more_than_four_large_blocks_are_under_way(tmp_path: Path, threads: ReaderThreads) -> None:
    """Each has cost as much as the head. What is beyond four is left to the headers of its announcer."""
    halves: list[HeldBlock] = []
    for number in range(MAX_LARGE_BODIES + 3):
        chain = MemoryChain(LARGE)
        block = chain.mine(upload(chain, 17, BOB, seed=number), miner=miner_address(number))
        halves.append(HalfBlock(block, threads))
    async with node_network(tmp_path, LARGE, FakeClock(LATE_MS)) as network:
        await network.start("node")
        await strangers(network, halves)
        names = [f"stranger{number}" for number in range(len(halves))]
        beyond = names[MAX_LARGE_BODIES:]
        await until(lambda: all(network.count("node", name, GetHeaders) for name in beyond))
        assert all(network.count("node", name, GetCompact) == 1 for name in names)
        assert sum(network.count("node", name, GetOutline) for name in names) == MAX_LARGE_BODIES


async def test_what_waits_for_its_parent_is_not_fetched_by_an_announcement(
    tmp_path: Path, threads: ReaderThreads
) -> None:
    """Its work may be next to nothing: 32 MiB of it would cost a stranger a few digests."""
    _, (parent, child) = large_chain(1, CHUNKS)
    async with node_network(tmp_path, LARGE, FakeClock(LATE_MS)) as network:
        node = await network.start("node")
        await strangers(network, [HeldBlock(child, threads)])
        await until(lambda: network.count("node", "stranger0", GetHeaders))
        assert network.count("node", "stranger0", GetOutline) == 0
        assert network.count("stranger0", "node", Outline) == 0
        await node.take([parent])
        assert node.chain.head.id == parent.header.id
