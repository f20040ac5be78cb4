"""Shares of the inbound places: nobody has more than his own, nor takes more than a few of others."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from engram.p2p.errors import LinkClosed, PeerDisconnected
from engram.p2p.messages import OLDEST_VERSION, Ping, Pong
from engram.p2p.outbound import OutboundLimits
from engram.p2p.places import (
    EVICTIONS_BURST,
    GROUP_EVICTIONS_BURST,
    PlaceLimits,
)
from tests.support.addressed_nodes import AddressedNodes
from tests.support.faults import inputs
from tests.support.p2p_nodes import Node, running
from tests.support.p2p_scripted import ScriptedPeer

pytestmark = pytest.mark.fault(id=41)


async def _answer_pings(peer: ScriptedPeer) -> None:
    with suppress(PeerDisconnected, LinkClosed):
        while True:
            await peer.send(Pong((await peer.expect(Ping)).request))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Crowd:
    """Peers that have shaken hands with one node and answer its pings."""

    def __init__(self, world: AddressedNodes, node: Node, stack: AsyncExitStack) -> None:
        self._world = world
        self._node = node
        self._stack = stack

    async def join(self, host: str) -> None:
        """One more peer; whether it has a place is seen in `places`."""
        with suppress(PeerDisconnected):
            peer = await self._stack.enter_async_context(
                self._world.scripted(self._node, host, OLDEST_VERSION)
            )
            self._stack.push_async_callback(_ended, asyncio.create_task(_answer_pings(peer)))
        for _ in range(60):
            await asyncio.sleep(0)

    def places(self) -> Counter[str]:
        """How many sessions each host has."""
        return Counter(info.address.host for info in self._node.manager.peers())


@asynccontextmanager
async def crowded(limits: PlaceLimits) -> AsyncIterator[tuple[AddressedNodes, Crowd, Node]]:
    world = AddressedNodes()
    node = world.node(0, "21.1.1.1", inbound=limits, outbound=OutboundLimits())
    async with running(node), AsyncExitStack() as stack:
        yield world, Crowd(world, node, stack), node


@pytest.mark.parametrize(
    ("hosts", "limits"),
    [
        (["31.1.1.1"], PlaceLimits(8, per_host=2, per_group=9)),
        (["31.1.1.1", "31.1.2.2", "31.1.3.3"], PlaceLimits(8, per_host=9, per_group=2)),
        (["2600:1::1", "2600:1::2"], PlaceLimits(8, per_host=2, per_group=9)),
        (["2600:1:1::1", "2600:1:2::2"], PlaceLimits(8, per_host=9, per_group=2)),
        (["31.1.1.1", "32.1.1.1", "33.1.1.1"], PlaceLimits(2, per_host=9, per_group=9)),
    ],
    ids=["host", "network", "host of IPv6", "network of IPv6", "all"],
)
async def test_nobody_has_more_than_his_share(hosts: list[str], limits: PlaceLimits) -> None:
    async with crowded(limits) as (_, crowd, node):
        for number in range(1, 9):
            await crowd.join(hosts[number % len(hosts)])
            assert crowd.places().total() == min(number, 2)
        assert {code for _, code in node.policy.reports} <= {"too_many_peers", "session_ended"}
        assert len(node.policy.reports) == 6
        if limits.sessions > 2:
            await crowd.join("99.9.9.9")
            assert crowd.places()["99.9.9.9"] == 1, "the others have room"


async def test_this_machine_is_bounded_by_all_places_only() -> None:
    async with crowded(PlaceLimits(6, per_host=1, per_group=1)) as (_, crowd, _):
        for _ in range(8):
            await crowd.join("127.0.0.1")
        assert crowd.places() == {"127.0.0.1": 6}


@pytest.mark.fault(id=20, inputs=inputs(20, sample=120))
@pytest.mark.parametrize("networks", [1, 1_000])
async def test_a_flood_of_strangers_takes_few_places_of_others(networks: int) -> None:
    async with crowded(PlaceLimits(32)) as (world, crowd, _):
        honest = [f"{number}.7.7.7" for number in range(150, 182)]
        for host in honest:
            await crowd.join(host)
            world.clock.advance(100)
        assert crowd.places().total() == 32
        for number in range(inputs(20, sample=120) // 2):
            group = number % networks
            await crowd.join(f"{60 + group // 200}.{group % 200}.{number % 250}.{1 + number // 250}")
        left = crowd.places()
        most = GROUP_EVICTIONS_BURST if networks == 1 else EVICTIONS_BURST
        assert sum(left[host] for host in honest) >= 32 - most
        assert all(left[host] for host in honest[:16]), "none of the older half has gone"
        await world.pass_time(60)
        await crowd.join("99.9.9.9")
        assert crowd.places()["99.9.9.9"] == 1, "a newcomer is let in again once the flood is over"


async def test_useful_peers_of_this_machine_outlast_strangers_there() -> None:
    async with crowded(PlaceLimits(16)) as (world, crowd, node):
        for _ in range(15):
            await crowd.join("127.0.0.1")
            world.clock.advance(10_000)
        await crowd.join("127.0.0.1")
        useful = node.chain.peers[-1]
        useful.brought_block()
        for _ in range(60):
            world.clock.advance(5_000)
            await crowd.join("127.0.0.1")
        assert useful.node_key in {info.node_key for info in node.manager.peers()}
        assert crowd.places().total() == 16
