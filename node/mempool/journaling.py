"""Keeps the journal of the mempool true to the pool, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from engram.node import logs
from engram.node.clock import Clock
from engram.node.concurrency import in_worker
from engram.node.mempool.journal import SLACK_BYTES, Journaled, MempoolJournal
from engram.node.mempool.pool import Pool, PooledTx
from engram.primitives.codec import encode
from engram.primitives.errors import StorageError


class Journaling:
    """Writes what waits to the journal, if there is one. Methods run on the event loop."""

    def __init__(self, journal: MempoolJournal | None, pool: Pool, clock: Clock) -> None:
        self.unread = deque[Journaled]()
        """What the journal holds of an earlier run and is not admitted again yet, oldest first."""
        self._journal = journal
        self._pool = pool
        self._clock = clock
        self._rewrite_bytes = 0
        """The journal is not written anew before it has this size."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="engram-journal")
        self._log = logs.get_logger("mempool")

    async def open(self) -> bool:
        """Reads what an earlier run has left, into `unread`; False without a journal.

        Raises `NotAFile`, `DiskFull`, `DiskFailure`.
        """
        if self._journal is None:
            return False
        found = await in_worker(self._writer, self._journal.open)
        if found.set_aside is not None:
            self._log.warning("the journal of the mempool is of another chain", moved_to=found.set_aside)
        if found.skipped_bytes:
            self._log.warning("the journal of the mempool is damaged", skipped_bytes=found.skipped_bytes)
        self.unread = deque(found.entries)
        return True

    async def keep(self, entry: PooledTx) -> None:
        """Writes an entry to the journal. Raises `DiskFull`, `DiskFailure`."""
        if self._journal is not None:
            await in_worker(self._writer, self._journal.append, self._records([entry]))
            await self.shorten()

    async def shorten(self) -> None:
        """Writes the journal anew if most of it is dead. If the disk refuses, it is tried again later."""
        least = max(2 * self._pool.memory_bytes + SLACK_BYTES, self._rewrite_bytes)
        if self._journal is None or self.unread or self._journal.size_bytes <= least:
            return
        self._rewrite_bytes = 2 * self._journal.size_bytes  # until it is done: once at a time
        await self._rewrite(self._journal)

    async def forget(self) -> None:
        """Leaves nothing in the journal but what waits now."""
        self.unread.clear()
        if self._journal is not None:
            await self._rewrite(self._journal)

    def close(self) -> None:
        """Ends the thread and closes the journal; a second call does nothing."""
        self._writer.shutdown(wait=True, cancel_futures=True)
        if self._journal is not None:
            self._journal.close()

    async def _rewrite(self, journal: MempoolJournal) -> None:
        try:
            await in_worker(self._writer, journal.rewrite, self._records(self._pool))
            self._rewrite_bytes = 0
        except StorageError as error:
            self._log.warning("the journal of the mempool cannot be shortened", error=error)

    def _records(self, entries: Iterable[PooledTx]) -> Iterator[Journaled]:
        """The records of these entries as they are now; they are encoded where the iterator is read."""
        now_s, now_ms = self._clock.monotonic(), self._clock.now_ms()
        moments = [(each.tx, now_ms - round((now_s - each.admitted_s) * 1000)) for each in entries]
        return (Journaled(encode(tx), moment_ms) for tx, moment_ms in moments)
