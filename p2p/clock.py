"""The clock that p2p is given, and deadlines by that clock. In tests it is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self


class Timer(Protocol):
    """A callback that has been scheduled."""

    def cancel(self) -> None: ...


class Monotonic(Protocol):
    """A count of seconds that never runs backwards."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        ...


class MonotonicClock(Monotonic, Protocol):
    """The same, with callbacks after so many of them."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Calls back on the event loop once `delay_s` seconds have passed."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Returns once `delay_s` seconds have passed."""
        ...


class WallClock(MonotonicClock, Protocol):
    """A monotonic clock that can tell the time of day, too."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC. It jumps where somebody sets the clock."""
        ...


class Deadline:
    """`async with Deadline(clock, 5):` raises `TimeoutError` once 5 s of that clock have passed."""

    __slots__ = ("_clock", "_scope", "_seconds", "_timer")

    def __init__(self, clock: MonotonicClock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._scope = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._timer = self._clock.call_later(self._seconds, self._expire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def _expire(self) -> None:
        self._scope.reschedule(asyncio.get_running_loop().time())
