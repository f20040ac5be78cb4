"""Keeps the index of accounts in step with the chain, in the background, or deletes what is not wanted.

A block is indexed after it has joined the best chain, not while it is judged: so the index holds up no block,
and the chain goes on if it cannot. Whoever asks for a history waits until the blocks that had come are in it,
unless there are many.
"""

from __future__ import annotations

import asyncio
from typing import Final

from engram.node import logs
from engram.node.chain.chain import Chain
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import AccountIndexOff
from engram.node.history.index import STEP_BLOCKS, AccountIndex, HistoryPage, HistoryPlace
from engram.node.storage.store import BlockRef
from engram.primitives.types import Address

RETRY_S: Final = 10.0
"""After so many seconds it is looked again whether a body has come that was waited for."""
TOLD_BLOCKS: Final = 10_000
"""After so many blocks of the past, the log says how far the index is."""


class AccountHistory:
    """The service that keeps the index. Methods run on the event loop."""

    def __init__(
        self,
        chain: Chain,
        clock: Clock,
        threads: ReaderThreads,
        asking: ReaderThreads,
        *,
        enabled: bool,
    ) -> None:
        """The index is kept in `threads`, and read for whoever asks in `asking`."""
        self.enabled = enabled
        self._chain = chain
        self._clock = clock
        self._threads = threads
        self._asking = asking
        self._index = AccountIndex(chain.store, chain.spec)
        self._wake = asyncio.Event()
        self._stepped = asyncio.Event()
        self._held_up: BlockRef | None = None
        """The head for which nothing could be done, because a body on the way to it is missing."""
        self._looked = False
        """Whether it is known what an earlier run has left."""
        self._told = 0
        self._log = logs.get_logger("history")

    @property
    def heights(self) -> tuple[int, int] | None:
        """The lowest and the highest block that is indexed; None without an index."""
        ends = self._index.ends
        return None if ends is None else (ends[1].height + 1, ends[0].height)

    async def page(self, address: Address, limit: int, before: HistoryPlace | None) -> HistoryPage:
        """Entries of an account, the latest first. Raises `AccountIndexOff`."""
        if not self.enabled:
            raise AccountIndexOff
        head = self._chain.head
        while True:
            stepped = self._stepped
            if self._looked and self._index.ends is None:
                return HistoryPage(head, head, (), more=False)  # another one is still being deleted
            if self._has_reached(head):
                page = await self._asking.run(self._index.page, address, limit, before)
                if page is not None:
                    return page
            await stepped.wait()

    async def run(self) -> None:
        """The service: indexes what there is, until it is cancelled. Without the setting it deletes what an
        earlier run has left.
        """
        if not self.enabled:
            await self._drop()
            return
        await self._threads.run(self._index.open)
        self._looked = True
        self._told = self.heights[0] if self.heights else 0
        self._step_done()
        end = self._chain.listen(self._wake.set)
        try:
            while True:
                self._wake.clear()
                if self._index.ends is None:
                    await self._begin()
                head = self._chain.head
                advanced = await self._threads.run(self._index.step, head)
                self._held_up = None if advanced else head
                self._tell()
                self._step_done()
                if not advanced:
                    await self._rest(head)
        finally:
            end()

    def _has_reached(self, head: BlockRef) -> bool:
        """Whether the index holds what had come with this head, or will not do so soon."""
        ends = self._index.ends
        if ends is None:
            return False
        near = head.height - ends[0].height <= STEP_BLOCKS
        held_up = self._held_up is not None and self._held_up.id == self._chain.head.id
        stands = self._chain.store.is_canonical(ends[0])  # else its block was left, perhaps taken back
        return (stands and ends[0].total_work >= head.total_work) or held_up or not near

    def _step_done(self) -> None:
        self._stepped.set()
        self._stepped = asyncio.Event()

    async def _begin(self) -> None:
        await self._drop()
        head = self._chain.head
        await self._threads.run(self._index.begin, head)
        self._told = head.height
        if head.height:
            self._log.info("an index of accounts is made of the blocks that are here", blocks=head.height)

    async def _drop(self) -> None:
        dropped = False
        while await self._threads.run(self._index.drop):
            dropped = True
        if dropped:
            self._log.info("the index of accounts was deleted")

    def _tell(self) -> None:
        """Says in the log how far the past is indexed, now and then."""
        heights = self.heights
        if heights is None or heights[0] > self._told:
            return
        if heights[0] == 1 and self._told > 1:
            self._log.info("the index of accounts holds all blocks", height=heights[1])
            self._told = 1
        elif heights[0] <= self._told - TOLD_BLOCKS:
            self._log.info("the index of accounts grows", from_height=heights[0], to_height=heights[1])
            self._told = heights[0]

    async def _rest(self, head: BlockRef) -> None:
        """Waits for another head; while bodies are missing, not longer than `RETRY_S`."""
        whole = self.heights == (1, head.height)
        alarm = None if whole else self._clock.call_later(RETRY_S, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
