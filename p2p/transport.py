"""Links over WebSockets, where each frame is one binary message. The only importer of aiohttp in p2p.

The server refuses browsers (they send the header `Origin`), compression, and every path but one. It cuts a
connection that carries more than `HANDSHAKE_FRAME_BYTES` before the handshake is complete. It takes TLS from
everyone, and plain connections from those hosts only that `Encryption` names. A dial that is to be encrypted
never falls back to a plain one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import product
from typing import Any, Final, Self

import aiohttp
from aiohttp import web
from aiohttp.connector import Connection

from engram.p2p.acceptor import AcceptLimits, Acceptor, AcceptRank
from engram.p2p.certificate import dialing_context, fresh_credentials
from engram.p2p.encryption import Encryption, HandshakePace
from engram.p2p.errors import DialFailed, FrameTooLarge, LinkClosed, ListenFailed, MalformedFrame
from engram.p2p.link import Link, Listener, PeerAddress
from engram.p2p.messages import HANDSHAKE_FRAME_BYTES, MAX_FRAME_BYTES
from engram.p2p.passing import PassingProtocol
from engram.p2p.tls import FirstByte, TlsTransport, encrypt

PATH: Final = "/engram/p2p"
HEARTBEAT_S: Final = 30.0
HTTP_DEADLINE_S: Final = 10.0
"""A connection that has not asked for a WebSocket after so many seconds is closed."""
CLOSE_S: Final = 2.0
"""How many seconds the closing of a WebSocket may take."""
ACCEPT_QUEUE: Final = 64
"""How many inbound links may wait until the manager takes them; further ones are refused."""

_REFUSED_SIZE: Final = MAX_FRAME_BYTES + 1
"""aiohttp's `max_msg_size` is the first size that it refuses."""

_CLOSED: Final = (OSError, aiohttp.ClientError, RuntimeError)
"""What aiohttp raises if the connection has ended, or the WebSocket on it."""

_WebSocket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class _Meter(PassingProtocol):
    """Counts the bytes that arrive before the handshake is complete, and cuts the connection at the limit.

    It takes the place of the connection's own protocol and passes everything on to it.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        inner = transport.get_protocol()
        assert isinstance(inner, asyncio.Protocol), "aiohttp reads its connections with a Protocol"
        super().__init__(inner)
        self.transport = transport
        self._left = HANDSHAKE_FRAME_BYTES
        self.exceeded = False
        transport.set_protocol(self)

    def remove(self) -> None:
        """Stops counting: the connection's own protocol is put back."""
        if self.transport.get_protocol() is self:
            self.transport.set_protocol(self._inner)

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.exceeded = True
            self.transport.abort()
        else:
            super().data_received(data)


