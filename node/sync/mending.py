"""Fetches bodies of stored blocks that this node lacks: damaged ones, and those from before a snapshot.

Blocks are judged once; later blocks need the states and the headers of older ones, not their bodies. So a
missing body stops nothing: whoever asks for it is told that this node lacks it, and this service asks peers
for it by the block's id. What a peer delivers is checked against the stored header before it is stored.

Damaged bodies come first. Those from before a snapshot are fetched newest first, and after a restart from
where it ended. A few are asked for at once, of several peers, and of each only those that it says it has: a
peer that began with a snapshot itself lacks the older ones. A peer that lacks one all the same is asked no
more in the same round, and one that does not answer in time not for `RETRY_S` seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Final

from engram.consensus.block import Block
from engram.consensus.validation import check_transactions_root
from engram.node import logs
from engram.node.chain.chain import Chain
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import ForeignHeaders
from engram.node.largebody import LargeBody, block_bytes_of
from engram.node.storage.store import BlockRef
from engram.p2p.blockmessages import MAX_BLOCK_BYTES
from engram.p2p.contentmessages import CONTENT_VERSION
from engram.p2p.protocol import Peer
from engram.primitives.codec import decode
from engram.primitives.errors import Invalid, NotReady
from engram.primitives.packing import unpack

BODY_S: Final = 15.0
"""Seconds that a peer has to deliver one body."""
HOLDINGS_S: Final = 5.0
"""Seconds that a peer has to say what it has."""
RETRY_S: Final = 60.0
"""Seconds after which peers that did not deliver are asked again, and what a peer has is asked anew."""
ROUND_BLOCKS: Final = 128
"""Bodies that are looked for before damage is looked for again."""
PEERS_AT_ONCE: Final = 4
BODIES_OF_PEER: Final = 2
"""How many bodies are asked of one peer at once."""
LARGE_AT_ONCE: Final = 2
"""How many blocks that are larger than a message are fetched at once."""


class Mending:
    """The service that mends damaged bodies. Methods run on the event loop."""

    def __init__(self, chain: Chain, clock: Clock, threads: ReaderThreads) -> None:
        self._chain = chain
        self._damaged = chain.store.damaged
        self._clock = clock
        self._threads = threads
        self._peers: dict[Peer, None] = {}
        self._base = self._unfilled = chain.store.pruned().base
        self._late: dict[Peer, float] = {}
        """Peers that did not answer in time, and when they may be asked again."""
        self._holds: dict[Peer, tuple[float, int]] = {}
        """When peers were asked what they have, and from which height on they said they have bodies."""
        self._block_bytes = block_bytes_of(chain.spec)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._wake = asyncio.Event()
        self._log = logs.get_logger("store")

    @property
    def backfill(self) -> tuple[int, int]:
        """Up to which height the bodies came in no snapshot, and up to which some of them are missing still;
        (0, 0) for a node that began at genesis.
        """
        return self._base, self._unfilled

    def joined(self, peer: Peer) -> None:
        """Called when a session with a peer has opened."""
        self._peers[peer] = None
        if self._damaged or self._unfilled:
            self._wake.set()

    def left(self, peer: Peer) -> None:
        """Called when a session with a peer has ended."""
        self._peers.pop(peer, None)
        self._late.pop(peer, None)
        self._holds.pop(peer, None)

    async def run(self) -> None:
        """The service: fetches what is missing, until it is cancelled."""
        loop = asyncio.get_running_loop()
        end = self._damaged.listen(lambda block: _call(loop, self._wake))
        try:
            while True:
                self._wake.clear()
                if await (self._mend() if self._damaged else self._fill()):
                    continue
                if not self._damaged and not self._unfilled:
                    await self._wake.wait()
                    continue
                alarm = self._clock.call_later(RETRY_S, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    alarm.cancel()
        finally:
            end()

    async def _mend(self) -> bool:
        """Asks for the damaged bodies; whether all of them are whole now."""
        blocks = self._damaged.blocks()
        refs = [await self._threads.run(self._chain.store.get_ref, block) for block in blocks]
        self._log.warning(
            "bodies of blocks are damaged on disk and are fetched again from peers: check the disk",
            blocks=len(refs),
            lowest=min(ref.height for ref in refs),
        )
        await self._fetch_all(refs)
        missing = [ref.id for ref in refs if ref.id in self._damaged]
        self._log.info(
            "damaged bodies are whole again", blocks=len(refs) - len(missing), missing=len(missing)
        )
        return not missing

    async def _fill(self) -> bool:
        """Asks for some bodies of blocks that came as headers in a snapshot; whether to go on at once."""
        if not self._unfilled:
            return False
        refs = await self._threads.run(self._missing)
        if not refs:
            self._unfilled = 0
            self._log.info("the blocks before the snapshot are all here")
            return False
        self._unfilled = refs[0].height
        for ref in refs:
            self._damaged.expect(ref.id)  # so that they are stored though their blocks were judged before
        try:
            return await self._fetch_all(refs) > 0
        finally:
            for ref in refs:
                self._damaged.remove(ref.id)

    def _missing(self) -> list[BlockRef]:
        """The highest blocks of the snapshot without bodies. It reads the database: call it in a worker."""
        store, found = self._chain.store, list[BlockRef]()
        for height in range(self._unfilled, 0, -1):
            block = store.canonical_id(height)
            ref = None if block is None else store.get_ref(block)
            if ref is not None and store.find_body(ref) is None:
                found.append(ref)
                if len(found) == ROUND_BLOCKS:
                    break
        return found

    async def _fetch_all(self, refs: list[BlockRef]) -> int:
        """Asks peers for bodies, each of one peer after the other; how many came."""
        wanted, useless = deque(refs), set[Peer]()
        while asking := [peer for peer in self._willing() if self._next_of(peer, wanted, useless)]:
            async with asyncio.TaskGroup() as tasks:
                for peer in asking[:PEERS_AT_ONCE]:
                    tasks.create_task(self._ask(peer, wanted, useless))
        return len(refs) - len(wanted)

    def _willing(self) -> list[Peer]:
        now_s = self._clock.monotonic()
        peers = [peer for peer in self._peers if self._late.get(peer, now_s) <= now_s]
        return sorted(peers, key=lambda peer: peer.info.inbound)

    async def _ask(self, peer: Peer, wanted: deque[BlockRef], useless: set[Peer]) -> None:
        """Asks a peer what it has, unless that was learned lately, and then for what it has."""
        if peer.info.version >= CONTENT_VERSION and self._lowest(peer) is None:
            try:
                holdings = await peer.get_holdings(HOLDINGS_S)
            except NotReady:
                self._is_late(peer)
                useless.add(peer)
                return
            if peer in self._peers:
                self._holds[peer] = (self._clock.monotonic(), holdings.bodies_from)
        await asyncio.gather(*(self._supply(peer, wanted, useless) for _ in range(BODIES_OF_PEER)))

    def _next_of(self, peer: Peer, wanted: deque[BlockRef], useless: set[Peer]) -> BlockRef | None:
        """The next body that this peer may have."""
        if peer in useless:
            return None
        lowest = self._lowest(peer) or 1
        return next((ref for ref in wanted if ref.height >= lowest), None)

    def _lowest(self, peer: Peer) -> int | None:
        """From which height on the peer has bodies; None if it has not said so lately."""
        asked_s, lowest = self._holds.get(peer, (-math.inf, 1))
        return lowest if asked_s > self._clock.monotonic() - RETRY_S else None

    async def _supply(self, peer: Peer, wanted: deque[BlockRef], useless: set[Peer]) -> None:
        """Fetches one body after the other from a peer, until it does not deliver one or has no more."""
        while (ref := self._next_of(peer, wanted, useless)) is not None:
            wanted.remove(ref)
            came = False
            try:
                came = await self._fetch(peer, ref)
            finally:
                if not came:
                    wanted.append(ref)
                    useless.add(peer)

    async def _fetch(self, peer: Peer, ref: BlockRef) -> bool:
        """Fetches and stores one body; False if the peer did not deliver it."""
        try:
            block = await self._block(peer, ref)
            if block is None:
                return False
            await self._chain.import_block(block)
        except NotReady:
            self._is_late(peer)
            return False
        except Invalid as error:
            peer.misbehaved(error)
            return False
        return ref.id not in self._damaged

    async def _block(self, peer: Peer, ref: BlockRef) -> Block | None:
        """The block with a stored header; None if the peer lacks it. Raises as `_block_of`, or as the peer's
        requests and `LargeBody.fetch` do.
        """
        raw = await peer.get_block(ref.id, BODY_S)
        if raw is not None:
            return await self._threads.run(_block_of, ref, raw)
        if self._block_bytes <= MAX_BLOCK_BYTES:
            return None
        async with self._large:
            body = LargeBody(ref.id, self._block_bytes, self._clock, self._threads)
            return await body.fetch(peer, BODY_S)

    def _is_late(self, peer: Peer) -> None:
        if peer in self._peers:
            self._late[peer] = self._clock.monotonic() + RETRY_S


def _block_of(ref: BlockRef, packed: bytes) -> Block:
    """The block with a stored header. Raises `CodecError`, `ForeignHeaders`, `WrongTransactionsRoot`."""
    block = decode(Block, unpack(packed, MAX_BLOCK_BYTES))
    if block.header != ref.header:
        raise ForeignHeaders("another block than asked for", expected=ref.id, got=block.header.id)
    check_transactions_root(block)
    return block


def _call(loop: asyncio.AbstractEventLoop, wake: asyncio.Event) -> None:
    """Wakes the service from whichever thread has found damage."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(wake.set)
