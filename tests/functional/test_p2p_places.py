"""Places for inbound peers, over real sockets: connections that say nothing hold none."""

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from engram.node.clock import FakeClock
from engram.p2p.errors import DisconnectReason, PeerUnavailable
from engram.p2p.handshake import Role, handshake_digest
from engram.p2p.manager import BEGINNING_AT_ONCE
from engram.p2p.messages import Auth, Disconnect, Hello, encode_frame
from engram.p2p.places import PlaceLimits
from tests.support.faults import Played, inputs
from tests.support.p2p_nodes import QUICK, Node, running
from tests.support.p2p_scripted import raw_socket, scripted, signed

pytestmark = pytest.mark.fault(id=41)

FIRST_KEY, KEYS = 20, 200
"""Numbers of the strangers' keys."""
WORD_OF_DISCONNECT = (
    b"\x82\x03" + encode_frame(Disconnect(DisconnectReason.TOO_MANY_PEERS.value)) + b"\x88\x02\x03\xe8"
)
"""A frame, and a closing one with code 1000."""


@pytest.mark.fault(id=19)
async def test_silent_connections_keep_nobody_out() -> None:
    node = Node(0, clock=FakeClock(0), config=replace(QUICK, inbound=PlaceLimits(1)))
    async with running(node), AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(raw_socket(node)) for _ in range(BEGINNING_AT_ONCE + 2)]
        for socket in sockets:
            assert await socket.upgrade() == 101
        await sockets[0].closed()  # the oldest has gone for the newest
        async with scripted(node) as peer:
            await peer.open()
            await peer.barrier()
            late = await stack.enter_async_context(raw_socket(node))
            assert await late.upgrade() == 101
            assert await late.closed() == WORD_OF_DISCONNECT
        assert {code for _, code in node.policy.reports} <= {"too_many_peers", "link_closed", "session_ended"}


@pytest.mark.fault(id=20)
async def test_a_flood_of_connections_cuts_no_handshake_of_another_host(fault: Played) -> None:
    """The honest peer's way is long: its handshake is the oldest, and goes on all the same."""
    count = inputs(20, sample=2 * BEGINNING_AT_ONCE, share=0.1)
    node = Node(0, clock=FakeClock(0), config=replace(QUICK, inbound=PlaceLimits(1)))
    async with running(node), scripted(node) as honest, AsyncExitStack() as stack:
        hello = await honest.expect(Hello)
        for _ in range(count):
            stranger = await stack.enter_async_context(raw_socket(node, "127.0.0.2"))
            assert await stranger.upgrade() == 101
        own = honest.hello()
        await honest.send(own, signed(honest, handshake_digest(Role.DIALER, own, hello)))
        await honest.expect(Auth)
        await honest.barrier()
    fault.tell(count)


@pytest.mark.fault(id=20)
async def test_a_stream_of_fresh_keys_pushes_out_nobody_who_was_of_use(fault: Played) -> None:
    """Every one of them completes its handshake and then is idle; they only push out each other."""
    count = inputs(20, sample=20, share=0.5)
    full, useful = Node(0, config=replace(QUICK, inbound=PlaceLimits(8))), Node(1)
    async with running(full, useful), AsyncExitStack() as stack:
        await useful.connect(full)
        block = useful.chain.mine(b"useful")
        await full.chain.wait_for(lambda: block.id in full.chain.blocks)
        welcome = 0
        for number in range(count):
            stranger = await stack.enter_async_context(scripted(full, FIRST_KEY + number % KEYS))
            try:
                await stranger.open()
                welcome += 1
            except PeerUnavailable:
                pass  # every place is worth more than its own
            assert len([info for info in full.manager.peers() if info.inbound]) <= 8 + 1
        assert full.knows(useful)
        assert welcome >= 7, "the places that were free were taken"
        await full.peer(useful).ping()
    fault.tell(count)