class _DialedSocket(aiohttp.ClientWebSocketResponse):
    """A client's WebSocket whose bytes are counted from the first one on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        response: aiohttp.ClientResponse = args[3]
        held = "aiohttp has looked at both just before, and nothing else has run since"
        assert response.connection is not None, held
        assert response.connection.transport is not None, held
        self.tcp = response.connection.transport
        self.meter = _Meter(self.tcp)
        self._upgrade = response

    def drop(self) -> None:
        """Cuts the connection and releases it in its client session."""
        self.tcp.abort()
        self._upgrade.close()


class WebSocketLink:
    """One end of a WebSocket, as a `Link`."""

    def __init__(
        self,
        socket: _WebSocket,
        remote: PeerAddress,
        meter: _Meter,
        drop: Callable[[], None],
        keep: Callable[[], None] | None = None,
    ) -> None:
        """`keep` is called once the handshake is complete: the connection has to go for no other then."""
        self._socket = socket
        self._remote = remote
        self._host = str((meter.transport.get_extra_info("peername") or (remote.host,))[0])
        self._meter = meter
        self._drop = drop
        self._keep = keep
        self.closed = asyncio.Event()

    @property
    def remote(self) -> PeerAddress:
        return self._remote

    @property
    def channel(self) -> bytes | None:
        carrier = self._meter.transport
        return carrier.channel if isinstance(carrier, TlsTransport) else None

    @property
    def remote_host(self) -> str:
        return self._host

    async def send(self, frame: bytes) -> None:
        try:
            await self._socket.send_bytes(frame)
        except _CLOSED as error:
            raise LinkClosed from error

    async def receive(self) -> bytes:
        try:
            message = await self._socket.receive()
        except _CLOSED as error:  # it answers pings, and the connection may have ended since one came
            raise LinkClosed from error
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if self._meter.exceeded:
            raise FrameTooLarge(
                "too many bytes before the handshake was complete", expected=HANDSHAKE_FRAME_BYTES
            )
        if message.type is aiohttp.WSMsgType.TEXT:
            raise MalformedFrame("the frame is text, not binary")
        if isinstance(message.data, aiohttp.WebSocketError):
            raise _broken(message.data)
        raise LinkClosed

    def open_up(self) -> None:
        self._meter.remove()
        if self._keep is not None:
            self._keep()

    async def close(self) -> None:
        try:
            with suppress(*_CLOSED):
                await self._socket.close()
        finally:
            self.abort()

    def abort(self) -> None:
        self._meter.remove()
        self._drop()
        self.closed.set()


def _broken(error: aiohttp.WebSocketError) -> FrameTooLarge | MalformedFrame:
    if error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
        return FrameTooLarge("the frame is larger than any message", expected=MAX_FRAME_BYTES)
    return MalformedFrame(f"the WebSocket protocol is broken: {error}")


class WebSocketListener:
    """Turns WebSocket requests into links; `serve` is aiohttp's request handler."""

    def __init__(self, encryption: Encryption) -> None:
        self.acceptor: Acceptor | None = None
        self._encryption = encryption
        self._accepted: asyncio.Queue[WebSocketLink] = asyncio.Queue(ACCEPT_QUEUE)
        self._closing = False
        self.port = 0

    async def links(self) -> AsyncIterator[Link]:
        while True:
            yield await self._accepted.get()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request; returns when its link is closed."""
        if request.path != PATH or "Origin" in request.headers:
            return _refusal(403, "this port speaks to engram nodes only\n")
        tcp = request.transport
        if tcp is not None and not self._may_speak(tcp):
            upgrade = {"Upgrade": "TLS/1.3", "Connection": "Upgrade"}
            return _refusal(426, "this node speaks TLS to you\n", upgrade)
        if tcp is None or not self._has_place():
            return _refusal(503, "too many connections at once\n")
        socket = web.WebSocketResponse(
            max_msg_size=_REFUSED_SIZE, compress=False, heartbeat=HEARTBEAT_S, timeout=CLOSE_S
        )
        meter = _Meter(tcp)
        try:
            await socket.prepare(request)
        except ConnectionError:  # the peer is gone already; aiohttp would log this as a bug of the handler
            return web.Response(status=400)
        link = WebSocketLink(
            socket,
            _address_of(tcp),
            meter,
            tcp.abort,
            partial(self._keep, tcp),
        )
        try:
            if self._has_place():  # it may have none any more
                self._accepted.put_nowait(link)
                await link.closed.wait()
        finally:
            link.abort()
        return socket

    def _may_speak(self, transport: asyncio.BaseTransport) -> bool:
        return isinstance(transport, TlsTransport) or self._encryption.takes_plain(
            _address_of(transport).host
        )

    def _keep(self, transport: asyncio.BaseTransport) -> None:
        if self.acceptor is not None:
            tcp = transport.tcp if isinstance(transport, TlsTransport) else transport
            self.acceptor.rank(tcp, AcceptRank.KEPT)

    def _has_place(self) -> bool:
        return not self._closing and not self._accepted.full()

    def abandon(self) -> None:
        """Closes the links that the manager has not taken, and makes no more."""
        self._closing = True
        while not self._accepted.empty():
            self._accepted.get_nowait().abort()


def _refusal(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    """The answer to a request that is refused, after which its connection ends: nobody comes here to ask."""
    response = web.Response(status=status, headers=headers, text=text)
    response.force_close()
    return response


class _TlsConnector(aiohttp.TCPConnector):
    """Makes connections as ever, and puts the TLS of nodes between each and its protocol.

    It is not aiohttp's own TLS, which is asyncio's; see `tls`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._context = dialing_context()

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        connection = await super().connect(*args, **kwargs)
        tcp, protocol = connection.transport, connection.protocol
        try:
            if tcp is None or protocol is None or protocol.should_close:
                raise DialFailed("it ends the connection, or speaks before TLS has begun")
            await encrypt(tcp, protocol, self._context)
        except BaseException:
            connection.close()
            raise
        return connection


