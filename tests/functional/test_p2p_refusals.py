"""Addresses of refused peers: they are not dialled, and it is said once why."""

from dataclasses import replace

import pytest

from engram.p2p.errors import UnknownMessage
from engram.p2p.link import Link, PeerAddress
from engram.p2p.targets import ASK_AGAIN_S, LOOK_AGAIN_S
from tests.support.p2p_nodes import MemoryNodes, running

pytestmark = pytest.mark.fault(id=43)


@pytest.mark.parametrize("by", ["host", "pinned key", "last answer"])
async def test_a_refused_address_is_not_dialled_and_dialled_again_after(by: str) -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    key = second.key.public_key
    dials, connect = 0, world.network.connect

    def counted(source: str, target: PeerAddress) -> Link:
        nonlocal dials
        dials += 1
        return connect(source, target)

    world.network.connect = counted  # type: ignore[assignment,method-assign]  # counts on the way
    async with running(*world.nodes):
        pinned = replace(second.address, node_key=key)
        first.manager.add_peer(pinned if by == "pinned key" else second.address)
        await world.pass_time(1)
        assert first.knows(second)
        if by == "host":
            first.policy.refused_hosts.add("host1")
        else:
            first.policy.report("host1", key, UnknownMessage())
        first.manager.disconnect(key)
        dials = 0
        await world.pass_time(20)
        assert dials == 0
        (target,) = first.manager.targets()
        assert target.error is not None
        assert target.error.code == ("peer_banned" if by == "host" else "peer_refused")
        assert target.retry_s is not None
        assert target.retry_s > 30, "it says how long it is refused"
        assert len(first.policy.failed) == 1, "it is said once"
        first.policy.refused_hosts.clear()
        first.policy.forgive()
        await world.pass_time(LOOK_AGAIN_S + 0.1)
        assert first.knows(second)


async def test_an_address_is_tried_again_where_a_refused_node_may_have_moved_away() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    first.policy.banned.add(second.key.public_key)
    async with running(*world.nodes):
        first.manager.add_peer(second.address)
        await world.pass_time(5)
        world.clock.advance(int(ASK_AGAIN_S * 1000) - 10_000)
        await world.pass_time(2)
        assert [code for _, code in first.policy.reports] == ["peer_banned"], "dialled once"
        await world.pass_time(5)
        assert len(first.policy.reports) == 2, "somebody else could have answered"


async def test_strangers_at_its_host_cut_nobody_off_from_a_named_peer() -> None:
    """Whoever shares the host of a named peer can have any number of keys misbehave there."""
    world = MemoryNodes(2)
    first, second = world.nodes
    first.policy.crowded.add("host1")
    async with running(*world.nodes):
        second.manager.add_peer(first.address)
        await world.pass_time(2)
        assert not first.knows(second), "inbound, it could be any of them"
        first.manager.add_peer(second.address)
        await world.pass_time(2)
        assert first.knows(second)
        first.policy.report("host1", second.key.public_key, UnknownMessage())
        first.manager.disconnect(second.key.public_key)
        await world.pass_time(5)
        assert not first.knows(second), "for what it did itself, it is refused"


async def test_who_dials_in_and_is_refused_by_the_key_is_reported_with_it() -> None:
    """The log counts the attempts of each ban; without the key it knew of none."""
    world = MemoryNodes(2)
    first, second = world.nodes
    key = second.key.public_key
    first.policy.banned.add(key)
    async with running(*world.nodes):
        second.manager.add_peer(first.address)
        await world.pass_time(5)
        assert not first.knows(second)
        assert (key, "peer_banned") in first.policy.reports
        assert (None, "peer_banned") not in first.policy.reports
        first.manager.add_peer(second.address)
        first.policy.reports.clear()
        second.manager.remove_peer(first.address)
        await world.pass_time(5)
        assert (key, "peer_banned") not in first.policy.reports, (
            "what this node dials is not said to have come"
        )
