"""Forwarders between the nodes of a localnet: connections on this machine that a test can cut and join again.

A test cannot pull a cable between two processes on one machine. Therefore no node of a localnet dials another
directly. It dials the port of a forwarder, which passes the bytes on in both directions. To cut the link, the
forwarder breaks its connections and refuses new ones; the nodes notice nothing but a lost connection, as with
a real cable. The forwarder also hides that a node has another port after each start.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from engram.p2p.acceptor import Acceptor

_HOST: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 64 * 1024


class CuttableLink:
    """A forwarder: listens on `address` and carries each connection to the port set by `lead_to`."""

    def __init__(self) -> None:
        self.is_cut = False
        self._port: int | None = None
        self._acceptor: Acceptor | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """HOST:PORT to dial. The link must be open."""
        assert self._acceptor is not None, "a link has an address once it is open"
        return f"{_HOST}:{self._acceptor.port}"

    async def open(self) -> None:
        """Begins to listen on a free port."""
        self._acceptor = Acceptor(lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept))
        await self._acceptor.listen(_HOST, 0)

    def lead_to(self, port: int | None) -> None:
        """Sets the port of the node behind the link; None while that node does not run."""
        self._port = port

    def cut(self) -> None:
        """Breaks every connection and refuses new ones."""
        self.is_cut = True
        if self._acceptor is not None:
            self._acceptor.cut()
        for task in self._carrying:
            task.cancel()

    def join(self) -> None:
        """Accepts and carries new connections again."""
        self.is_cut = False

    async def close(self) -> None:
        """Ends every connection and stops listening."""
        self.cut()
        if self._acceptor is not None:
            await self._acceptor.close()
        if self._carrying:
            await asyncio.wait(self._carrying)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._carrying.discard(task)
            writer.transport.abort()  # a task that is cancelled before its first step closes nothing itself

        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(ended)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            if self.is_cut or self._port is None:
                return
            far_reader, far = await asyncio.open_connection(_HOST, self._port)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far))
                both.create_task(_pump(far_reader, writer))
        except* OSError:
            pass  # one end has failed, so both connections are closed below
        finally:
            if far is not None:
                far.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK_BYTES):
        target.write(chunk)
        await target.drain()
    with suppress(OSError):
        target.write_eof()
