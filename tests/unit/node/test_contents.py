"""Content by its id: served from the store, fetched of peers in pieces, checked, and never written."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from engram.node.clock import FakeClock
from engram.node.concurrency import ReaderThreads
from engram.node.contents import ABSENT_S, GET_S, HURRY_S, KEPT_BYTES, PEERS_AT_ONCE, PIECE_S, Contents
from engram.node.errors import FalseContent
from engram.node.storage.db import Batch
from engram.node.storage.schema import CONTENT
from engram.p2p.contentmessages import CONTENT_VERSION, MAX_CONTENT_BYTES, PIECE_BYTES, ContentPart
from engram.p2p.errors import PeerTimeout
from engram.p2p.protocol import Held, PeerInfo
from engram.primitives.packing import pack
from engram.primitives.types import Hash
from engram.statemachine.content import blob_id, chunk_hash
from tests.support.node_chain import Running, paying_chain, running
from tests.support.scripted_peer import ScriptedPeer
from tests.support.served_chain import ServedChain
from tests.support.until import until

RAW = random.Random(50).randbytes(5 * PIECE_BYTES + 1_000)
NAME = blob_id(RAW)
PIECES = 6
CHAIN = paying_chain(1)


class Giver(ScriptedPeer):
    """A peer with content, which may hold pieces back or bend them."""

    def __init__(
        self, number: int, raw: bytes = RAW, *, archive: bool = False, has: Iterable[int] = range(PIECES)
    ) -> None:
        served = ServedChain(CHAIN.blocks, content={NAME: raw}, archive=archive)
        super().__init__(served, number)
        self.has = set(has)
        self.bent: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail = asyncio.Event()
        self.stop_at = PIECES
        """It is mute from this piece on."""

    async def get_content(self, name: bytes, piece: int, timeout_s: float) -> ContentPart | None:
        part = await super().get_content(name, piece, timeout_s)
        await asyncio.sleep(0)  # the others have a turn
        if not self.gate.is_set() or piece >= self.stop_at:
            waiting = [asyncio.create_task(each.wait()) for each in (self.gate, self.fail)]
            try:
                await asyncio.wait(waiting[self.gate.is_set() :], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waiting:
                    each.cancel()
        if self.fail.is_set():
            raise PeerTimeout("no answer")
        if part is None or piece not in self.has:
            return None
        return ContentPart(part.size_bytes, bytes(len(part.data))) if piece in self.bent else part


@asynccontextmanager
async def contents(*peers: ScriptedPeer) -> AsyncIterator[tuple[Running, Contents]]:
    threads = ReaderThreads(2)
    try:
        async with running() as node:
            made = Contents(node.chain.store, node.clock, threads, lambda: Held(1, archive=False))
            for peer in peers:
                made.joined(peer)
            yield node, made
    finally:
        threads.close()


@pytest.mark.parametrize("size", [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1])
async def test_own_content_is_given_in_pieces(size: int) -> None:
    raw = RAW[:size]
    async with contents() as (node, made):
        for name in (blob_id(raw), chunk_hash(raw)):
            assert await made.piece(name, 0) is None
            node.chain.store.write(Batch({CONTENT + name: pack(raw)}))
            assert await made.piece(name, 0) == (size, raw[:PIECE_BYTES])
            rest = raw[PIECE_BYTES:]
            assert await made.piece(name, 1) == ((size, rest) if rest else None)
            assert await made.get(name) == raw


async def test_pieces_come_of_several_peers_and_each_once() -> None:
    givers = [Giver(number) for number in range(1, 5)]
    async with contents(*givers) as (node, made):
        assert await made.get(NAME) == RAW
        assert sorted(piece for giver in givers for piece in giver.pieces) == list(range(PIECES))
        assert sum(bool(giver.pieces) for giver in givers) > 1
        assert node.chain.store.database.get(CONTENT + NAME) is None, "nothing of it is written"
        assert await made.get(NAME) == RAW
        assert sum(len(giver.pieces) for giver in givers) == PIECES, "it was kept"
        assert await made.piece(NAME, 5) == (len(RAW), RAW[5 * PIECE_BYTES :])


async def test_who_keeps_everything_is_asked_first() -> None:
    poor, archive = Giver(1, has=()), Giver(2, archive=True)
    async with contents(poor, archive) as (_, made):
        assert await made.get(NAME) == RAW
        assert archive.pieces[0] == 0
        assert 0 not in poor.pieces


async def test_mute_peers_that_boast_hold_nobody_up_for_long() -> None:
    """They claim to keep everything, so they are asked first; later they are asked last."""
    boasting = [Giver(number, archive=True) for number in range(1, PEERS_AT_ONCE + 1)]
    for mute in boasting:
        mute.gate.clear()
    honest = Giver(9)
    async with contents(*boasting, honest) as (node, made):
        asking = asyncio.create_task(made.get(NAME))
        for number, mute in enumerate(boasting, 1):
            await until(partial(len, mute.pieces))
            assert sum(len(each.pieces) for each in boasting) == number, "one more each second"
            assert not honest.pieces
            node.clock.advance(int(HURRY_S * 1000))
        for mute in boasting:
            mute.fail.set()  # the session gives up
        assert await asking == RAW
        other = blob_id(RAW[:7])
        honest.chain.content[other] = RAW[:7]
        assert await made.get(other) == RAW[:7]
        assert [mute.pieces for mute in boasting] == [[0]] * PEERS_AT_ONCE, "they come last now"


async def test_who_waits_too_long_is_told_nothing_and_what_came_is_kept() -> None:
    slow = Giver(1)
    async with contents(slow) as (node, made):
        slow.stop_at = 3
        asking = asyncio.create_task(made.get(NAME))
        await until(lambda: 3 in slow.pieces)
        node.clock.advance(int(GET_S * 1000))
        assert await asking is None
        slow.stop_at = PIECES
        node.clock.advance(int(ABSENT_S * 1000))
        assert await made.get(NAME) == RAW
        assert slow.pieces.count(0) == 1


async def test_what_is_begun_goes_on_where_it_was() -> None:
    first, second = Giver(1, has=range(4)), Giver(2, has=(4, 5))
    async with contents(first) as (_, made):
        assert await made.get(NAME) is None
        assert set(first.pieces) >= {0, 1, 2, 3}
        made.left(first)
        made.joined(second)
        assert await made.get(NAME) == RAW
        assert set(second.pieces) == {4, 5}, "the other pieces were kept"


async def test_what_nobody_has_is_asked_for_once_a_minute_or_when_a_peer_comes() -> None:
    poor = Giver(1, has=())
    async with contents(poor) as (node, made):
        for _ in range(3):
            assert await made.get(NAME) is None
        assert poor.pieces == [0]
        node.clock.advance(int(ABSENT_S * 1000))
        assert await made.get(NAME) is None
        assert poor.pieces == [0, 0]
        made.joined(Giver(2))
        assert await made.get(NAME) == RAW


async def test_one_bent_piece_costs_the_liar_its_session_and_nobody_else_anything() -> None:
    givers = [Giver(number) for number in range(1, 4)]
    givers[1].bent = set(range(PIECES))
    async with contents(*givers) as (_, made):
        assert await made.get(NAME) == RAW
        blamed = [giver.dismissed for giver in givers]
        assert blamed[0] == blamed[2] == ""
        assert blamed[1] in ("", FalseContent.code), "an honest one may have been asked alone before"


async def test_a_peer_that_gives_false_content_alone_has_lied() -> None:
    liar, other = Giver(1), Giver(2)
    liar.bent = {PIECES - 1}
    async with contents(liar) as (_, made):
        assert await made.get(NAME) is None
        assert liar.dismissed == FalseContent.code
        made.left(liar)
        made.joined(other)
        assert await made.get(NAME) == RAW


async def test_another_size_than_before_is_no_piece_of_it() -> None:
    first, other = Giver(1, has=(0, 1)), Giver(2, raw=RAW[:-1])
    async with contents(first, other) as (_, made):
        assert await made.get(NAME) is None
        made.left(other)
        made.joined(Giver(3))
        assert await made.get(NAME) == RAW


class OtherSize(Giver):
    """It answers at once that the content has the largest size, and gives no more of it."""

    async def get_content(self, name: bytes, piece: int, timeout_s: float) -> ContentPart | None:
        self.pieces.append(piece)
        return ContentPart(MAX_CONTENT_BYTES, bytes(PIECE_BYTES)) if piece == 0 else None


@pytest.mark.fault(id=19)
async def test_who_lies_about_the_size_first_keeps_nothing_from_anybody() -> None:
    liar, honest = OtherSize(1), Giver(2)
    async with contents(liar, honest) as (_, made):
        assert await made.get(NAME) == RAW
        assert liar.pieces[0] == 0, "it was asked first, and believed"
        assert honest.dismissed == ""
        other = blob_id(RAW[:7])
        honest.chain.content[other] = RAW[:7]
        before = len(liar.pieces)
        assert await made.get(other) == RAW[:7]
        assert len(liar.pieces) == before, "it comes last now"


TRICKLE_S = PIECE_S - 0.1


class Trickling(Giver):
    """What it gives is false, and each of its pieces but the first comes only just in time."""

    def __init__(self, number: int, clock: FakeClock) -> None:
        super().__init__(number, archive=True)
        self.clock = clock
        self.holds_back = False

    async def get_content(self, name: bytes, piece: int, timeout_s: float) -> ContentPart | None:
        part = await super().get_content(name, piece, timeout_s)
        if len(self.pieces) > 1:
            self.holds_back = True
            await self.clock.sleep(TRICKLE_S)
            self.holds_back = False
        return ContentPart(part.size_bytes, bytes(len(part.data))) if part is not None else None


@pytest.mark.fault(id=19)
async def test_who_trickles_false_pieces_spoils_one_request_at_most() -> None:
    honest = Giver(2)
    async with contents() as (node, made):
        trickling = Trickling(1, node.clock)
        for peer in (trickling, honest):
            made.joined(peer)
        for expected in (None, RAW):
            assert await trickled(made, trickling) == expected
            node.clock.advance(int(ABSENT_S * 1000))
        assert honest.dismissed == ""


async def trickled(made: Contents, peer: Trickling) -> bytes | None:
    """What a request brings; time passes whenever this peer holds a piece back."""
    asking = asyncio.create_task(made.get(NAME))
    while not asking.done():
        await until(lambda: peer.holds_back or asking.done())
        peer.holds_back = False
        peer.clock.advance(int(TRICKLE_S * 1000))
    return await asking


async def test_dialled_peers_are_asked_before_those_that_boast_to_keep_everything() -> None:
    boasting, dialled = Giver(1, archive=True, has=()), Giver(2)
    boasting.inbound = True
    async with contents(boasting, dialled) as (_, made):
        assert await made.get(NAME) == RAW
        assert dialled.pieces[0] == 0


async def test_large_content_is_read_once_for_all_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytes(KEPT_BYTES + 1)
    async with contents() as (node, made):
        name = blob_id(raw)
        reads: list[Hash] = []
        node.chain.store.write(Batch({CONTENT + name: pack(raw)}))
        read = node.chain.store.get_blob

        def counted(asked: Hash) -> bytes:
            reads.append(asked)
            return read(asked)

        monkeypatch.setattr(node.chain.store, "get_blob", counted)
        for piece in range(3):
            assert await made.piece(name, piece) == (len(raw), raw[:PIECE_BYTES])
        assert reads == [name]


async def test_many_who_want_the_same_fetch_it_once() -> None:
    giver = Giver(1)
    giver.gate.clear()
    async with contents(giver) as (_, made):
        asking = [asyncio.create_task(made.get(NAME)) for _ in range(8)]
        await asyncio.sleep(0)
        giver.gate.set()
        assert [await task for task in asking] == [RAW] * 8
        assert len(giver.pieces) <= 2 * PIECES, "two at once, and then what was kept"


class Old(Giver):
    """A peer that speaks an older version."""

    @property
    def info(self) -> PeerInfo:
        return replace(super().info, version=CONTENT_VERSION - 1)


async def test_peers_that_know_no_content_are_not_asked() -> None:
    old = Old(1)
    async with contents(old) as (_, made):
        assert await made.get(NAME) is None
        assert old.pieces == []
