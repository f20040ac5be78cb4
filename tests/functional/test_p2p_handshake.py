"""Connections that go wrong before they are sessions, over real sockets: HTTP, frames, handshakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest

from engram.node.clock import FakeClock
from engram.p2p.certificate import dialing_context
from engram.p2p.errors import DialFailed, DisconnectReason, LinkClosed
from engram.p2p.handshake import Role, handshake_digest
from engram.p2p.link import PeerAddress
from engram.p2p.messages import (
    BOUND_VERSION,
    HANDSHAKE_FRAME_BYTES,
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    Announce,
    Auth,
    BoundAuth,
    GetBlock,
    Hello,
    Message,
    Ping,
)
from engram.p2p.transport import ACCEPT_QUEUE, PATH, WebSocketTransport
from tests.support.p2p_chain import WAIT_S
from tests.support.p2p_nodes import MemoryNodes, Node, node_key, running
from tests.support.p2p_scripted import (
    SCRIPTED,
    ScriptedPeer,
    besieged,
    bound,
    parting,
    raw_socket,
    scripted,
    signed,
)

OFFENDER = node_key(SCRIPTED).public_key
R = DisconnectReason


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with besieged() as node:
        yield node


@pytest.mark.parametrize("message", [Ping(1), Announce((), ()), Auth(bytes(64)), GetBlock(1, bytes(32))])
async def test_anything_but_hello_first(node: Node, message: Message) -> None:
    async with scripted(node) as peer:
        await peer.send(message)
        await parting(node, peer, R.UNEXPECTED_MESSAGE, "unexpected_message")
        assert node.policy.reports == [(None, "unexpected_message")]


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({"version": 0}, R.WRONG_VERSION, "peer_version_unsupported"),
        ({"chain_id": 8}, R.WRONG_CHAIN, "peer_on_other_chain"),
        ({"genesis": bytes(32)}, R.WRONG_CHAIN, "peer_on_other_chain"),
        ({"node_key": node_key(0).public_key}, R.SELF_CONNECTION, "self_connection"),
        ({"agent": "line\nbreak"}, R.BAD_HANDSHAKE, "bad_handshake"),
    ],
)
async def test_hello_that_does_not_fit(
    node: Node, changes: dict[str, object], reason: DisconnectReason, code: str
) -> None:
    async with scripted(node) as peer:
        await peer.send(peer.hello(**changes))
        await parting(node, peer, reason, code)
        assert node.chain.partings == []


async def test_a_newer_version_is_spoken_with(node: Node) -> None:
    async with scripted(node) as peer:
        own = peer.hello(version=9)
        await peer.send(own)
        remote = await peer.expect(Hello)
        await peer.send(bound(peer, own, remote, None))
        await peer.expect(BoundAuth)
        await peer.barrier()
        assert {info.version for info in node.manager.peers()} == {PROTOCOL_VERSION}


@pytest.mark.parametrize("version", [BOUND_VERSION - 1, BOUND_VERSION])
@pytest.mark.parametrize("wrong", ["other key", "other role", "other nonce", "small-order key"])
async def test_signature_that_does_not_bind_this_session(node: Node, wrong: str, version: int) -> None:
    async with scripted(node, version=version) as peer:
        own = peer.hello(**({"node_key": bytes([1]) + bytes(31)} if wrong == "small-order key" else {}))
        await peer.send(own)
        remote = await peer.expect(Hello)
        if wrong == "other key":
            peer.key = node_key(SCRIPTED - 1)
        if wrong == "other nonce":
            remote = replace(remote, nonce=bytes(32))
        role = Role.ACCEPTOR if wrong == "other role" else Role.DIALER
        old = signed(peer, handshake_digest(role, own, remote))
        await peer.send(old if version < BOUND_VERSION else bound(peer, own, remote, None, role))
        await parting(node, peer, R.BAD_HANDSHAKE, "bad_handshake")
        assert node.policy.reports == [(None, "bad_handshake")]
        assert node.policy.score(OFFENDER) == 0, "an unproved key must not be blamed"


async def test_a_proof_for_another_connection_tells_of_the_man_in_the_middle(node: Node) -> None:
    """The peer is who it says, and saw a certificate where the node presented none."""
    async with scripted(node, version=BOUND_VERSION) as peer:
        own = peer.hello()
        await peer.send(own)
        await peer.send(bound(peer, own, await peer.expect(Hello), bytes(32)))
        await parting(node, peer, R.OTHER_CHANNEL, "channel_mismatch")
        assert node.policy.score(OFFENDER) == 0, "the peer's signature is good, so it is not the peer's doing"


@pytest.mark.parametrize("version", [BOUND_VERSION - 1, BOUND_VERSION])
async def test_the_proof_is_of_the_form_that_belongs_to_the_version(node: Node, version: int) -> None:
    async with scripted(node, version=version) as peer:
        own = peer.hello()
        await peer.send(own)
        remote = await peer.expect(Hello)
        old = signed(peer, handshake_digest(Role.DIALER, own, remote))
        await peer.send(old if version >= BOUND_VERSION else bound(peer, own, remote, None))
        await parting(node, peer, R.UNEXPECTED_MESSAGE, "unexpected_message")


async def test_a_recorded_handshake_cannot_be_replayed(node: Node) -> None:
    async with scripted(node) as honest:
        own = honest.hello()
        await honest.send(own)
        remote = await honest.expect(Hello)
        recorded = signed(honest, handshake_digest(Role.DIALER, own, remote))
        await honest.send(recorded)
        await honest.expect(Auth)
        await honest.barrier()
    async with scripted(node) as thief:
        await thief.send(own)
        await thief.expect(Hello)
        await thief.send(recorded)
        await parting(node, thief, R.BAD_HANDSHAKE, "bad_handshake")


async def test_a_handshake_cannot_be_relayed_to_a_third_node(node: Node) -> None:
    """The thief is dialled by a victim, and passes the victim's words on to the node as his own."""
    victim, thief_key = Node(2), node_key(SCRIPTED)
    async with (
        WebSocketTransport() as transport,
        transport.listen("127.0.0.1", 0) as listener,
        running(victim),
    ):
        inbound = anext(aiter(listener.links()))
        victim.manager.add_peer(replace(node.address, port=listener.port))
        from_victim = ScriptedPeer(await inbound, thief_key, BOUND_VERSION)
        async with scripted(node) as to_node:
            victims_hello = await from_victim.expect(Hello)
            await to_node.send(victims_hello)
            nodes_hello = await to_node.expect(Hello)
            await from_victim.send(from_victim.hello(nonce=nodes_hello.nonce))
            await to_node.send(await from_victim.expect(BoundAuth))
            await parting(node, to_node, R.BAD_HANDSHAKE, "bad_handshake")
        from_victim.link.abort()


