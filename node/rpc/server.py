"""The node's HTTP server: JSON-RPC 2.0 by POST and WebSocket; blobs, metrics and probes by GET.

A web page that the operator visits must not be able to command the node, although the browser runs on the
same machine. aiohttp does not prevent that, so `_guard` does. It refuses requests whose Host header is not a
known name, because a page can make its own name point to this machine (DNS rebinding). And it refuses
requests with an Origin header, which browsers add to requests that a page of another site makes, WebSockets
included.

The sizes of bodies and messages, the number of WebSockets and all waiting times are bounded, so that no
client can use up the node's memory or hold its connections open for nothing.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from engram.node import logs
from engram.node.errors import HoldRefused
from engram.node.listening import listen
from engram.node.mining.pacing import Pacing
from engram.node.rpc.bodies import BodyForm, received
from engram.node.rpc.dispatcher import Dispatcher
from engram.node.rpc.events import EventHub
from engram.node.rpc.refusals import HttpRefusal
from engram.node.rpc.session import EventSession
from engram.p2p.acceptor import AcceptLimits, Acceptor, AcceptRank

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""The largest WebSocket message that is taken; larger transactions and batches go by POST."""
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_HEIGHT_DIGITS: Final = 20
_PORT_TAKEN: Final = "stop the program there, or set --rpc-port (0 takes a free port)"

