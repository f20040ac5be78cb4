"""Of eight peers three do what they like: the chain of the other five grows, and they stay together."""

import asyncio
import random
from pathlib import Path
from typing import Final

import pytest

from engram.node.clock import FakeClock
from engram.node.storage.schema import Verdict
from engram.p2p.manager import PeerManager
from engram.p2p.messages import GetBlock
from engram.p2p.relayed import RelayedBlock
from engram.primitives.types import Hash
from engram.statemachine.transactions.transfer import Transfer
from tests.support.faults import Played, inputs
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, LATE_MS, fork, ids, miner_address, resealed, without_work
from tests.support.node_network import Member, NodeNetwork, node_network
from tests.support.served_chain import ServedChain
from tests.support.until import pass_until

HONEST: Final = ("a", "b", "c", "d", "e")
EVERY: Final = 5
"""After so many blocks, the liars come back with fresh keys from fresh hosts."""


class Byzantines:
    """A mute announcer, a forger of states that has the work, and a liar whose headers have none."""

    def __init__(self, network: NodeNetwork, chain: MemoryChain) -> None:
        self._network = network
        self._chain = chain
        self._lives = 0
        self._mute = ServedChain(chain.blocks[:1])
        self._mute.body = self._never
        self._forger = ServedChain(chain.blocks[:1])
        self._managers: list[PeerManager[RelayedBlock]] = []
        self.forged: list[Hash] = []

    async def start(self) -> None:
        """The two that are not found out by every message."""
        for name, served in (("mute", self._mute), ("forger", self._forger)):
            self._managers.append(await self._network.serve(name, served, *HONEST))

    async def lie(self) -> None:
        """A liar and another forger with fresh keys."""
        self._lives += 1
        blocks = list(self._chain.blocks)
        if len(blocks) > 1:
            lazy = without_work(blocks[-1].header)
            liar = ServedChain([*blocks[:-1], type(blocks[-1])(lazy, ())], claimed_work=2**200)
            await self._network.serve(f"liar{self._lives}", liar, *HONEST)
            self._forger = ServedChain(blocks)
            manager = await self._network.serve(f"forger{self._lives}", self._forger, *HONEST)
            self._managers = [self._managers[0], manager]

    def attack(self) -> None:
        """Before an honest block comes: announces one that is false and has the work, and another one by
        itself.
        """
        rival = fork(self._chain)
        block = rival.mine(miner=miner_address(len(self._chain.blocks)))
        false = resealed(block, state_root=bytes(32))
        self._forger.blocks = [*self._chain.blocks, false]
        self._mute.blocks = [*self._chain.blocks, block]
        self.forged.append(false.header.id)
        for manager, name in zip(self._managers, (block.header.id, false.header.id), strict=True):
            manager.gossip.announce_block(name)

    def shout(self, name: Hash) -> None:
        """The mute one announces what it will not give."""
        self._managers[0].gossip.announce_block(name)

    async def _never(self, name: Hash) -> bytes | None:
        await asyncio.Event().wait()
        return None


def together(members: list[Member]) -> bool:
    return len({member.chain.head.id for member in members}) == 1


@pytest.mark.fault(id=35)
async def test_three_of_eight_neither_stop_nor_split_the_others(tmp_path: Path, fault: Played) -> None:
    clock, rng, count = FakeClock(LATE_MS), random.Random(35), inputs(35, sample=10)
    async with node_network(tmp_path, clock=clock) as network:
        chain = MemoryChain(network.spec)
        members: list[Member] = []
        for name in HONEST:
            members.append(await network.start(name, *(member.name for member in members)))
        keys = {member.key for member in members}
        await pass_until(clock, lambda: all(keys <= {*member.peers, member.key} for member in members))
        byzantines = Byzantines(network, chain)
        await byzantines.start()
        for height in range(1, count + 1):
            if height % EVERY == 0:
                await byzantines.lie()
            byzantines.attack()
            miner = members[rng.randrange(len(members))]
            payment = chain.sign(ALICE, Transfer(BOB.address, 1))
            await miner.admit(payment)
            (made,) = await miner.mine(1)
            byzantines.shout(made)
            await pass_until(clock, lambda: together(members))
            block = miner.chain.store.find_block(miner.chain.head.id)
            assert block is not None
            assert block.header.height == height
            chain.take(block, now_ms=clock.now_ms())
        assert chain.state.account(ALICE.address).nonce == count, "each payment is in the chain"
        attacked = withheld = 0
        for member in members:
            assert ids(chain.blocks) == [name for _, name in member.chain.store.canonical()]
            assert keys <= {*member.peers, member.key}, "the honest are together"
            refused = {ban.subject for ban in member.services.bans.standing()}
            assert not refused & {key.hex() for key in keys}
            judged = [member.chain.store.find_ref(name) for name in byzantines.forged]
            assert all(ref is None or ref.verdict is Verdict.INVALID for ref in judged)
            attacked += sum(ref is not None for ref in judged)
            withheld += network.count(member.name, "mute", GetBlock)
        assert attacked, "false states were executed"
        assert withheld, "the mute one was asked"
    fault.tell(count)
