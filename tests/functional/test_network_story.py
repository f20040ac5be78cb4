"""Five whole nodes through a random life of blocks, payments, splits and restarts end on one head."""

import random
from pathlib import Path

import pytest

from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC
from tests.support.node_network import Member, NodeNetwork, node_network
from tests.support.until import until

NAMES = ("one", "two", "three", "four", "five")
EVENTS = 150


class Life:
    """What may happen to the network, drawn by a seed."""

    def __init__(self, network: NodeNetwork, seed: int) -> None:
        self.network = network
        self.rng = random.Random(seed)
        self.up: dict[str, Member] = {}
        self.signer = MemoryChain(SPEC)

    async def start(self, name: str) -> None:
        """A node that dials all the others, whether they are up or not."""
        self.up[name] = await self.network.start(name, *(other for other in NAMES if other != name))

    async def happen(self) -> None:
        """One event."""
        member = self.rng.choice(list(self.up.values()))
        happening = self.rng.random()
        if happening < 0.55:
            await member.mine(self.rng.choice((1, 1, 2)))
        elif happening < 0.85:
            nonce = member.services.mempool.next_nonce(ALICE.address)
            fee = 100_000 + self.rng.randrange(1_000)
            payment = self.signer.sign(ALICE, Transfer(BOB.address, 1), nonce=nonce, max_fee=fee)
            await member.services.mempool.admit(payment)
        elif happening < 0.9:
            side = self.rng.sample(NAMES, self.rng.randrange(1, len(NAMES)))
            self.network.network.partition(side)
        elif happening < 0.94:
            self.network.network.heal()
        elif happening < 0.97 and len(self.up) > 2:
            del self.up[member.name]
            await self.network.stop(member.name)
        elif absent := [name for name in NAMES if name not in self.up]:
            await self.start(self.rng.choice(absent))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 12])
async def test_whatever_happens_all_end_on_one_head(tmp_path: Path, seed: int) -> None:
    async with node_network(tmp_path) as network:
        life = Life(network, seed)
        for name in NAMES:
            await life.start(name)
        for _ in range(EVENTS):
            await life.happen()
        network.network.heal()
        for name in NAMES:
            if name not in life.up:
                await life.start(name)
        members = list(life.up.values())
        best = max(members, key=lambda member: member.chain.head.total_work)
        await best.mine()
        for member in members:
            await member.follow(best)
        assert len({member.chain.head.state_root for member in members}) == 1
        await until(lambda: all(member.services.sync.target == 0 for member in members))