async def test_too_much_before_the_handshake(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.send_raw(b"\x00" + bytes(HANDSHAKE_FRAME_BYTES))
        await peer.expect_closing()
        assert await node.policy.wait_for("frame_too_large") is None


async def test_a_declared_size_beyond_every_message_is_refused_before_it_arrives(node: Node) -> None:
    async with raw_socket(node) as socket:
        assert await socket.upgrade() == 101
        socket.write_frame(b"", declared=2**31)
        await socket.closed()
        assert await node.policy.wait_for("frame_too_large") is None


@pytest.mark.fault(id=3)
async def test_a_frame_larger_than_any_message_in_a_session(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        with suppress(LinkClosed):
            await peer.send_raw(bytes(MAX_FRAME_BYTES + 1))
        assert await node.policy.wait_for("frame_too_large") == OFFENDER


@pytest.mark.parametrize(
    ("first", "payload"),
    [(0x81, b"text"), (0xC2, b"compressed"), (0x80, b"continues nothing"), (0x83, b"opcode"), (0x09, b"")],
    ids=["text", "reserved bit", "continuation", "unknown opcode", "fragmented ping"],
)
async def test_broken_websocket_frames(node: Node, first: int, payload: bytes) -> None:
    async with raw_socket(node) as socket:
        assert await socket.upgrade() == 101
        socket.write_frame(payload, first=first)
        await socket.closed()
        assert await node.policy.wait_for("malformed_frame") is None


async def test_a_message_in_fragments_counts_as_one(node: Node) -> None:
    async with raw_socket(node) as socket:
        assert await socket.upgrade() == 101
        socket.write_frame(b"", first=0x02)
        for _ in range(2_000):
            socket.write_frame(bytes(40), first=0x00)
        await socket.closed()
        assert await node.policy.wait_for("frame_too_large") is None


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/engram/p2p", {"Origin": "http://evil.example"}, 403),
        ("/engram/p2p", {"Sec_WebSocket_Extensions": "permessage-deflate"}, 101),
    ],
)
async def test_http_requests(node: Node, path: str, headers: dict[str, str], status: int) -> None:
    async with raw_socket(node) as socket:
        assert await socket.upgrade(path, **headers) == status


