"""Peers that break the rules, over real sockets: each is cut off by name, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest

from engram.node.clock import FakeClock
from engram.p2p.errors import DisconnectReason, LinkClosed
from engram.p2p.handshake import Role, handshake_digest
from engram.p2p.limits import SessionLimits
from engram.p2p.messages import (
    HANDSHAKE_FRAME_BYTES,
    MAX_FRAME_BYTES,
    MESSAGES,
    MIB,
    Announce,
    Auth,
    BlockData,
    Disconnect,
    GetBlock,
    GetHeaders,
    GetTransactions,
    Headers,
    Hello,
    Message,
    Ping,
    Pong,
    Rate,
    Transactions,
    encode_frame,
)
from engram.p2p.transport import WebSocketTransport
from tests.support.p2p_chain import BAD_TRANSACTION, BAD_WORK, GENESIS, Link, transaction_id
from tests.support.p2p_nodes import QUICK, Node, node_key, running, until
from tests.support.p2p_scripted import SCRIPTED, ScriptedPeer, raw_socket, scripted, signed

OFFENDER = node_key(SCRIPTED).public_key
R = DisconnectReason


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node with an honest peer; whatever a test does to the node, the peer must not notice."""
    node, honest = Node(0), Node(1)
    async with running(node, honest):
        await honest.connect(node)
        yield node
        block = node.chain.mine(b"still alive")
        await honest.chain.wait_for(lambda: block.id in honest.chain.blocks)
        await honest.peer(node).ping()
        assert (honest.chain.partings, honest.policy.reports) == ([], [])
        assert node.policy.score(honest.key.public_key) == 0


async def parting(node: Node, peer: ScriptedPeer, reason: DisconnectReason, code: str) -> None:
    """The node gives this reason to the peer, and this code to its policy."""
    assert await peer.expect_disconnect() == reason
    await node.policy.wait_for(code)