class WebSocketTransport:
    """Dials and listens with aiohttp."""

    def __init__(
        self,
        limits: AcceptLimits = AcceptLimits(),  # noqa: B008 (frozen)
        *,
        encryption: Encryption = Encryption.AUTO,
        paused: Callable[[OSError], None] | None = None,
        http_s: float = HTTP_DEADLINE_S,
        source: str = "",
    ) -> None:
        """`paused` is called when the system refuses connections. `http_s`: seconds in which an accepted
        connection must have asked for a WebSocket. `source`: from where nodes on this machine are dialled,
        if it is an address in 127.0.0.0/8; other dials leave their address to the system.
        """
        self._source = (source, 0) if source.startswith("127.") else None
        self._http_s = http_s
        self._limits = limits
        self._encryption = encryption
        self._paused = paused
        self._clients: dict[tuple[bool, bool], aiohttp.ClientSession] = {}
        """By whether it encrypts what it dials, and whether it dials from `source`."""

    async def __aenter__(self) -> Self:
        redirects = aiohttp.TraceConfig()
        redirects.on_request_redirect.append(_refuse_redirect)
        for key in product((True, False), (True, False)):
            connector = _TlsConnector if key[0] else aiohttp.TCPConnector
            self._clients[key] = aiohttp.ClientSession(
                connector=connector(limit=0, force_close=True, local_addr=self._source if key[1] else None),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[redirects],
                ws_response_class=_DialedSocket,
            )
        return self

    async def __aexit__(self, *exc: object) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    @asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncIterator[Listener]:
        """See `Transport.listen`. Its certificate is a new one."""
        credentials, listener = fresh_credentials(), WebSocketListener(self._encryption)
        server = web.Server(listener.serve, keepalive_timeout=self._http_s, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=CLOSE_S)
        await runner.setup()
        first_byte = partial(FirstByte, server, credentials, HandshakePace(_SystemTime()).admits)
        async with Acceptor(first_byte, self._limits, paused=self._paused) as acceptor:
            listener.acceptor = acceptor
            try:
                await _bind(acceptor, host, port)
                listener.port = acceptor.port
                yield listener
            finally:
                acceptor.stop()
                listener.abandon()
                await runner.cleanup()

    async def dial(self, address: PeerAddress) -> Link:
        assert self._clients, "the manager dials only inside `async with` of its transport"
        bare = PeerAddress(address.host, address.port)
        here = address.host.startswith("127.")
        client = self._clients[self._encryption.dials_encrypted(address.host), here]
        try:
            socket = await client.ws_connect(
                f"ws://{bare}{PATH}",
                max_msg_size=_REFUSED_SIZE,
                compress=0,
                heartbeat=HEARTBEAT_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            )
        except DialFailed as error:
            raise DialFailed(f"cannot connect to {bare}: {error.message}") from error
        except (OSError, aiohttp.ClientError, ValueError) as error:
            raise DialFailed(f"cannot connect to {bare}: {_reason(error)}") from error
        assert isinstance(socket, _DialedSocket), "the client makes sockets of this class only"
        return WebSocketLink(socket, bare, socket.meter, socket.drop)


class _SystemTime:
    """The time by which handshakes are counted."""

    def monotonic(self) -> float:
        return time.monotonic()


def _address_of(transport: asyncio.BaseTransport) -> PeerAddress:
    """The other end of an accepted connection."""
    host, port = (transport.get_extra_info("peername") or ("unknown", 0))[:2]
    return PeerAddress(host, port)


def _reason(error: Exception) -> str:
    """Why a dial failed, in plain words; the address is left out, because the message already has it."""
    if isinstance(error, aiohttp.WSServerHandshakeError) and error.status == 426:
        return "it takes encrypted connections only: set p2p_tls to auto"
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"it answers with HTTP status {error.status}, so no peer listens there"
    if isinstance(error, aiohttp.ClientConnectorError):
        if error.errno is not None and error.errno > 0:
            return os.strerror(error.errno)
        return error.strerror or "no connection"
    return str(error) or type(error).__name__


async def _bind(acceptor: Acceptor, host: str, port: int) -> None:
    try:
        await acceptor.listen(host, port)
    except OSError as error:
        raise ListenFailed(f"cannot listen on {host}:{port}: {error.strerror}") from error


async def _refuse_redirect(*_: object) -> None:
    raise aiohttp.ClientConnectionError("a peer may not redirect")