async def test_a_connection_that_says_nothing_is_cut(node: Node) -> None:
    clock = FakeClock(0)
    waiting = Node(3, clock=clock)
    async with running(waiting), raw_socket(waiting) as silent:
        assert await silent.upgrade() == 101
        await silent.reader.readexactly(1)
        clock.advance(9_900)
        assert waiting.policy.reports == []
        clock.advance(200)
        await silent.closed()
        assert waiting.policy.reports == [(None, "peer_timeout")]
        assert waiting.policy.score(OFFENDER) == 0


@pytest.mark.fault(id=19)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    "first",
    [b"\r\n", b"GET / HT", f"GET {PATH} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".encode()],
    ids=["line end", "half a line", "half an upgrade"],
)
async def test_a_connection_that_asks_for_no_websocket_is_closed(first: bytes, encrypted: bool) -> None:
    async with WebSocketTransport(http_s=0.05) as transport, transport.listen("127.0.0.1", 0) as listener:
        context = dialing_context() if encrypted else None
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=context)
        writer.write(first)
        async with asyncio.timeout(WAIT_S):
            assert await reader.read(-1) == b""
        writer.close()


@pytest.mark.fault(id=19)
async def test_who_asks_for_something_else_is_told_once() -> None:
    """The connection ends with the answer, so nobody keeps one by asking for nothing again and again."""
    async with WebSocketTransport(http_s=3600) as transport, transport.listen("127.0.0.1", 0) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        async with asyncio.timeout(WAIT_S):
            assert (await reader.read(-1)).count(b"HTTP/1.1 403") == 1
        writer.close()


async def test_links_that_nobody_takes_up_are_bounded() -> None:
    async with WebSocketTransport() as transport, transport.listen("127.0.0.1", 0) as listener:
        address = PeerAddress("127.0.0.1", listener.port)
        links = [await transport.dial(address) for _ in range(ACCEPT_QUEUE)]
        with pytest.raises(DialFailed, match="503"):
            await transport.dial(address)
    for link in links:
        with pytest.raises(LinkClosed):
            await link.receive()


async def test_a_dial_follows_no_redirect(node: Node) -> None:
    """An address must not be able to send this node's connections elsewhere."""

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        target = f"http://{node.address}{PATH}"
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, WebSocketTransport() as transport:
        with pytest.raises(DialFailed, match="redirect"):
            await transport.dial(PeerAddress("127.0.0.1", port))


async def test_a_block_that_comes_during_a_handshake_is_told_afterwards() -> None:
    world = MemoryNodes(2)
    first, second = world.nodes
    async with running(*world.nodes):
        world.network.delay("host0", "host1", 1.0)
        second.manager.add_peer(first.address)
        await world.pass_time(0.5)
        assert first.chain.peers == [], "its greeting, which names its head, is under way"
        block = first.chain.mine(b"one")
        await world.pass_time(5.0)
        assert second.chain.peers[0].head.height == 0
        assert second.chain.tip == block
