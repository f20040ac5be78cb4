"""Fetches the blocks of known headers from several peers at once and hands them over in order.

Blocks arrive in any order but must be judged parent first, so those that come early wait in memory. Their
number and bytes are bounded. That is why one peer that stalls could stop the whole download: all others would
wait for the one block that it owes. Therefore each request has a time limit. A block that does not come in
time is asked of another peer, and the peer that failed is not asked again in this download. If no peer is
left, the download fails with `BodiesUnavailable`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from engram.consensus.block import Block
from engram.node.chain.headers import CheckedBlock, CheckedHeader, check_block
from engram.node.concurrency import ReaderThreads
from engram.node.errors import BodiesUnavailable
from engram.p2p.messages import MAX_BLOCK_BYTES
from engram.p2p.protocol import Peer
from engram.primitives.codec import decode
from engram.primitives.errors import Invalid, NotReady
from engram.primitives.packing import plain_size, unpack

MIB: Final = 1024 * 1024

Consume = Callable[[CheckedBlock], Awaitable[None]]


@dataclass(frozen=True)
class DownloadLimits:
    """Bounds of one download."""

    window_blocks: int = 64
    """Blocks may be asked for that come fewer than so many places after the next one to hand over."""
    buffer_bytes: int = 16 * MIB
    """While so many bytes of blocks wait to be handed over, only the next block is asked for."""
    peer_requests: int = 4
    """How many blocks are asked of one peer at once."""
    body_s: float = 15.0
    """Seconds that a peer has to deliver one block; after that, another peer is asked."""


class Download:
    """One download of the blocks with the given headers."""

    def __init__(
        self, headers: Sequence[CheckedHeader], threads: ReaderThreads, limits: DownloadLimits
    ) -> None:
        self._headers = headers
        self._threads = threads
        self._limits = limits
        self._missing = list(range(len(headers)))  # a heap: lowest first
        self._ready: dict[int, tuple[CheckedBlock, int]] = {}
        self._buffered_bytes = 0
        self._next = 0
        self._peers: dict[Peer, int] = {}
        self._failed: set[Peer] = set()
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

    def join(self, peer: Peer) -> None:
        """From now on, asks this peer for blocks too. Does nothing if the download does not run."""
        if self._group is None or peer in self._peers:
            return
        self._peers[peer] = self._limits.peer_requests
        for _ in range(self._limits.peer_requests):
            self._tasks.append(self._group.create_task(self._ask(peer)))

    async def _hand_over(self, consume: Consume) -> None:
        while self._next < len(self._headers):
            while self._next not in self._ready:
                if not any(self._peers.values()):
                    raise BodiesUnavailable(expected=self._headers[self._next].id)
                await self._wait()
            block, size = self._ready.pop(self._next)
            self._buffered_bytes -= size
            self._next += 1
            self._notify()
            await consume(block)

    async def _ask(self, peer: Peer) -> None:
        """Fetches one block after the other from a peer until it fails to deliver one."""
        try:
            while peer not in self._failed:
                index = await self._claim()
                if not await self._fetch(peer, index):
                    heapq.heappush(self._missing, index)
                    self._failed.add(peer)
        finally:
            self._peers[peer] -= 1
            self._notify()

    async def _claim(self) -> int:
        while not self._missing or not self._may_ask(self._missing[0]):
            await self._wait()
        return heapq.heappop(self._missing)

    def _may_ask(self, index: int) -> bool:
        if index == self._next:
            return True
        return (
            index < self._next + self._limits.window_blocks
            and self._buffered_bytes < self._limits.buffer_bytes
        )

    async def _fetch(self, peer: Peer, index: int) -> bool:
        """Fetches one block; False if the peer did not deliver it in time or delivered another one."""
        expected = self._headers[index]
        try:
            raw = await peer.get_block(expected.id, self._limits.body_s)
            if raw is None:
                return False
            block = await self._threads.run(decode_body, raw, expected)
        except NotReady:
            return False
        except Invalid as error:
            peer.misbehaved(error)
            return False
        size = plain_size(raw)
        self._ready[index] = block, size
        self._buffered_bytes += size
        self._notify()
        return True

    async def _wait(self) -> None:
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def decode_body(packed: bytes, expected: CheckedHeader) -> CheckedBlock:
    """The block with this header. It is CPU work: call it in a worker thread.

    Raises `CodecError`, `ForeignHeaders`, `WrongTransactionsRoot`.
    """
    return check_block(expected, decode(Block, unpack(packed, MAX_BLOCK_BYTES)))
