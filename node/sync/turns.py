"""Whose headers are checked next, and whose bodies are fetched: what several syncs at once have to share.

All peers that seem to be ahead are asked at once, so that none can hold up the others by being slow. Two
things cannot be had by all at once: the processor, which one check of headers takes at a time, and the
download of bodies, which asks every peer. The turn to check goes to whoever has had the fewest headers
checked for nothing. The turn to download is kept for as long as blocks come; who keeps it without any gives
way as soon as another branch waits.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from engram.node.clock import Clock
from engram.node.errors import DownloadStalled
from engram.p2p.clock import Timer
from engram.primitives.types import Hash

STALL_S: Final = 2.0
"""Seconds without a block after which a download gives way to another branch that waits."""


@dataclass(order=True)
class _Waiting:
    """One that waits for a turn; lower comes first."""

    rank: tuple[int, ...]
    number: int
    called: asyncio.Future[None] = field(compare=False)
    wanted: Hash = field(compare=False, default=bytes(32))
    """The first block that it would fetch."""


class Turns:
    """A lock whose next holder is the one of the lowest rank; among equals, the one that came first."""

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: list[_Waiting] = []
        self._numbers = count()

    @asynccontextmanager
    async def turn(self, *rank: int, wanted: Hash = bytes(32)) -> AsyncIterator[None]:
        """Inside `async with`, the caller alone has the turn."""
        if self._is_taken:
            waiting = _Waiting(rank, next(self._numbers), asyncio.get_running_loop().create_future(), wanted)
            heapq.heappush(self._waiting, waiting)
            try:
                await waiting.called
            except asyncio.CancelledError:
                if waiting.called.done() and not waiting.called.cancelled():
                    self._call_next()
                raise
        self._is_taken = True
        try:
            yield
        finally:
            self._call_next()

    @property
    def waiting(self) -> list[Hash]:
        """What those who wait would fetch first."""
        return [each.wanted for each in self._waiting if not each.called.done()]

    def _call_next(self) -> None:
        while self._waiting:
            following = heapq.heappop(self._waiting)
            if not following.called.done():
                following.called.set_result(None)
                return
        self._is_taken = False


class DownloadTurn:
    """Which branch is downloaded. Methods run on the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns = Turns()
        self._progress_s = 0.0

    @asynccontextmanager
    async def held(
        self, rank: tuple[int, ...], wanted: Hash, fetched: Container[Hash], patience_s: float = STALL_S
    ) -> AsyncIterator[None]:
        """Inside `async with`, the caller alone downloads: `wanted` first, and all that `fetched` has.

        Raises `DownloadStalled` if nothing has come for `patience_s` seconds and another branch waits.
        Those who wait for one of the same blocks do not count, as they would fetch the same.
        """
        async with self._turns.turn(*rank, wanted=wanted):
            self._progress_s = self._clock.monotonic()
            timer: Timer | None = None
            scope = asyncio.timeout(None)

            def look() -> None:
                nonlocal timer
                silent_s = self._clock.monotonic() - self._progress_s
                rivals = any(first not in fetched for first in self._turns.waiting)
                if rivals and silent_s >= patience_s:
                    scope.reschedule(asyncio.get_running_loop().time())
                    return
                timer = self._clock.call_later(STALL_S / 4, look)

            timer = self._clock.call_later(STALL_S / 4, look)
            try:
                async with scope:
                    yield
            except TimeoutError:
                raise DownloadStalled(expected=wanted) from None
            finally:
                timer.cancel()

    def progressed(self) -> None:
        """A block of the branch that is downloaded has come, or a part of one larger than a message."""
        self._progress_s = self._clock.monotonic()
