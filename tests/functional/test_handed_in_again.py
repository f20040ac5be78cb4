"""A transaction that all nodes have dropped reaches them again when its sender hands it in again."""

from pathlib import Path

import pytest

from engram.node.clock import FakeClock
from engram.node.mempool.upkeep import EXPIRY_S
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC
from tests.support.node_network import node_network
from tests.support.until import until


@pytest.mark.fault(id=23)
async def test_what_every_node_has_dropped_spreads_again(tmp_path: Path) -> None:
    """They have expired everywhere; the sessions between the nodes are the same all the time."""
    chain = MemoryChain(SPEC)
    payment = chain.sign(ALICE, Transfer(BOB.address, 1))
    clock = FakeClock(chain.tip.timestamp_ms)
    async with node_network(tmp_path, clock=clock) as network:
        first, _, third = members = await network.line("first", "second", "third")

        async def spread() -> None:
            await first.admit(payment)

            def everywhere() -> bool:
                clock.advance(100)
                return all(member.waits(payment) for member in members)

            await until(everywhere)

        await spread()
        clock.advance(int(EXPIRY_S * 1_000))
        await first.take([chain.mine()])  # without it: a block of their own would have held it
        await third.follow(first)
        await until(lambda: not any(member.waits(payment) for member in members))
        assert {member.services.mempool.drop_reason(payment.id) for member in members} == {"expired"}
        assert all(member.services.mempool.refuses(payment.id) for member in members), "not on this head"
        await first.take([chain.mine()])
        await third.follow(first)
        await spread()
