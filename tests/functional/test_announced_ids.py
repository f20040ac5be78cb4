"""How many ids of transactions a peer may announce: looking one up costs more than sending it."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest

from engram.node.clock import FakeClock
from engram.p2p.gossip import GossipLimits
from engram.p2p.manager import PeerConfig
from engram.p2p.memory import MemoryNetwork
from engram.p2p.messages import MAX_ANNOUNCED_TRANSACTIONS, Announce
from tests.support.node_chain import settled
from tests.support.p2p_chain import LittleChain
from tests.support.p2p_nodes import Node, running
from tests.support.p2p_scripted import scripted
from tests.support.until import until

pytestmark = pytest.mark.fault(id=21)

BURST = GossipLimits().announced_burst
_numbers = count()


def ids(number: int) -> tuple[bytes, ...]:
    """Ids that nobody has named before."""
    return tuple(next(_numbers).to_bytes(32, "big") for _ in range(number))


class Counting(LittleChain):
    """Counts the ids that are looked up because a peer has announced them."""

    looked_up = 0

    async def wanted_transactions(self, txids: Sequence[bytes]) -> Sequence[bytes]:
        self.looked_up += len(txids)
        return ()


async def test_a_flood_of_ids_is_looked_up_no_faster_than_honest_peers_send_them() -> None:
    clock, chain = FakeClock(0), Counting()
    node = Node(0, chain=chain, clock=clock)
    async with running(node), scripted(node) as stranger:
        await stranger.open()
        for _ in range(BURST // MAX_ANNOUNCED_TRANSACTIONS + 2):
            await stranger.send(Announce((), ids(MAX_ANNOUNCED_TRANSACTIONS)))
        until_now = BURST + MAX_ANNOUNCED_TRANSACTIONS
        await until(lambda: chain.looked_up == until_now)
        async with scripted(node, 8) as other:
            await other.open()
            await other.send(Announce((), ids(1)))
            await until(lambda: chain.looked_up == until_now + 1)
        clock.advance(2_100)
        await until(lambda: chain.looked_up == until_now + 1 + MAX_ANNOUNCED_TRANSACTIONS)
        await stranger.barrier()


async def test_a_node_keeps_within_that_itself_and_its_blocks_do_not_wait() -> None:
    clock = FakeClock(0)
    network = MemoryNetwork(clock, random.Random(0))
    chain = Counting()
    node, told = (
        Node(
            number,
            config=replace(PeerConfig(), host=f"host{number}"),
            chain=each,
            clock=clock,
            transport=network.transport(f"host{number}"),
        )
        for number, each in enumerate((LittleChain(), chain))
    )

    async def pass_time(seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            clock.advance(100)
            await settled()

    async with running(node, told):
        node.manager.add_peer(told.address)
        await until(lambda: node.chain.peers and chain.peers)
        announced = 0
        while announced < BURST + 2 * MAX_ANNOUNCED_TRANSACTIONS:
            node.manager.gossip.announce_transactions(ids(MAX_ANNOUNCED_TRANSACTIONS))
            announced += MAX_ANNOUNCED_TRANSACTIONS
            await pass_time(0.2)
        assert chain.looked_up == BURST + MAX_ANNOUNCED_TRANSACTIONS
        block = node.chain.mine(b"at once")
        await settled()
        assert block.id in chain.blocks
        await pass_time(5)
        assert chain.looked_up == announced
