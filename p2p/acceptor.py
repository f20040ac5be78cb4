"""A listening port that knows each of its connections from the moment it is accepted until it is closed.

asyncio's own server forgets a connection between these two moments: what it has accepted just before it
closes becomes a connection that nobody knows and nobody closes. Here `close` ends with nothing left over, and
it does not depend on what a connection's protocol does. A connection's protocol may be of any kind; an
aiohttp `web.Server` is a factory of protocols.

Connections cost a stranger nothing, and this process a descriptor each. Their number is bounded, and when it
is reached the newest is let in and another one has to go: of the host with the most connections, and there
the oldest that has asked for nothing yet, else the one whose answer lies furthest back. Thus whoever opens
connections and stays silent only pushes out himself, and a client that asks at once is heard.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from engram.p2p.netgroup import host_of, is_loopback
from engram.p2p.passing import PassingProtocol

BACKLOG: Final = 128
"""How many connections the kernel keeps for this port until they are accepted."""
ACCEPTED_AT_ONCE: Final = 32
"""After so many the event loop does other work first."""
RETRY_S: Final = 0.5
"""Seconds without accepting after the system has refused a connection, for want of descriptors mostly."""

ProtocolFactory = Callable[[], asyncio.Protocol]


class AcceptRank(IntEnum):
    """What a connection has earned, and so how soon it has to go when there is no place left."""

    NEW = 0
    """It has asked for nothing yet."""
    SERVED = 1
    """It was given an answer, and waits."""
    KEPT = 2
    """It is in use; it goes for no other."""


@dataclass(frozen=True)
class AcceptLimits:
    """How many connections may stand at once."""

    total: int = 512
    per_host: int = 64
    """How many of one host: an IPv4 address or an IPv6 /64."""
    own_host_exempt: bool = True
    """Whether `per_host` does not hold for this machine itself, where all programs are one host."""


class Acceptor:
    """Listens on one address and hands each connection to a new protocol of `factory`.

    Used inside `async with`, which leaves no connection behind.
    """

    def __init__(
        self,
        factory: ProtocolFactory,
        limits: AcceptLimits = AcceptLimits(),
        *,
        paused: Callable[[OSError], None] | None = None,
    ) -> None:
        """`paused` is called when the system refuses connections, for want of descriptors mostly."""
        self._factory = factory
        self._limits = limits
        self._paused = paused
        self._loop = asyncio.get_running_loop()
        self._listening: list[socket.socket] = []
        self._open: set[_Connection] = set()
        self._places = _Places()
        self._by_transport: dict[asyncio.BaseTransport, _Connection] = {}
        self._all_closed = asyncio.Event()
        self._all_closed.set()
        self.evicted = 0
        """How many connections had to go for others, or were not let in."""
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
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(listening, error)
                return
            self._take(accepted, host_of(address[0]))

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """Leaves what comes to the kernel for a while; otherwise the loop would do nothing but try."""
        if self._paused is not None:
            self._paused(error)
        self._loop.remove_reader(listening)
        self._loop.call_later(RETRY_S, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    def rank(self, transport: asyncio.BaseTransport | None, standing: AcceptRank) -> None:
        """Says what the connection of this transport has earned; one that is gone is left alone."""
        connection = self._by_transport.get(transport) if transport is not None else None
        if connection is not None:
            self._places.rank(connection, standing)

    def _take(self, accepted: socket.socket, host: str) -> None:
        if not self._make_place(host):
            self.evicted += 1
            accepted.close()
            return
        try:
            inner = self._factory()
        except BaseException:
            accepted.close()
            raise
        accepted.setblocking(False)
        connection = _Connection(inner, accepted, host, self)
        self._open.add(connection)
        self._places.add(connection)
        self._all_closed.clear()
        connection.begin(self._loop)

    def _make_place(self, host: str) -> bool:
        """Whether one more connection of this host may stand, after another had to go if need be."""
        exempt = self._limits.own_host_exempt and is_loopback(host)
        bound = self._limits.total if exempt else self._limits.per_host
        while (crowded := self._places.of_host(host) >= bound) or self._places.all >= self._limits.total:
            out = self._places.least(host if crowded else None)
            if out is None:
                return False
            self._places.remove(out)
            self.evicted += 1
            out.cut()
        return True

    def made(self, connection: _Connection, transport: asyncio.BaseTransport) -> None:
        """The connection has a transport now."""
        self._by_transport[transport] = connection

    def closed(self, connection: _Connection, transport: asyncio.BaseTransport | None) -> None:
        """The connection is closed."""
        if transport is not None:
            self._by_transport.pop(transport, None)
        self._places.remove(connection)
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()


class _Places:
    """The connections that count, by host and standing. One that was cut counts no more."""

    def __init__(self) -> None:
        self.all = 0
        self._hosts: dict[str, dict[AcceptRank, OrderedDict[_Connection, None]]] = {}

    def of_host(self, host: str) -> int:
        """How many stand of this host."""
        return sum(map(len, self._hosts.get(host, {}).values()))

    def add(self, connection: _Connection) -> None:
        ranks = self._hosts.setdefault(connection.host, {standing: OrderedDict() for standing in AcceptRank})
        ranks[connection.standing][connection] = None
        self.all += 1

    def remove(self, connection: _Connection) -> None:
        ranks = self._hosts.get(connection.host)
        if ranks is None or connection not in ranks[connection.standing]:
            return
        del ranks[connection.standing][connection]
        self.all -= 1
        if not any(ranks.values()):
            del self._hosts[connection.host]

    def rank(self, connection: _Connection, standing: AcceptRank) -> None:
        ranks = self._hosts.get(connection.host)
        if ranks is not None and connection in ranks[connection.standing]:
            del ranks[connection.standing][connection]
            ranks[standing][connection] = None  # behind all the others of this standing
        connection.standing = standing

    def least(self, host: str | None) -> _Connection | None:
        """The one that goes first, of this host if one is named; None if each has to stay."""
        hosts = [host] if host is not None else sorted(self._hosts, key=self.of_host, reverse=True)
        for standing in (AcceptRank.NEW, AcceptRank.SERVED):
            for name in hosts:
                if ranked := self._hosts[name][standing]:
                    return next(iter(ranked))
        return None


class _Connection(PassingProtocol):
    """Passes everything on to the protocol proper, and says when the connection is closed."""

    def __init__(
        self, inner: asyncio.Protocol, accepted: socket.socket, host: str, acceptor: Acceptor
    ) -> None:
        super().__init__(inner)
        self.host = host
        self.standing = AcceptRank.NEW
        self._accepted = accepted
        self._acceptor = acceptor
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
            self._acceptor.closed(self, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a stream socket has a transport of this class"
        self._transport = transport
        self._acceptor.made(self, transport)
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        try:
            super().connection_lost(error)
        finally:
            self._acceptor.closed(self, self._transport)
