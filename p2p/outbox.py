"""The queue of frames that wait to be sent to one peer; its size is limited. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque

from engram.p2p.errors import SlowReader


class Outbox:
    """Frames leave in the order in which they came. A frame that does not fit ends the session.

    It does not fit only if the peer has not read for a while, and this node must not keep bytes for it for
    ever.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._frames: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._overflowed = False
        self.queued_bytes = 0

    def put(self, frame: bytes) -> None:
        """Queues a frame. If it does not fit, it is dropped, and `get` raises from then on."""
        if self.queued_bytes + len(frame) > self._limit_bytes:
            self._overflowed = True
        else:
            self._frames.append(frame)
            self.queued_bytes += len(frame)
        self._notify()

    async def get(self) -> bytes:
        """The next frame, which counts as queued until `sent`. Raises `SlowReader` after an overflow."""
        while not self._frames and not self._overflowed:
            await self._changed.wait()
        if self._overflowed:
            raise SlowReader("the queue to the peer is full", expected=self._limit_bytes)
        return self._frames.popleft()

    def sent(self, frame: bytes) -> None:
        """The network has taken the frame."""
        self.queued_bytes -= len(frame)
        self._notify()

    async def below(self, queued_bytes: int) -> None:
        """Returns once no more than `queued_bytes` are queued."""
        while self.queued_bytes > queued_bytes:
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
