"""The clocks that a node is given: the system's clock, and one that tests move by hand.

A node never reads the time by itself; it asks the clock that it was given, so a test decides what time it is.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime

from engram.p2p.clock import Timer, WallClock

Clock = WallClock
"""Everything that a node may ask about time."""


def utc_text(time_ms: int) -> str:
    """A time in milliseconds since 1970, for people."""
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # beyond the calendar
        return f"{time_ms} ms after 1970"


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(max(0.0, delay_s), callback)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class FakeTimer:
    """A callback that waits in a `FakeClock` until its time comes or it is cancelled."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def fire(self) -> None:
        if self._callback is not None:
            self._callback()


class FakeClock:
    """A clock that stands still until `advance` moves it.

    Callbacks that fall due run inside `advance`, earliest first.
    """

    def __init__(self, now_ms: int) -> None:
        self._start_ms = now_ms
        self._now_ms = now_ms
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._scheduled = 0
        self._set_ms = 0

    def now_ms(self) -> int:
        return self._now_ms + self._set_ms

    def monotonic(self) -> float:
        return (self._now_ms - self._start_ms) / 1000

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = FakeTimer(callback)
        self._scheduled += 1
        heapq.heappush(self._timers, (self._now_ms + max(0.0, delay_s) * 1000, self._scheduled, timer))
        return timer

    async def sleep(self, delay_s: float) -> None:
        woken = asyncio.Event()
        timer = self.call_later(delay_s, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def set(self, now_ms: int) -> None:
        """Sets the time of day, as an operator or a time service does; no second passes by that."""
        self._set_ms = now_ms - self._now_ms

    def advance(self, milliseconds: int) -> None:
        """Moves time forward and runs what falls due on the way, each callback at its own due time."""
        end = self._now_ms + milliseconds
        while self._timers and self._timers[0][0] <= end:
            due_ms, _, timer = heapq.heappop(self._timers)
            self._now_ms = max(self._now_ms, int(-(-due_ms // 1)))
            timer.fire()
        self._now_ms = max(self._now_ms, end)
