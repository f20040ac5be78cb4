"""Peers that break the rules, over real sockets: each is cut off by name, and nobody else notices."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random

import pytest

from engram.node.clock import FakeClock
from engram.p2p.errors import DisconnectReason
from engram.p2p.limits import SessionLimits
from engram.p2p.messages import (
    MAX_FRAME_BYTES,
    MAX_TRANSACTION_BYTES,
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
    Ping,
    Pong,
    Rate,
    Transactions,
    encode_frame,
)
from engram.primitives.packing import pack
from tests.support.p2p_chain import BAD_TRANSACTION, BAD_WORK, GENESIS, Link, transaction_id
from tests.support.p2p_nodes import QUICK, Node, node_key, running
from tests.support.p2p_scripted import SCRIPTED, besieged, parting, scripted
from tests.support.until import until

pytestmark = pytest.mark.fault(id=21)

OFFENDER = node_key(SCRIPTED).public_key
R = DisconnectReason


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with besieged() as node:
        yield node


BLOCK = Link(GENESIS.id, 1, b"a text that repeats itself, " * 100)
DEFLATED = BLOCK.packed_bytes
BOMB = zlib.compress(bytes(16 * MIB), 9)
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
        await peer.send(BlockData(request.request, Link(GENESIS.id, 1, b"other").packed_bytes))
        await parting(node, peer, R.BAD_REPLY, "wrong_reply")


@pytest.mark.parametrize(
    ("raw", "reason", "code"),
    [
        (Link(GENESIS.id, 1, BAD_WORK).packed_bytes, R.INVALID_DATA, "invalid_header"),
        (pack(b"no block"), R.BAD_FRAME, "wrong_type"),
        (b"\x02" + BLOCK.raw, R.BAD_FRAME, "bad_packing"),
        (DEFLATED + b"\x00", R.BAD_FRAME, "bad_packing"),
        (DEFLATED[:-1], R.BAD_FRAME, "bad_packing"),
        (DEFLATED[:20] + bytes([DEFLATED[20] ^ 1]) + DEFLATED[21:], R.BAD_FRAME, "bad_packing"),
        (b"\x01\x00\x00\xff\xff" + BOMB, R.BAD_FRAME, "bad_packing"),
        (b"\x01\xff\xff\xff\xff" + BOMB, R.BAD_FRAME, "too_large"),
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


HEAVY = pack(bytes(MAX_TRANSACTION_BYTES))
"""A few bytes that stand for a transaction of the largest size."""


@pytest.mark.parametrize(
    ("answers", "reason", "code"),
    [
        ((HEAVY,) * 3, R.BAD_REPLY, "wrong_reply"),
        ((b"\x07pay",), R.BAD_FRAME, "bad_packing"),
        ((b"\x01",), R.BAD_FRAME, "truncated"),
        ((b"\x01\x00\x00\xff\xff" + BOMB,), R.BAD_FRAME, "bad_packing"),
        ((b"\x01\x00\x1f\xff\xff" + BOMB,), R.BAD_FRAME, "too_large"),
    ],
)
async def test_transactions_that_take_more_memory_than_they_may(
    node: Node, answers: tuple[bytes, ...], reason: DisconnectReason, code: str
) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((), tuple(transaction_id(bytes([number])) for number in range(3))))
        request = await peer.expect(GetTransactions)
        await peer.send(Transactions(request.request, answers))
        await parting(node, peer, reason, code)
        assert node.policy.reports == [(OFFENDER, code)]
        assert not node.chain.fetched


@pytest.mark.parametrize("case", ["another", "too many", "badly signed"])
async def test_transactions_that_no_honest_peer_sends(node: Node, case: str) -> None:
    raw = BAD_TRANSACTION if case == "badly signed" else b"pay"
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((), (transaction_id(raw),)))
        request = await peer.expect(GetTransactions)
        answers = {"another": (pack(b"other"),), "too many": (pack(raw),) * 2, "badly signed": (pack(raw),)}[
            case
        ]
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
        await second.send(BlockData(request.request, block.packed_bytes))
        await node.chain.wait_for(lambda: block.id in node.chain.blocks)
        await first.barrier()
        assert [peer.node_key for peer in node.chain.missed] == [first.key.public_key]


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
        await second.send(BlockData(request.request, block.packed_bytes))
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


@pytest.mark.fault(id=19)
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


@pytest.mark.fault(id=19)
async def test_a_slow_reader_is_dropped_with_a_bounded_queue() -> None:
    clock = FakeClock(0)
    limits = SessionLimits(ping_every_s=1e9)
    node = Node(0, clock=clock, config=replace(QUICK, session=limits))
    block = node.chain.append(Random(1).randbytes(4 * MIB))
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


async def test_a_short_answer_is_followed_by_another_question(node: Node) -> None:
    raws = [b"one", b"two", b"three"]
    txids = tuple(transaction_id(raw) for raw in raws)
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((), txids))
        request = await peer.expect(GetTransactions)
        assert request.txids == txids
        await peer.send(Transactions(request.request, (pack(b"one"),)))
        request = await peer.expect(GetTransactions)
        assert request.txids == txids[1:]
        await peer.send(Transactions(request.request, (pack(b"two"), pack(b"three"))))
        await node.chain.wait_for(lambda: len(node.chain.pool) == 3)


async def test_what_a_peer_announced_is_not_announced_to_it(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        await peer.send(Announce((), (transaction_id(b"theirs"),)))
        request = await peer.expect(GetTransactions)
        await peer.send(Transactions(request.request, (pack(b"theirs"),)))
        await node.chain.wait_for(lambda: node.chain.pool)
        txid = node.chain.submit(b"ours")
        assert (await peer.expect(Announce)).transactions == (txid,)


async def test_a_block_that_came_another_way_is_not_asked_for(node: Node) -> None:
    async with scripted(node) as peer:
        await peer.open()
        withheld, wanted = (Link(GENESIS.id, 1, text) for text in (b"withheld", b"wanted"))
        await peer.send(Announce((withheld.id, wanted.id), ()))
        request = await peer.expect(GetBlock)
        node.chain.blocks[wanted.id] = wanted
        await peer.send(BlockData(request.request, None), Announce((bytes(32),), ()))
        assert (await peer.expect(GetBlock)).block_id == bytes(32)


async def test_a_node_keeps_within_the_rates_itself() -> None:
    clock = FakeClock(0)
    node = Node(0, clock=clock)
    async with running(node), scripted(node) as peer:
        await peer.open()
        await peer.barrier()
        pings = [asyncio.ensure_future(node.chain.peers[0].ping()) for _ in range(21)]
        for _ in range(20):
            await peer.send(Pong((await peer.expect(Ping)).request))
        await asyncio.wait(pings[:20])
        await peer.barrier()
        clock.advance(500)
        await peer.send(Pong((await peer.expect(Ping)).request))
        await asyncio.wait(pings)
        for number in range(100):
            node.chain.mine(b"%d" % number)
            await peer.expect(Announce)
        late = [node.chain.mine(b"late").id, node.chain.mine(b"later").id]
        await peer.barrier()
        clock.advance(100)
        assert (await peer.expect(Announce)).blocks == tuple(late)
