"""Networks that are cut, one-sided, slow or lossy: once that is over, all nodes come to one chain again."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from engram.node.clock import FakeClock
from engram.statemachine.transactions.transfer import Transfer
from tests.support.faults import Played, inputs
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, LATE_MS
from tests.support.node_network import Member, NodeNetwork, node_network
from tests.support.until import pass_until

NAMES: Final = ("north", "east", "south", "west", "middle")
LOSS: Final = 0.05
DELAY_S: Final = 0.5
FAULT_MS: Final = 5_000


async def pass_time(clock: FakeClock, milliseconds: int) -> None:
    end = clock.monotonic() + milliseconds / 1000
    await pass_until(clock, lambda: clock.monotonic() >= end)


def cut_off(count: int) -> Callable[[NodeNetwork, random.Random], list[str]]:
    """So many nodes lose the others; whoever mines then does so on both sides."""

    def begin(network: NodeNetwork, rng: random.Random) -> list[str]:
        away = rng.sample(NAMES, count)
        network.network.partition(away)
        return [away[0], next(name for name in NAMES if name not in away)]

    return begin


def one_way(network: NodeNetwork, rng: random.Random) -> list[str]:
    """One node hears the others and is not heard."""
    mute, *others = rng.sample(NAMES, len(NAMES))
    for other in others:
        network.network.lose(mute, other)
    return [mute, others[0]]


def slow_and_lossy(network: NodeNetwork, rng: random.Random) -> list[str]:
    """Everybody is late, and of twenty frames one is lost."""
    for source, target in itertools.permutations(NAMES, 2):
        network.network.delay(source, target, DELAY_S)
        network.network.lose(source, target, LOSS)
    return rng.sample(NAMES, 2)


KINDS: Final = (cut_off(1), cut_off(2), one_way, slow_and_lossy)


def agree(members: list[Member]) -> bool:
    return len({member.chain.head.id for member in members}) == 1


@pytest.mark.fault(id=15)
async def test_cuts_heal_to_one_chain_without_a_hand(tmp_path: Path, fault: Played) -> None:
    clock, rng, count = FakeClock(LATE_MS), random.Random(15), inputs(15, sample=len(KINDS))
    async with node_network(tmp_path, clock=clock) as network:
        members: list[Member] = []
        for name in NAMES:
            members.append(await network.start(name, *(member.name for member in members)))
        by_name = dict(zip(NAMES, members, strict=True))
        await pass_until(clock, lambda: all(len(member.peers) == len(NAMES) - 1 for member in members))
        signer, paid = MemoryChain(network.spec), 0
        for number in range(count):
            miners = KINDS[number % len(KINDS)](network, rng)
            for name, blocks in zip(miners, rng.sample((1, 2, 3), len(miners)), strict=True):
                await by_name[name].mine(blocks)
            payment = signer.sign(ALICE, Transfer(BOB.address, 1), nonce=paid)
            if (await by_name[miners[0]].services.mempool.admit(payment)).accepted:
                paid += 1
            await pass_time(clock, FAULT_MS)
            network.network.heal()
            await by_name[rng.choice(NAMES)].mine(4)
            await pass_until(clock, lambda: agree(members))
        await pass_until(clock, lambda: all(len(member.peers) == len(NAMES) - 1 for member in members))
        await by_name["middle"].mine(1)
        await pass_until(clock, lambda: agree(members))
        for member in members:
            assert member.services.bans.standing() == []
        assert len({member.chain.head.state_root for member in members}) == 1
        nonce = members[0].chain.state().account(ALICE.address).nonce
        later = [signer.sign(ALICE, Transfer(BOB.address, 1), nonce=number) for number in range(nonce, paid)]
        assert all(any(member.waits(tx) for member in members) for tx in later), "no payment is lost"
    fault.tell(count)