BlobSource = Callable[[bytes], Awaitable[bytes | None]]
MetricsSource = Callable[[], Awaitable[tuple[bytes, str]]]
ProbeSource = Callable[[str, Mapping[str, str]], Awaitable[tuple[int, Mapping[str, object]]]]
"""Answers `health` and `ready` with the conditions of the query: an HTTP status and a JSON object."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class RpcLimits:
    """Bounds on how long clients can make the server wait, in seconds, and on the number of WebSockets."""

    body_s: float = 10.0
    """Time for the body of a request to arrive."""
    send_s: float = 10.0
    """Time for a client to take one message; after that, its connection is cut."""
    keepalive_s: float = 20.0
    """Time for which an idle HTTP connection is kept, and between two pings of a WebSocket."""
    close_s: float = 1.0
    """Time for a connection to close in good order."""
    linger_s: float = 2.0
    """Time for which the rest of a refused body is read and dropped, so that the client sees the refusal."""
    sockets: int = 256
    """How many WebSockets may be open at once."""
    accept: AcceptLimits = field(default_factory=AcceptLimits)
    """How many connections may stand at once."""


class RpcServer:
    """Serves the methods of one dispatcher on one address. Once `serving` is set, `port` is the real port."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        hub: EventHub,
        pacing: Pacing,
        blob: BlobSource,
        metrics: MetricsSource,
        probe: ProbeSource,
        *,
        host: str,
        port: int,
        token: str,
        names: Collection[str] = (),
        limits: RpcLimits = RpcLimits(),  # frozen
    ) -> None:
        """`token` opens admin methods; `names` are accepted as Host besides the local names and `host`."""
        assert token, "an empty token would open every admin method; `load_token` returns none"
        self._dispatcher = dispatcher
        self._hub = hub
        self._pacing = pacing
        self._blob = blob
        self._metrics = metrics
        self._probe = probe
        self._host = host
        self._token = token.encode()
        self._names = frozenset(name.lower() for name in (*LOCAL_NAMES, _bracketed(host), *names))
        self._limits = limits
        self._sockets: set[web.WebSocketResponse] = set()
        self._acceptor: Acceptor | None = None
        self.serving = asyncio.Event()
        self.port = port

    async def run(self) -> None:
        """Listens until it is cancelled, then closes every connection.

        Raises `PortTaken`, `AddressUnusable`.
        """
        application = web.Application(middlewares=[_refusals, self._guard])
        application.router.add_post("/", self._post, expect_handler=_later)
        application.router.add_get("/ws", self._websocket)
        application.router.add_get("/hold", self._hold)
        application.router.add_get("/blob/{id}", self._get_blob)
        application.router.add_get("/metrics", self._get_metrics)
        application.router.add_get("/health", self._get_probe)
        application.router.add_get("/ready", self._get_probe)
        runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=self._limits.close_s)
        await runner.setup()
        assert runner.server is not None, "`setup` has just made the server"
        settings: dict[str, Any] = {
            "loop": asyncio.get_running_loop(),
            "access_log": None,
            "keepalive_timeout": self._limits.keepalive_s,
            "lingering_time": self._limits.linger_s,
            "auto_decompress": False,  # `bodies` unpacks, within a bound
        }
        protocol = partial(_Connection, runner.server, **settings)
        async with Acceptor(protocol, self._limits.accept, paused=logs.no_descriptor) as acceptor:
            self._acceptor = acceptor
            try:
                self.port = await listen(acceptor, self._host, self.port, _PORT_TAKEN)
                self.serving.set()
                await asyncio.Event().wait()
            finally:
                self.serving.clear()
                acceptor.stop()
                await asyncio.gather(*(self._dismiss(socket) for socket in self._sockets))
                await runner.cleanup()

    async def _dismiss(self, socket: web.WebSocketResponse) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.close_s):
                await socket.close(code=1001, message=b"the node stops")

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "").lower()
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name not in self._names:
            raise HttpRefusal(
                403,
                "unknown Host; use a name of this machine, or add this one to rpc_names",
                expected=sorted(self._names),
                got=host[:80],
            )
        if "Origin" in request.headers:
            raise HttpRefusal(403, "requests from web pages are refused; send no Origin header")
        if "Authorization" in request.headers and not self._is_admin(request):
            raise HttpRefusal(
                401,
                "wrong token; the right one is in the file rpc.token of the node's data directory",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        self._rank(request, AcceptRank.KEPT)  # not before: a body that trickles in keeps no place
        try:
            reply = await self._dispatcher.answer(body, admin=self._is_admin(request))
        finally:
            self._rank(request, AcceptRank.SERVED)
        if reply is None:
            return web.Response(status=204)
        return web.Response(text=reply, content_type="application/json")

    async def _body(self, request: web.Request) -> bytes:
        form = _form(request)
        form.check()
        if form.is_asking:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # of the answer, nothing has been sent
        try:
            async with asyncio.timeout(self._limits.body_s):
                packed = await received(request.content.iter_any())
        except TimeoutError:
            raise HttpRefusal(
                408, "the body did not arrive in time; send it at once", expected=f"{self._limits.body_s} s"
            ) from None
        except web.RequestPayloadError:
            raise HttpRefusal(400, "the body is not what the request's headers say; send it anew") from None
        return form.unpacked(packed)

    def _rank(self, request: web.Request, standing: AcceptRank) -> None:
        if self._acceptor is not None:
            self._acceptor.rank(request.transport, standing)

    def _is_admin(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.encode("utf-8", "surrogateescape")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        try:
            identity = bytes.fromhex(request.match_info["id"])
        except ValueError:
            raise HttpRefusal(
                400, "a blob id must be hexadecimal text", got=request.match_info["id"][:80]
            ) from None
        raw = await self._blob(identity)
        if raw is None:
            raise HttpRefusal(404, "this node has no such blob; ask another node", code="blob_missing")
        return web.Response(body=raw, content_type="application/octet-stream")

    async def _get_metrics(self, request: web.Request) -> web.StreamResponse:
        body, content_type = await self._metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _get_probe(self, request: web.Request) -> web.StreamResponse:
        status, document = await self._probe(request.path.removeprefix("/"), dict(request.query))
        return web.json_response(document, status=status)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        async def serve(socket: web.WebSocketResponse) -> None:
            async with asyncio.TaskGroup() as group:
                outlet = _Outlet(socket, request, self._limits.send_s)
                admin = self._is_admin(request)
                session = EventSession(self._dispatcher, self._hub, outlet, group, admin=admin)
                try:
                    async for message in socket:
                        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                            await session.take(message.data)
                finally:
                    session.end()

        return await self._connected(request, serve, heartbeat_s=self._limits.keepalive_s)

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        """Keeps the miner from going on without one program, for as long as the connection stands.

        Each message is a height, as decimal text, up to which the program is ready; the answer is the same
        text, once the height is noted. The connection has no heartbeat, because a program that is suspended
        does not answer, and just then its hold must stand.
        """
        try:
            hold = self._pacing.hold()
        except HoldRefused as error:
            raise HttpRefusal(403, error.message, code=error.code) from None

        async def serve(socket: web.WebSocketResponse) -> None:
            async for message in socket:
                if message.type is not WSMsgType.TEXT or not _is_height(message.data):
                    await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"a height is expected")
                    break
                hold.allow(int(message.data))
                await socket.send_str(message.data)

        try:
            return await self._connected(request, serve, heartbeat_s=None)
        finally:
            self._pacing.release(hold)

    async def _connected(
        self,
        request: web.Request,
        serve: Callable[[web.WebSocketResponse], Awaitable[None]],
        *,
        heartbeat_s: float | None,
    ) -> web.StreamResponse:
        """Makes a WebSocket of the request and lets `serve` use it."""
        if len(self._sockets) >= self._limits.sockets:
            raise HttpRefusal(
                503, "too many WebSockets are open; close one", expected=f"at most {self._limits.sockets}"
            )
        socket = web.WebSocketResponse(
            heartbeat=heartbeat_s,
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
            timeout=self._limits.close_s,
        )
        self._sockets.add(socket)
        try:
            await socket.prepare(request)
            self._rank(request, AcceptRank.KEPT)
            await serve(socket)
        finally:
            self._sockets.discard(socket)
        return socket


class _Connection(web.RequestHandler):
    """One HTTP connection. What is no HTTP is refused as all else is; only bugs of this node are logged."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP request, and to a request that has met a bug."""
        if status < 500:
            response = _refused(
                HttpRefusal(status, "this is no HTTP/1.1 request; see the node's RPC reference")
            )
        else:
            logs.get_logger("rpc").error("internal error", path=request.path, exc_info=exc)
            if request.writer.output_size > 0:
                raise ConnectionError("a part of the answer has been sent already")
            response = _refused(HttpRefusal(status, "internal error; the node's log has the details"))
        response.force_close()
        return response


@web.middleware
async def _refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Gives every refusal the same form, those of aiohttp's router included."""
    try:
        return await handler(request)
    except HttpRefusal as refusal:
        return _refused(refusal)
    except web.HTTPException as error:
        headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return _refused(HttpRefusal(error.status, f"{error.reason}; see the RPC reference", headers=headers))
    except ConnectionError:  # the client has gone; if this were raised, it would be logged as a bug
        return web.Response(status=400)


def _refused(refusal: HttpRefusal) -> web.Response:
    return web.Response(
        status=refusal.status,
        text=refusal.body(),
        headers=refusal.headers,
        content_type="application/json",
    )


async def _later(request: web.Request) -> None:
    """Leaves the header `Expect` to whoever has looked at the others, so that no bad body is asked for."""


def _form(request: web.Request) -> BodyForm:
    try:
        charset = request.charset
    except ValueError:
        charset = ""
    return BodyForm(
        request.content_type,
        charset,
        request.headers.get("Content-Encoding", "").strip().lower(),
        request.content_length,
        request.headers.get("Expect", "").strip().lower(),
    )


class _Outlet:
    """Sends messages to one WebSocket, and cuts the connection if the client does not take them in time."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, send_s: float) -> None:
        self._socket = socket
        self._tcp = request.transport
        self._send_s = send_s
        self._lock = asyncio.Lock()

    async def send(self, text: str) -> None:
        """Sends one message, after those that came before it; does nothing if the connection is closed."""
        try:
            async with asyncio.timeout(self._send_s), self._lock:
                if not self._socket.closed:
                    await self._socket.send_str(text)
        except TimeoutError:
            self.cut()
        except ConnectionError:
            pass  # the loop that reads from the client notices it and ends the session

    async def close(self, reason: bytes) -> None:
        """Closes the connection and tells the client the reason."""
        await self._socket.close(code=1008, message=reason)

    def cut(self) -> None:
        """Breaks the connection at once, without a closing handshake."""
        if self._tcp is not None:
            self._tcp.abort()


def _is_height(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _HEIGHT_DIGITS


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
