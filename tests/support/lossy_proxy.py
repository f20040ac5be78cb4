"""A bad line between two sockets: it delays, loses, holds back one direction, or is cut.

TCP sends again what is lost, so a loss shows as a pause of everything behind it. Bytes are never dropped: a
line that did so would be broken.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Final

_HOST: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 16 * 1024


class Way(Enum):
    """A direction through the line."""

    THERE = "from whoever dials"
    BACK = "to whoever dials"


class LossyProxy:
    """Listens on `port` and carries each connection to another port of this machine."""

    def __init__(self, target: int, rng: random.Random) -> None:
        self.port = 0
        self.delay_s = dict.fromkeys(Way, 0.0)
        """Every chunk arrives so much later."""
        self.loss = dict.fromkeys(Way, 0.0)
        """This share of the chunks is lost at first, and comes `again_s` later."""
        self.again_s = 0.2
        self.is_cut = False
        self._target = target
        self._rng = rng
        self._open = dict((way, asyncio.Event()) for way in Way)
        self._writers: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        for way in Way:
            self.release(way)

    def hold(self, way: Way) -> None:
        """Nothing passes this way until `release`; the other way goes on."""
        self._open[way].clear()

    def release(self, way: Way) -> None:
        """What was held back passes, in order."""
        self._open[way].set()

    def cut(self) -> None:
        """Breaks every connection, and each new one at once, until `join`."""
        self.is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def join(self) -> None:
        """Carries new connections again."""
        self.is_cut = False

    @property
    def connections(self) -> int:
        """How many are being carried."""
        return len(self._writers) // 2

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LossyProxy]:
        """Carries connections inside `async with`."""
        server = await asyncio.start_server(self._accept, _HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            for task in list(self._carrying):
                task.cancel()
            await asyncio.gather(*self._carrying, return_exceptions=True)
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a server calls this in a task"
        self._carrying.add(task)
        ends = [writer]
        try:
            if self.is_cut:
                return
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(_HOST, self._target)
                ends.append(far_writer)
                self._writers.update(ends)
                ways = ((reader, far_writer, Way.THERE), (far_reader, writer, Way.BACK))
                carrying = [asyncio.create_task(self._carry(*way)) for way in ways]
                try:
                    await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in carrying:
                        each.cancel()
                    await asyncio.gather(*carrying, return_exceptions=True)
        finally:
            self._carrying.discard(task)
            for end in ends:
                self._writers.discard(end)
                end.transport.abort()
                with suppress(OSError):
                    await end.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                pause_s = self.delay_s[way]
                if self._rng.random() < self.loss[way]:
                    pause_s += self.again_s
                if pause_s:
                    await asyncio.sleep(pause_s)
                await self._open[way].wait()
                writer.write(chunk)
                await writer.drain()