PING = encode_frame(Ping(1))
NO_HEADERS = encode_frame(GetHeaders(1, (bytes(32),), 1))[:-1] + b"\x00"
MALFORMED = {
    "empty": (b"", R.BAD_FRAME, "malformed_frame"),
    "unknown tag": (b"\xff\x90", R.BAD_FRAME, "unknown_message"),
    "tag alone": (PING[:1], R.BAD_FRAME, "truncated"),
    "truncated": (encode_frame(GetBlock(1, bytes(32)))[:-1], R.BAD_FRAME, "truncated"),
    "trailing byte": (PING + b"\x00", R.BAD_FRAME, "non_canonical"),
    "long integer": (b"\x10\x91\xcc\x01", R.BAD_FRAME, "non_canonical"),
    "bool for integer": (b"\x10\x91\xc3", R.BAD_FRAME, "wrong_type"),
    "map": (b"\x10\x81\x01\x01", R.BAD_FRAME, "wrong_type"),
    "field missing": (b"\x10\x90", R.BAD_FRAME, "wrong_arity"),
    "out of range": (NO_HEADERS, R.BAD_FRAME, "out_of_range"),
    "larger than its type": (PING + bytes(16), R.BAD_FRAME, "frame_too_large"),
    "as large as any": (b"\x30" + bytes(MAX_FRAME_BYTES - 1), R.BAD_FRAME, "frame_too_large"),
    "second hello": (encode_frame(Auth(bytes(64))), R.UNEXPECTED_MESSAGE, "unexpected_message"),
    "unasked pong": (encode_frame(Pong(1)), R.UNEXPECTED_MESSAGE, "unsolicited_reply"),
    "unasked headers": (encode_frame(Headers(1, ())), R.UNEXPECTED_MESSAGE, "unsolicited_reply"),
    "unasked block": (encode_frame(BlockData(0, bytes(MIB))), R.UNEXPECTED_MESSAGE, "unsolicited_reply"),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_frame_in_a_session(node: Node, case: str) -> None:
    frame, reason, code = MALFORMED[case]
    async with scripted(node) as peer:
        await peer.open()
        await peer.send_raw(frame)
        await parting(node, peer, reason, code)
        assert node.policy.reports == [(OFFENDER, code)]
        await node.chain.wait_for(lambda: (OFFENDER, reason) in node.chain.partings)


async def test_an_offender_is_not_let_in_again(node: Node) -> None:
    for _ in range(2):
        async with scripted(node) as peer:
            await peer.open()
            await peer.send_raw(b"\xff")
            await peer.expect_disconnect()
    assert [code for _, code in node.policy.reports] == ["unknown_message", "peer_refused"]
    async with scripted(node, SCRIPTED - 1) as other:
        await other.open()
        await other.barrier()


@pytest.mark.parametrize("message", [Ping(1), Announce((), ()), Auth(bytes(64)), GetBlock(1, bytes(32))])
async def test_anything_but_hello_first(node: Node, message: Message) -> None:
    async with scripted(node) as peer:
        await peer.send(message)
        await parting(node, peer, R.UNEXPECTED_MESSAGE, "unexpected_message")
        assert node.policy.reports == [(None, "unexpected_message")]


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({"version": 0}, R.WRONG_VERSION, "wrong_version"),
        ({"chain_id": 8}, R.WRONG_CHAIN, "wrong_chain"),
        ({"genesis": bytes(32)}, R.WRONG_CHAIN, "wrong_chain"),
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
        await peer.send(signed(peer, handshake_digest(Role.DIALER, own, remote)))
        await peer.expect(Auth)
        await peer.barrier()
        assert {info.version for info in node.manager.peers()} == {1}


@pytest.mark.parametrize("wrong", ["other key", "other role", "other nonce", "small-order key"])
async def test_signature_that_does_not_bind_this_session(node: Node, wrong: str) -> None:
    async with scripted(node) as peer:
        own = peer.hello(**({"node_key": bytes([1]) + bytes(31)} if wrong == "small-order key" else {}))
        await peer.send(own)
        remote = await peer.expect(Hello)
        if wrong == "other key":
            peer.key = node_key(SCRIPTED - 1)
        if wrong == "other nonce":
            remote = replace(remote, nonce=bytes(32))
        role = Role.ACCEPTOR if wrong == "other role" else Role.DIALER
        await peer.send(signed(peer, handshake_digest(role, own, remote)))
        await parting(node, peer, R.BAD_HANDSHAKE, "bad_handshake")
        assert node.policy.reports == [(None, "bad_handshake")]
        assert node.policy.score(OFFENDER) == 0, "an unproved key must not be blamed"


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
        from_victim = ScriptedPeer(await inbound, thief_key)
        async with scripted(node) as to_node:
            victims_hello = await from_victim.expect(Hello)
            await to_node.send(victims_hello)
            nodes_hello = await to_node.expect(Hello)
            await from_victim.send(from_victim.hello(nonce=nodes_hello.nonce))
            await to_node.send(await from_victim.expect(Auth))
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


async def test_an_answer_of_another_kind(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((bytes(32),), ()))
        request = await peer.expect(GetBlock)
        await peer.send(Headers(request.request, ()))
        await parting(node, peer, R.BAD_REPLY, "wrong_reply")


async def test_an_answer_comes_once(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((bytes(32),), ()))
        request = await peer.expect(GetBlock)
        await peer.send(BlockData(request.request, None), BlockData(request.request, None))
        await parting(node, peer, R.UNEXPECTED_MESSAGE, "unsolicited_reply")


async def test_another_block_than_asked_for(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((bytes(32),), ()))
        request = await peer.expect(GetBlock)
        await peer.send(BlockData(request.request, Link(GENESIS.id, 1, b"other").raw))
        await parting(node, peer, R.BAD_REPLY, "wrong_reply")


@pytest.mark.parametrize(
    ("raw", "reason", "code"),
    [
        (Link(GENESIS.id, 1, BAD_WORK).raw, R.INVALID_DATA, "invalid_header"),
        (b"no block", R.BAD_FRAME, "wrong_type"),
    ],
)
async def test_a_block_that_no_honest_peer_relays(
    node: Node, raw: bytes, reason: DisconnectReason, code: str
) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((bytes(32),), ()))
        request = await peer.expect(GetBlock)
        await peer.send(BlockData(request.request, raw))
        await parting(node, peer, reason, code)
        assert node.policy.reports == [(OFFENDER, code)]


@pytest.mark.parametrize("case", ["another", "too many", "badly signed"])
async def test_transactions_that_no_honest_peer_sends(node: Node, case: str) -> None:
    raw = BAD_TRANSACTION if case == "badly signed" else b"pay"
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((), (transaction_id(raw),)))
        request = await peer.expect(GetTransactions)
        answers = {"another": (b"other",), "too many": (raw, raw), "badly signed": (raw,)}[case]
        await peer.send(Transactions(request.request, answers))
        if case == "badly signed":
            await parting(node, peer, R.INVALID_DATA, "bad_signature")
        else:
            await parting(node, peer, R.BAD_REPLY, "wrong_reply")
        assert transaction_id(raw) not in node.chain.pool


