"""Blocks larger than a message: peers share the work, lies are proved, and nobody holds it up for long."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from engram.consensus.block import Block
from engram.node.clock import FakeClock
from engram.node.concurrency import ReaderThreads
from engram.node.largebody import RUN_BYTES, STALE_S, BodyPart, LargeBodies, LargeBody, block_bytes_of
from engram.node.outlines import outline_of
from engram.p2p.blockmessages import MAX_BLOCK_BYTES, BlockOutline
from engram.p2p.errors import PeerTimeout
from engram.primitives.codec import encode
from engram.primitives.errors import ChainError
from engram.primitives.packing import pack, pack_plain
from engram.statemachine.transaction import Transaction
from tests.support.large_blocks import LARGE, large_chain
from tests.support.node_chain import settled
from tests.support.until import until

ANSWER_S = 10.0
CHUNKS = 24
RUN = 3
"""So many chunks fit into one answer of a megabyte."""
CHAIN, (BLOCK, OTHER) = large_chain(CHUNKS, 2)


@dataclass
class Supplier:
    """A peer that has a block, or says so."""

    block: Block = BLOCK
    outline: BlockOutline | None = field(default_factory=lambda: outline_of(BLOCK))
    mute_after: int = 10**9
    """After so many answers it is silent until it is told to `speak`."""
    answer: Callable[[Sequence[Transaction]], bytes | None] = lambda chosen: pack_plain(
        encode(BodyPart(tuple(chosen)))
    )
    asked: list[tuple[int, ...]] = field(default_factory=list)
    """Places that it was asked for, in order."""
    speak: asyncio.Event = field(default_factory=asyncio.Event)

    async def get_outline(self, block_id: bytes, timeout_s: float) -> BlockOutline | None:
        assert block_id == BLOCK.header.id
        return self.outline

    async def get_block_transactions(
        self, block_id: bytes, places: Sequence[int], timeout_s: float
    ) -> bytes | None:
        self.asked.append(tuple(places))
        if len(self.asked) > self.mute_after:
            await self.speak.wait()
        return self.answer([self.block.transactions[place] for place in places])


class Bench:
    """A block that is put together, and the clock that says how long it takes."""

    def __init__(self) -> None:
        self.clock = FakeClock(0)
        self.threads = ReaderThreads()
        self.body = self.new()

    def new(self) -> LargeBody:
        """Nothing of the block is there yet."""
        return LargeBody(BLOCK.header.id, block_bytes_of(LARGE), self.clock, self.threads)

    def fetch(self, peer: Supplier, known: Sequence[Transaction] = ()) -> "asyncio.Task[Block | None]":
        return asyncio.create_task(self.body.fetch(peer, ANSWER_S, known))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.threads.close()


async def test_one_peer_is_asked_for_a_megabyte_after_the_other(bench: Bench) -> None:
    peer = Supplier()
    assert await bench.fetch(peer) == BLOCK
    assert peer.asked == [tuple(range(at, at + RUN)) for at in range(0, CHUNKS, RUN)]
    sizes = [sum(BLOCK.transactions[place].size_bytes for place in places) for places in peer.asked]
    assert all(RUN_BYTES * 3 // 4 < size <= RUN_BYTES for size in sizes)


async def test_what_waits_in_the_mempool_is_not_asked_for(bench: Bench) -> None:
    peer = Supplier()
    assert await bench.fetch(peer, [*BLOCK.transactions[2:], OTHER.transactions[0]]) == BLOCK
    assert peer.asked == [(0, 1)]


async def test_each_of_several_peers_brings_other_parts(bench: Bench) -> None:
    peers = [Supplier(mute_after=0) for _ in range(3)]
    tasks = [bench.fetch(peer) for peer in peers]
    await until(lambda: all(peer.asked for peer in peers))
    for peer in peers:
        peer.speak.set()
    assert await asyncio.gather(*tasks) == [BLOCK] * 3
    asked = [place for peer in peers for places in peer.asked for place in places]
    assert sorted(asked) == list(range(CHUNKS)), "none twice"


async def test_who_keeps_a_part_back_holds_it_up_for_two_seconds(bench: Bench) -> None:
    mutes, honest = [Supplier(mute_after=0) for _ in range(5)], Supplier()
    held = [bench.fetch(mute) for mute in mutes]
    await until(lambda: all(mute.asked for mute in mutes))
    task = bench.fetch(honest)
    left = CHUNKS - len(mutes) * RUN
    await until(lambda: sum(map(len, honest.asked)) == left)
    await settled()
    bench.clock.advance(int(STALE_S * 1000) - 1)
    await settled()
    assert sum(map(len, honest.asked)) == left
    bench.clock.advance(1)
    assert await task == BLOCK
    for mute in mutes:
        mute.speak.set()
    assert await asyncio.gather(*held) == [BLOCK] * len(mutes)


async def test_what_a_peer_lacks_is_asked_of_another_at_once(bench: Bench) -> None:
    lacking, honest = Supplier(mute_after=0, answer=lambda chosen: None), Supplier(mute_after=0)
    tasks = [bench.fetch(lacking), bench.fetch(honest)]
    await until(lambda: lacking.asked and honest.asked)
    lacking.speak.set()
    assert await tasks[0] is None
    honest.speak.set()
    assert await tasks[1] == BLOCK
    assert lacking.asked[0] in honest.asked
    assert await bench.fetch(Supplier(outline=None)) is None


class SlowSupplier(Supplier):
    """A peer that takes so many seconds for each answer."""

    clock: FakeClock
    seconds: int

    async def get_block_transactions(
        self, block_id: bytes, places: Sequence[int], timeout_s: float
    ) -> bytes | None:
        assert 0 < timeout_s <= ANSWER_S
        self.clock.advance(1000 * self.seconds)
        return await super().get_block_transactions(block_id, places, timeout_s)


async def test_a_slow_peer_has_more_time_for_what_has_come(bench: Bench) -> None:
    """At a megabyte in two seconds it may bring everything; at a megabyte in eight it may not."""
    peer = SlowSupplier()
    peer.clock, peer.seconds = bench.clock, 2
    assert await bench.fetch(peer) == BLOCK
    bench.body, peer.asked = bench.new(), []
    peer.seconds = 8
    with pytest.raises(PeerTimeout):
        await bench.fetch(peer)
    came_bytes = sum(BLOCK.transactions[place].size_bytes for places in peer.asked for place in places)
    allowed_s = ANSWER_S * (1 + came_bytes / MAX_BLOCK_BYTES)
    assert 8 * len(peer.asked) - 8 < allowed_s <= 8 * len(peer.asked)


GOOD = outline_of(BLOCK)
SWAPPED = GOOD.txids[32:64] + GOOD.txids[:32] + GOOD.txids[64:]


@pytest.mark.parametrize(
    ("outline", "code"),
    [
        (outline_of(OTHER), "wrong_reply"),
        (replace(GOOD, header=b"\x90"), "wrong_arity"),
        (replace(GOOD, txids=SWAPPED), "wrong_transactions_root"),
        (replace(GOOD, txids=GOOD.txids[:-32], sizes=GOOD.sizes[:-1]), "wrong_transactions_root"),
        (replace(GOOD, sizes=GOOD.sizes[:-1]), "wrong_reply"),
        (replace(GOOD, txids=GOOD.txids[:-1]), "wrong_reply"),
        (replace(GOOD, sizes=(2**25, *GOOD.sizes[1:])), "body_too_large"),
    ],
    ids=["another block", "no header", "swapped", "one less", "a size less", "cut off", "too large"],
)
async def test_a_false_outline_is_refused_before_anything_is_asked_for(
    bench: Bench, outline: BlockOutline, code: str
) -> None:
    peer = Supplier(outline=outline)
    with pytest.raises(ChainError) as caught:
        await bench.fetch(peer)
    assert (caught.value.code, peer.asked) == (code, [])


def part(*transactions: Transaction) -> bytes:
    return pack_plain(encode(BodyPart(transactions)))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda chosen: part(*chosen[1:]), "wrong_reply"),
        (lambda chosen: part(*chosen[::-1]), "wrong_reply"),
        (lambda chosen: part(OTHER.transactions[0], *chosen[1:]), "wrong_reply"),
        (lambda chosen: part(*chosen, *OTHER.transactions), "too_large"),
        (lambda chosen: pack(bytes(MAX_BLOCK_BYTES)), "too_large"),
        (lambda chosen: pack_plain(b"\x91"), "truncated"),
        (lambda chosen: b"\x02", "bad_packing"),
    ],
    ids=["one less", "other order", "another", "more", "a bomb", "cut off", "no packing"],
)
async def test_a_false_part_is_refused_and_what_came_before_stays(
    bench: Bench, answer: Callable[[Sequence[Transaction]], bytes], code: str
) -> None:
    liar, honest = Supplier(answer=answer), Supplier(mute_after=1)
    task = bench.fetch(honest)
    await until(lambda: len(honest.asked) == 2)
    with pytest.raises(ChainError) as caught:
        await bench.fetch(liar)
    assert caught.value.code == code
    honest.mute_after = CHUNKS
    honest.speak.set()
    assert await task == BLOCK
    asked = [place for places in honest.asked for place in places]
    assert sorted(asked) == list(range(CHUNKS))


async def test_false_sizes_turn_against_nobody_but_who_told_them(bench: Bench) -> None:
    small = replace(GOOD, sizes=tuple(size - 1 for size in GOOD.sizes))
    liar, honest = Supplier(outline=small), Supplier()
    with pytest.raises(ChainError) as caught:
        await bench.fetch(liar)
    assert caught.value.code in ("wrong_reply", "too_large")
    assert await bench.fetch(honest) == BLOCK


async def test_a_block_that_is_too_large_is_refused_though_its_outline_says_otherwise(bench: Bench) -> None:
    """Transactions of the mempool are compared with no size that was told; the whole is."""
    most = sum(GOOD.sizes) - 1
    bench.body = LargeBody(BLOCK.header.id, most + 272, bench.clock, bench.threads)
    small = replace(GOOD, sizes=(1,) * CHUNKS)
    with pytest.raises(ChainError) as caught:
        await bench.fetch(Supplier(outline=small), BLOCK.transactions)
    assert caught.value.code == "body_too_large"


async def test_a_block_is_put_together_once_while_somebody_helps(bench: Bench) -> None:
    bodies = LargeBodies(block_bytes_of(LARGE), bench.clock, bench.threads)
    one, two = BLOCK.header.id, OTHER.header.id
    with bodies.of(one, may_begin=True) as first:
        with bodies.of(one, may_begin=False) as again, bodies.of(two, may_begin=False) as other:
            assert first is again is not None
            assert other is None
        assert len(bodies) == 1
    assert len(bodies) == 0
