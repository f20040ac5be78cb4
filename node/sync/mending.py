"""Fetches bodies of stored blocks again that were found damaged on this node's disk.

Blocks are judged once; later blocks need the states and the headers of older ones, not their bodies. So a
damaged body stops nothing: whoever asks for it is told that this node lacks it, and this service asks peers
for it. What a peer delivers is checked against the stored header before it is stored. In the same way it
fetches, in the background, the bodies of the blocks that came in a snapshot as headers only.

One block is asked for at a time, and of one peer at a time: damage is rare. A peer that does not deliver is
not asked again before `RETRY_S` seconds have passed or another peer has come.
"""

from __future__ import annotations

import asyncio
from typing import Final

from engram.consensus.block import Block
from engram.consensus.validation import check_transactions_root
from engram.node import logs
from engram.node.chain.chain import Chain
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import ForeignHeaders
from engram.node.storage.store import BlockRef
from engram.p2p.messages import MAX_BLOCK_BYTES
from engram.p2p.protocol import Peer
from engram.primitives.codec import decode
from engram.primitives.errors import Invalid, NotReady
from engram.primitives.packing import unpack

BODY_S: Final = 15.0
"""Seconds that a peer has to deliver one body."""
RETRY_S: Final = 60.0
"""Seconds after which peers that did not deliver are asked again."""


class Mending:
    """The service that mends damaged bodies. Methods run on the event loop."""

    def __init__(self, chain: Chain, clock: Clock, threads: ReaderThreads) -> None:
        self._chain = chain
        self._damaged = chain.store.damaged
        self._clock = clock
        self._threads = threads
        self._peers: dict[Peer, None] = {}
        self._unfilled = chain.store.pruned().base
        """The highest block before the snapshot whose body may still be missing."""
        self._wake = asyncio.Event()
        self._log = logs.get_logger("store")

    def joined(self, peer: Peer) -> None:
        """Called when a session with a peer has opened."""
        self._peers[peer] = None
        if self._damaged or self._unfilled:
            self._wake.set()

    def left(self, peer: Peer) -> None:
        """Called when a session with a peer has ended."""
        self._peers.pop(peer, None)

    async def run(self) -> None:
        """The service: mends what is found damaged, until it is cancelled."""
        loop = asyncio.get_running_loop()
        end = self._damaged.listen(lambda block: _call(loop, self._wake))
        try:
            while True:
                self._wake.clear()
                await self._mend_all()
                if not self._damaged and await self._fill():
                    await self._wake.wait()
                    continue
                alarm = self._clock.call_later(RETRY_S, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    alarm.cancel()
        finally:
            end()

    async def _mend_all(self) -> None:
        """Asks for each damaged body once, of every peer until one delivers it."""
        blocks = self._damaged.blocks()
        if not blocks:
            return
        refs = [await self._threads.run(self._chain.store.get_ref, block) for block in blocks]
        lowest = min(ref.height for ref in refs)
        self._log.warning(
            "bodies of blocks are damaged on disk and are fetched again from peers: check the disk",
            blocks=len(refs),
            lowest=lowest,
        )
        useless: set[Peer] = set()
        for ref in refs:
            for peer in sorted(self._peers, key=lambda peer: peer.info.inbound):
                if peer not in useless:
                    if await self._fetch(peer, ref):
                        break
                    useless.add(peer)
        mended = sum(block not in self._damaged for block in blocks)
        self._log.info("damaged bodies are whole again", blocks=mended, missing=len(blocks) - mended)

    async def _fill(self) -> bool:
        """Fetches bodies of blocks that came as headers in a snapshot, newest first; whether all are there.

        It ends as soon as damage is found or a body is not delivered by any peer.
        """
        store = self._chain.store
        while self._unfilled and not self._damaged:
            block = await self._threads.run(store.canonical_id, self._unfilled)
            ref = None if block is None else await self._threads.run(store.get_ref, block)
            missing = ref is not None and await self._threads.run(store.find_body, ref) is None
            if ref is not None and missing and not await self._fetch_of_any(ref):
                return False
            self._unfilled -= 1
            if not self._unfilled:
                self._log.info("the blocks before the snapshot are all here")
        return not self._damaged

    async def _fetch_of_any(self, ref: BlockRef) -> bool:
        self._damaged.add(ref.id)
        for peer in sorted(self._peers, key=lambda peer: peer.info.inbound):
            if await self._fetch(peer, ref):
                return True
        self._damaged.remove(ref.id)
        return False

    async def _fetch(self, peer: Peer, ref: BlockRef) -> bool:
        """Fetches and stores one body; False if the peer did not deliver it."""
        try:
            raw = await peer.get_block(ref.id, BODY_S)
            if raw is None:
                return False
            await self._chain.import_block(await self._threads.run(_block_of, ref, raw))
        except NotReady:
            return False
        except Invalid as error:
            peer.misbehaved(error)
            return False
        return ref.id not in self._damaged


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
