"""Fetches the blocks of known headers from several peers at once and hands them over in order.

Blocks arrive in any order but must be judged parent first, so those that come early wait in memory. Their
number and bytes are bounded, and those under way count too. That is why one peer that stalls could stop the
whole download: all others would wait for the one block that it owes. Therefore a block that holds up the
others is soon asked of another peer as well, and of one more each time that it still does not come. A peer
that is overtaken so is asked for such blocks only, until no other is left. A peer that does not deliver at
all within a longer time, or not what was asked, is not asked again in this download. If no peer is left, the
download fails with `BodiesUnavailable`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from engram.consensus.block import Block
from engram.node.chain.headers import CheckedBlock, CheckedHeader, check_block
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import BodiesUnavailable
from engram.node.largebody import LargeBodies
from engram.p2p.blockmessages import BLOCKS_REPLY_BYTES, MAX_BLOCK_BYTES, MAX_BLOCKS, in_proportion
from engram.p2p.clock import Timer
from engram.p2p.protocol import Peer
from engram.primitives.codec import decode
from engram.primitives.errors import Invalid, NotReady
from engram.primitives.packing import plain_size, unpack

MIB: Final = 1024 * 1024

FIRST_ASKED: Final = 8
"""So many blocks are under way at most before the first has shown how large they are."""

RUN_BLOCKS: Final = 32
"""So many blocks are handed over together at most."""
RUN_PART: Final = 4
"""They take no more than one of so many parts of the buffer, where they count until they are judged."""

Consume = Callable[[Sequence[CheckedBlock]], Awaitable[None]]
"""Takes blocks that follow one another."""


@dataclass(frozen=True)
class DownloadLimits:
    """Bounds of one download."""

    window_blocks: int = 512
    """Blocks may be asked for that come fewer than so many places after the next one to hand over."""
    buffer_bytes: int = 16 * MIB
    """While so many bytes of blocks wait here or are on their way, only the next one is asked for. There are
    more of them, in proportion, where a block may be larger than a message.
    """
    peer_requests: int = 4
    """How many requests for blocks one peer is sent at once."""
    hurry_s: float = 1.0
    """After so many seconds without an answer, the block that all others wait for is asked of one peer more:
    sooner than `turns.STALL_S`, after which another branch may be downloaded instead.
    """
    body_s: float = 15.0
    """Seconds that a peer has to deliver one block; after that, it is not asked again."""


class Download:
    """One download of the blocks with the given headers."""

    def __init__(
        self,
        headers: Sequence[CheckedHeader],
        threads: ReaderThreads,
        limits: DownloadLimits,
        clock: Clock,
        block_bytes: int = MAX_BLOCK_BYTES,
        came: Callable[[], None] = lambda: None,
    ) -> None:
        """`block_bytes` is the most that a block of the chain has. `came` is called for each part of a block
        that is larger than a message; of whole blocks, whoever takes them knows.
        """
        self._buffer_bytes = in_proportion(limits.buffer_bytes, block_bytes)
        self._large = LargeBodies(block_bytes, clock, threads, came)
        self._headers = headers
        self._threads = threads
        self._limits = limits
        self._clock = clock
        self._missing = list(range(len(headers)))  # a heap: lowest first
        self._asked: dict[int, dict[Peer, float]] = {}
        """Blocks under way: who was asked for each, and when."""
        self._ready: dict[int, tuple[CheckedBlock, int]] = {}
        self._buffered_bytes = 0
        self._expected_bytes = self._buffer_bytes // FIRST_ASKED
        """What one more block will probably bring."""
        self._next = 0
        self._peers: dict[Peer, int] = {}
        self._failed: set[Peer] = set()
        self._overtaken: set[Peer] = set()
        self._stopped = asyncio.Event()
        self._changed = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, peers: Iterable[Peer], consume: Consume) -> None:
        """Hands every block to `consume`, in order.

        Raises, in an exception group, what `consume` raises, and `BodiesUnavailable` if no peer delivers a
        block.
        """
        async with asyncio.TaskGroup() as self._group:
            try:
                for peer in peers:
                    self.join(peer)
                await self._hand_over(consume)
            finally:
                self._group = None  # a peer that joins while the group ends must start no task
            for task in self._tasks:
                task.cancel()

    def stop(self) -> None:
        """What has not been handed over yet is not needed any more: `run` returns."""
        self._stopped.set()
        self._notify()

    def join(self, peer: Peer) -> None:
        """From now on, asks this peer for blocks too. Does nothing if the download does not run."""
        if self._group is None or peer in self._peers:
            return
        self._peers[peer] = self._limits.peer_requests
        for _ in range(self._limits.peer_requests):
            self._tasks.append(self._group.create_task(self._ask(peer)))

    async def _hand_over(self, consume: Consume) -> None:
        while self._next < len(self._headers) and not self._stopped.is_set():
            while self._next not in self._ready:
                if self._stopped.is_set():
                    return
                if not any(self._peers.values()):
                    raise BodiesUnavailable(expected=self._headers[self._next].id)
                await self._wait_for_next()
            blocks, size = self._take_run()
            self._notify()
            await consume(blocks)
            self._buffered_bytes -= size
            self._notify()

    def _take_run(self) -> tuple[list[CheckedBlock], int]:
        """The next blocks that are here, one at least, and their plain bytes."""
        blocks, total = list[CheckedBlock](), 0
        while len(blocks) < RUN_BLOCKS and (found := self._ready.get(self._next)) is not None:
            block, size = found
            if blocks and total + size > self._buffer_bytes // RUN_PART:
                break
            del self._ready[self._next]
            self._next += 1
            blocks.append(block)
            total += size
        return blocks, total

    async def _wait_for_next(self) -> None:
        """Waits for a change; the moment at which the next block may be asked of one peer more is one too."""
        timer: Timer | None = None
        if (asked := self._asked.get(self._next)) is not None:
            left_s = max(asked.values()) + self._limits.hurry_s - self._clock.monotonic()
            if left_s > 0.0:
                timer = self._clock.call_later(left_s, self._notify)
        try:
            await self._wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _ask(self, peer: Peer) -> None:
        """Fetches some blocks after the others from a peer until it fails to deliver one."""
        try:
            while indices := await self._claim(peer):
                if not await self._fetch(peer, indices):
                    self._failed.add(peer)
                for index in indices:  # an answer may end before the last of them
                    if not self._is_here(index) and index not in self._asked:
                        heapq.heappush(self._missing, index)
                self._notify()
        finally:
            self._peers[peer] -= 1
            self._notify()

    async def _claim(self, peer: Peer) -> list[int]:
        """The blocks that this peer is asked for from now on; none if it is asked no more."""
        while not (indices := self._choose(peer)):
            if peer in self._failed:
                return []
            await self._wait()
        now_s = self._clock.monotonic()
        for index in indices:
            self._asked.setdefault(index, {})[peer] = now_s
        if self._next in indices:
            self._notify()  # it is known now when one peer more may be asked
        return indices

    def _choose(self, peer: Peer) -> list[int]:
        """The blocks to ask this peer for now in one request, if there are any."""
        if peer in self._failed:
            return []
        if peer not in self._asked.get(self._next, ()) and self._is_late(self._next):
            return [self._next]
        if peer in self._overtaken and self._has_better():
            return []
        chosen: list[int] = []
        most = min(MAX_BLOCKS, BLOCKS_REPLY_BYTES // (2 * self._expected_bytes), self._share())
        while self._missing and len(chosen) < max(1, most) and self._may_ask(self._missing[0], len(chosen)):
            chosen.append(heapq.heappop(self._missing))
        return chosen

    def _share(self) -> int:
        """How many of the blocks that nobody is asked for yet one request may take: the other requests want
        some too, so that all peers are busy to the end.
        """
        return len(self._missing) // (2 * max(1, sum(self._peers.values())))

    def _has_better(self) -> bool:
        """Whether a peer is left that was never overtaken."""
        return any(
            asking and peer not in self._failed and peer not in self._overtaken
            for peer, asking in self._peers.items()
        )

    def _may_ask(self, index: int, chosen: int) -> bool:
        """Whether a block may be asked for, besides the `chosen` ones that are about to be."""
        if index == self._next:
            return True
        under_way_bytes = (len(self._asked) + chosen) * self._expected_bytes
        return (
            index < self._next + self._limits.window_blocks
            and self._buffered_bytes + under_way_bytes < self._buffer_bytes
        )

    def _is_late(self, index: int) -> bool:
        """Whether nobody was asked lately for a block that is under way, though it is not here yet."""
        asked = self._asked.get(index)
        return asked is not None and not self._is_here(index) and self._is_long_ago(max(asked.values()))

    def _is_long_ago(self, at_s: float) -> bool:
        return self._clock.monotonic() - at_s >= self._limits.hurry_s

    def _is_here(self, index: int) -> bool:
        return index < self._next or index in self._ready

    async def _fetch(self, peer: Peer, indices: Sequence[int]) -> bool:
        """Fetches some blocks; False if the peer did not deliver one of them in time or delivered another."""
        try:
            found, is_good = await self._bodies(peer, indices)
        finally:
            others = [self._answered(peer, index) for index in indices]
        for index, body, asked in zip(indices, found, others, strict=False):
            if not self._is_here(index):
                peer.brought_block()
                self._ready[index] = body
                self._buffered_bytes += body[1]
                self._expected_bytes = max(body[1], self._expected_bytes // 2)
                if body[1] <= MAX_BLOCK_BYTES:  # of a larger one, several peers bring parts
                    self._overtaken.update(other for other, at_s in asked.items() if self._is_long_ago(at_s))
        self._notify()
        return is_good

    def _answered(self, peer: Peer, index: int) -> dict[Peer, float]:
        """Notes that a peer owes a block no more; which others are asked for it, and since when."""
        asked = self._asked[index]
        del asked[peer]
        if not asked:
            del self._asked[index]
        return asked

    async def _bodies(
        self, peer: Peer, indices: Sequence[int]
    ) -> tuple[list[tuple[CheckedBlock, int]], bool]:
        """The first of these blocks, each with its plain bytes, and whether the peer has delivered well: one
        block at least, and none that is missing or another one.
        """
        expected = [self._headers[index] for index in indices]
        try:
            answers = await peer.get_blocks([header.id for header in expected], self._limits.body_s)
            came = list(takewhile(lambda raw: raw is not None, answers))
            if not came and self._large.block_bytes > MAX_BLOCK_BYTES:  # it may be larger than a message
                large = await self._large_body(peer, indices[0])
                return ([] if large is None else [large]), large is not None or self._is_here(indices[0])
            found = await self._threads.run(_decode_bodies, came, expected) if came else []
            return found, 0 < len(found) == len(answers)
        except NotReady:
            return [], False
        except Invalid as error:
            peer.misbehaved(error)
            return [], False

    async def _large_body(self, peer: Peer, index: int) -> tuple[CheckedBlock, int] | None:
        """A block that is larger than a message, and its plain bytes; None if the peer lacks it, or if it is
        here already. It is begun once it would fit in whole, or is the next one.
        """
        header = self._headers[index]
        while not self._is_here(index):
            used_bytes = self._buffered_bytes + (len(self._large) + 1) * self._large.block_bytes
            may_begin = used_bytes <= self._buffer_bytes or index == self._next
            with self._large.of(header.id, may_begin=may_begin) as body:
                if body is not None:
                    block = await body.fetch(peer, self._limits.body_s)
                    if block is None:
                        return None
                    checked = await self._threads.run(check_block, header, block)
                    return checked, sum(tx.size_bytes for tx in block.transactions)
            await self._wait()
        return None

    async def _wait(self) -> None:
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _decode_bodies(
    packed: Sequence[bytes], expected: Sequence[CheckedHeader]
) -> list[tuple[CheckedBlock, int]]:
    return [
        (decode_body(raw, header), plain_size(raw)) for raw, header in zip(packed, expected, strict=False)
    ]


def decode_body(packed: bytes, expected: CheckedHeader) -> CheckedBlock:
    """The block with this header. It is CPU work: call it in a worker thread.

    Raises `CodecError`, `ForeignHeaders`, `WrongTransactionsRoot`.
    """
    return check_block(expected, decode(Block, unpack(packed, MAX_BLOCK_BYTES)))
