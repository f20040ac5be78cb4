"""A listening port that knows each of its connections from the moment it is accepted until it is closed.

asyncio's own server forgets a connection between these two moments: what it has accepted just before it
closes becomes a connection that nobody knows and nobody closes. Here `close` ends with nothing left over, and
it does not depend on what a connection's protocol does. A connection's protocol may be of any kind; an
aiohttp `web.Server` is a factory of protocols.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Self

BACKLOG: Final = 128
"""How many connections the kernel keeps for this port until they are accepted."""
ACCEPTED_AT_ONCE: Final = 32
"""After so many the event loop does other work first."""
RETRY_S: Final = 0.5
"""Seconds without accepting after the system has refused a connection, for want of descriptors mostly."""

ProtocolFactory = Callable[[], asyncio.Protocol]


class Acceptor:
    """Listens on one address and hands each connection to a new protocol of `factory`.

    Used inside `async with`, which leaves no connection behind.
    """

    def __init__(self, factory: ProtocolFactory) -> None:
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._listening: list[socket.socket] = []
        self._open: set[_Connection] = set()
        self._all_closed = asyncio.Event()
        self._all_closed.set()
        self.port = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def connections(self) -> int:
        """How many are accepted and not yet closed."""
        return len(self._open)

    async def listen(self, host: str, port: int) -> None:
        """Begins to accept at each address of `host`; port 0 chooses a free one. Raises `OSError`."""
        found = await self._loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        self.port = port
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                self._bind(family, (address[0], self.port, *address[2:]))
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Accepts nothing more; the connections that stand go on."""
        for listening in self._listening:
            self._loop.remove_reader(listening)
            listening.close()
        self._listening.clear()

    async def close(self) -> None:
        """Accepts nothing more and cuts every connection; returns once each of them is closed."""
        self.stop()
        self.cut()
        await self._all_closed.wait()

    def cut(self) -> None:
        """Cuts every connection that stands, without waiting for what is still to be sent."""
        for connection in self._open:
            connection.cut()

    def _bind(self, family: int, address: tuple[object, ...]) -> None:
        listening = socket.socket(family, socket.SOCK_STREAM)
        self._listening.append(listening)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(BACKLOG)
        self.port = int(listening.getsockname()[1])
        self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._pause(listening)
                return
            self._take(accepted)

    def _pause(self, listening: socket.socket) -> None:
        """Leaves what comes to the kernel for a while; otherwise the loop would do nothing but try."""
        self._loop.remove_reader(listening)
        self._loop.call_later(RETRY_S, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    def _take(self, accepted: socket.socket) -> None:
        try:
            inner = self._factory()
        except BaseException:
            accepted.close()
            raise
        accepted.setblocking(False)
        connection = _Connection(inner, accepted, self._forget)
        self._open.add(connection)
        self._all_closed.clear()
        connection.begin(self._loop)

    def _forget(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()


class _Connection(asyncio.Protocol):
    """Passes everything on to the protocol proper, and says when the connection is closed."""

    def __init__(
        self, inner: asyncio.Protocol, accepted: socket.socket, closed: Callable[[_Connection], None]
    ) -> None:
        self._inner = inner
        self._accepted = accepted
        self._closed = closed
        self._transport: asyncio.Transport | None = None
        self._beginning: asyncio.Task[object] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes a transport of the socket."""
        self._beginning = loop.create_task(loop.connect_accepted_socket(lambda: self, self._accepted))
        self._beginning.add_done_callback(self._begun)

    def cut(self) -> None:
        """Closes the connection at once, or does not let it begin."""
        if self._transport is not None:
            self._transport.abort()
        elif self._beginning is not None:
            self._beginning.cancel()

    def _begun(self, beginning: asyncio.Task[object]) -> None:
        failed = beginning.cancelled() or beginning.exception() is not None
        if failed and self._transport is None:  # a transport closes its socket itself, and says so
            self._accepted.close()
            self._closed(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a stream socket has a transport of this class"
        self._transport = transport
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        try:
            self._inner.connection_lost(error)
        finally:
            self._closed(self)
