"""A stranger who hears of a new block before a node's honest peers do: what he can keep from that node."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from engram.consensus.block import Block
from engram.node.clock import FakeClock
from engram.p2p.errors import DisconnectReason
from engram.p2p.messages import BlockData, GetBlock
from engram.primitives.codec import encode
from engram.primitives.packing import pack
from engram.primitives.types import Hash
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, fork, ids, miner_address, paying_chain
from tests.support.node_network import NodeNetwork, node_network
from tests.support.served_chain import ServedChain
from tests.support.until import until


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(6)


@pytest.mark.fault(id=14)
async def test_a_header_whose_body_is_withheld_keeps_the_body_of_others_from_nobody(
    tmp_path: Path, chain: MemoryChain
) -> None:
    """The honest peer is asked a moment too early and has to say no; its announcement must count all the
    same. The clock stands still, so waiting for the stranger is of no use.
    """
    clock = FakeClock(chain.tip.timestamp_ms)

    async def withheld(name: Hash) -> bytes | None:
        await asyncio.Event().wait()
        return None

    async with node_network(tmp_path, clock=clock) as network:
        honest = await network.start("honest")
        await honest.take(chain.blocks[1:-1])
        node = await network.start("node", "honest")
        await node.follow(honest)
        await network.serve("stranger", ServedChain(chain.blocks, body=withheld), "node")
        await until(lambda: network.count("node", "stranger", GetBlock))
        said_no = network.count("honest", "node", BlockData)
        await until(lambda: network.count("node", "honest", GetBlock) == said_no)
        await honest.take(chain.blocks[-1:])
        await node.follow(honest)
        await until(lambda: node.services.sync.target == 0)


@pytest.mark.fault(id=52)
async def test_another_body_under_a_good_header_does_not_wait_in_the_place_of_the_good_one(
    network: NodeNetwork, chain: MemoryChain
) -> None:
    """Its parent is not here yet, so nothing but the root of its transactions can be checked."""
    node = await network.start("node")
    await node.take(chain.blocks[1:-2])
    last = chain.blocks[-1]
    more = (*last.transactions, fork(chain, 3).sign(ALICE, Transfer(BOB.address, 1)))

    async def another(name: Hash) -> bytes | None:
        return pack(encode(Block(last.header, more)))

    served = ServedChain(chain.blocks[:-2], body=another)
    manager = await network.serve("stranger", served, "node")
    await network.connected(node)
    manager.gossip.announce_block(ids(chain.blocks)[-1])
    assert await served.parting() == DisconnectReason.INVALID_DATA
    assert node.chain.parked(last.header.id) == ""
    await node.take(chain.blocks[-1:])
    assert node.chain.parked(last.header.id) == "unknown_parent"
    await node.take(chain.blocks[-2:-1])
    await node.reach(chain.height)


@pytest.mark.fault(id=14)
async def test_a_block_without_its_parent_keeps_a_branch_from_nobody(
    tmp_path: Path, chain: MemoryChain
) -> None:
    """When one of two branches wins, the stranger brings its last block first and hides what is below it."""

    class Mute(ServedChain):
        async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
            await asyncio.Event().wait()
            return ()

    clock = FakeClock(chain.tip.timestamp_ms)
    loser = fork(chain, chain.height - 2)
    loser.mine(miner=miner_address(1))
    last = chain.blocks[-1]
    async with node_network(tmp_path, clock=clock) as network:
        honest = await network.start("honest")
        await honest.take(loser.blocks[1:])
        node = await network.start("node", "honest")
        await node.follow(honest)
        served = Mute(chain.blocks[:-2], body=ServedChain([last]).block_bytes)
        manager = await network.serve("stranger", served, "node")
        await network.connected(node, 2)
        manager.gossip.announce_block(last.header.id)
        await until(lambda: node.chain.parked(last.header.id))
        await honest.take(chain.blocks[-2:])
        await node.follow(honest)
        assert node.chain.head.id == last.header.id