async def test_more_headers_than_asked_for(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await node.chain.wait_for(lambda: len(node.chain.peers) == 2)
        asking = asyncio.ensure_future(node.chain.peers[1].get_headers([GENESIS.id], 1))
        request = await peer.expect(GetHeaders)
        await peer.send(Headers(request.request, (b"one", b"two")))
        await parting(node, peer, R.BAD_REPLY, "wrong_reply")
        with pytest.raises(Exception, match="more headers than asked for"):
            await asking


async def test_a_peer_that_has_not_what_it_announced_is_asked_no_more(node: Node) -> None:
    async with scripted(node) as first, scripted(node, SCRIPTED - 1) as second:
        await first.open()
        await second.open()
        block = Link(GENESIS.id, 1, b"wanted")
        await first.send(Announce((block.id,), ()))
        request = await first.expect(GetBlock)
        await second.send(Announce((block.id,), ()))
        await second.barrier()
        await first.send(BlockData(request.request, None))
        request = await second.expect(GetBlock)
        await second.send(BlockData(request.request, block.raw))
        await node.chain.wait_for(lambda: block.id in node.chain.blocks)
        await first.barrier()


async def test_an_announcer_that_vanishes_hands_its_turn_on(node: Node) -> None:
    async with scripted(node, SCRIPTED - 1) as second:
        await second.open()
        block = Link(GENESIS.id, 1, b"wanted")
        async with scripted(node) as first:
            await first.open()
            await first.send(Announce((block.id,), ()))
            await first.expect(GetBlock)
            await second.send(Announce((block.id,), ()))
            await second.barrier()
        request = await second.expect(GetBlock)
        await second.send(BlockData(request.request, block.raw))
        await node.chain.wait_for(lambda: block.id in node.chain.blocks)


async def test_a_peer_says_why_it_leaves(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Disconnect(R.SHUTDOWN.value))
        await node.chain.wait_for(lambda: (OFFENDER, R.SHUTDOWN) in node.chain.partings)
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Disconnect(999))
        await node.chain.wait_for(lambda: (OFFENDER, R.REQUESTED) in node.chain.partings)
    assert node.policy.reports == [(OFFENDER, "peer_disconnected")] * 2


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


async def test_a_peer_that_falls_silent_is_cut() -> None:
    clock = FakeClock(0)
    node = Node(0, clock=clock)
    async with running(node), scripted(node) as peer:
        await peer.open()
        await peer.barrier()
        clock.advance(15_000)
        ping = await peer.expect(Ping)
        clock.advance(29_000)
        await peer.send(Pong(ping.request))
        await peer.barrier()
        clock.advance(15_000)
        await peer.expect(Ping)
        clock.advance(30_000)
        await parting(node, peer, R.TIMEOUT, "peer_timeout")


async def test_a_slow_reader_is_dropped_with_a_bounded_queue() -> None:
    clock = FakeClock(0)
    limits = SessionLimits(ping_every_s=1e9)
    node = Node(0, clock=clock, config=replace(QUICK, session=limits))
    block = node.chain.append(bytes(4 * MIB))
    async with running(node), scripted(node) as peer:
        await peer.open()
        await peer.send(*(GetBlock(number, block.id) for number in range(40)))
        await node.chain.wait_for(lambda: node.chain.peers)
        queued: list[int] = []

        def dropped() -> bool:
            queued.extend(info.queued_bytes for info in node.manager.peers())
            clock.advance(100)
            return node.policy.reports != []

        await until(dropped)
        assert node.policy.reports == [(OFFENDER, "slow_reader")]
        assert 4 * MIB < max(queued) <= limits.outbox_bytes
        assert node.policy.score(OFFENDER) == 0


async def test_too_many_open_requests() -> None:
    node = Node(0)
    async with running(node), scripted(node) as peer:
        await peer.open()
        release = asyncio.Event()

        async def never(block_id: bytes) -> None:
            await release.wait()

        node.chain.block_bytes = never  # type: ignore[method-assign]  # a store that hangs
        await peer.send(*(GetBlock(number, bytes(32)) for number in range(66)))
        await parting(node, peer, R.RATE_EXCEEDED, "too_many_requests")


async def test_a_flood_is_first_slowed_and_then_cut() -> None:
    clock = FakeClock(0)
    node = Node(0, clock=clock)
    (rate,) = [spec.rate for spec in MESSAGES if spec.cls is Ping]
    assert rate == Rate(2, 20)
    async with running(node), scripted(node) as peer:
        await peer.open()
        await peer.send(*(Ping(number) for number in range(200)))
        for number in range(20):
            assert (await peer.expect(Pong)).request == number
        slowed = node.manager.peers()[0].received_bytes
        clock.advance(500)
        assert (await peer.expect(Pong)).request == 20
        assert node.manager.peers()[0].received_bytes < slowed + 20

        def cut() -> bool:
            clock.advance(100)
            return node.policy.reports != []

        await until(cut)
        assert node.policy.reports[0] == (OFFENDER, "rate_exceeded")
        assert 55 <= clock.monotonic() <= 75
