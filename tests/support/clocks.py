"""Clocks that are wrong: the time of day is off, while seconds pass as they do."""

from __future__ import annotations

from collections.abc import Callable

from engram.node.clock import Clock
from engram.p2p.clock import Timer


class WrongClock:
    """Another clock whose time of day is off by `off_ms`, which may be changed at any moment."""

    def __init__(self, clock: Clock, off_ms: int = 0) -> None:
        self.off_ms = off_ms
        self._clock = clock

    def now_ms(self) -> int:
        return self._clock.now_ms() + self.off_ms

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return self._clock.call_later(delay_s, callback)

    async def sleep(self, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
