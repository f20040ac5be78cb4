"""Large bodies that arrive, or are here and wait for a place: what all of them hold is bounded.

A body has no place while it arrives, so nobody can keep others out by sending slowly: what a slow body costs
is those bytes of it that are here. When all together are too many, one is cut: of the host that holds most,
the one that came slowest. So a host pushes out its own bodies first, and others only if it has many addresses
and a faster line than they.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from engram.node.rpc.refusals import HttpRefusal


class Arriving:
    """One body."""

    def __init__(self, host: str, bodies: ArrivingBodies) -> None:
        self.host = host
        self.size_bytes = 0
        self.patience = asyncio.timeout(None)
        self._bodies = bodies
        self._began_s = bodies.now()
        self._whole_s: float | None = None

    def holds(self, size_bytes: int) -> None:
        """So many bytes of it are here. This may be too many: then it is cut, or another one."""
        self._bodies.grow(self, size_bytes)

    def is_whole(self) -> None:
        """All of it is here; while it waits for a place, it becomes no slower."""
        self._whole_s = self._bodies.now()

    def cut(self) -> None:
        """Ends what is done for it."""
        self.patience.reschedule(asyncio.get_running_loop().time())

    def bytes_per_s(self, now_s: float) -> float:
        """How fast it comes, on average since it began."""
        until_s = now_s if self._whole_s is None else self._whole_s
        return self.size_bytes / max(1e-6, until_s - self._began_s)


class ArrivingBodies:
    """The bodies that hold no place yet."""

    def __init__(self, most_bytes: int, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is in seconds."""
        self.now = now
        self._most_bytes = most_bytes
        self._bytes = 0
        self._open: dict[Arriving, None] = {}

    @asynccontextmanager
    async def one(self, host: str) -> AsyncIterator[Arriving]:
        """A body of this host, until it has its place. Raises `HttpRefusal` if it is cut."""
        arriving = Arriving(host, self)
        self._open[arriving] = None
        try:
            async with arriving.patience:
                yield arriving
        except TimeoutError:
            raise HttpRefusal(
                503,
                "too many large bodies arrive, and this one came slowest; send it again, or less at once",
                expected=f"at most {self._most_bytes} bytes of all together",
                headers={"Retry-After": "5"},
            ) from None
        finally:
            self._forget(arriving)

    def grow(self, arriving: Arriving, size_bytes: int) -> None:
        """A body has grown to this size; cuts others, or itself, until all have room."""
        if arriving not in self._open:
            return
        self._bytes += size_bytes - arriving.size_bytes
        arriving.size_bytes = size_bytes
        while self._bytes > self._most_bytes:
            out = self._slowest()
            self._forget(out)
            out.cut()

    def _slowest(self) -> Arriving:
        now_s, held = self.now(), Counter[str]()
        for each in self._open:
            held[each.host] += each.size_bytes
        return min(self._open, key=lambda each: (-held[each.host], each.bytes_per_s(now_s)))

    def _forget(self, arriving: Arriving) -> None:
        if arriving in self._open:
            del self._open[arriving]
            self._bytes -= arriving.size_bytes
