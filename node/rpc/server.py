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
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from engram.node import logs
from engram.node.errors import HoldRefused
from engram.node.listening import listen
from engram.node.mining.pacing import Pacing
from engram.node.rpc.events import TOPICS, EventHub, Subscription
from engram.node.rpc.jsonrpc import INVALID_PARAMS, Dispatcher, RpcFault
from engram.p2p.acceptor import AcceptLimits, Acceptor, AcceptRank

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""Enough for the largest transaction as hexadecimal text, and the JSON around it."""
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
MAX_SUBSCRIPTIONS: Final = 16
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
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.router.add_post("/", self._post)
        application.router.add_get("/ws", self._websocket)
        application.router.add_get("/hold", self._hold)
        application.router.add_get("/blob/{id}", self._get_blob)
        application.router.add_get("/metrics", self._get_metrics)
        application.router.add_get("/health", self._get_probe)
        application.router.add_get("/ready", self._get_probe)
        runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=self._limits.keepalive_s,
            handle_signals=False,
            shutdown_timeout=self._limits.close_s,
        )
        await runner.setup()
        assert runner.server is not None, "`setup` has just made the server"
        async with Acceptor(runner.server, self._limits.accept, paused=logs.no_descriptor) as acceptor:
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
            raise web.HTTPForbidden(text=f"unknown Host; expected one of {', '.join(sorted(self._names))}")
        if "Origin" in request.headers:
            raise web.HTTPForbidden(text="requests from web pages are refused")
        if "Authorization" in request.headers and not self._is_admin(request):
            raise web.HTTPUnauthorized(
                text="wrong token; the right one is in the file rpc.token of the node's data directory",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="Content-Type must be application/json")
        try:
            async with asyncio.timeout(self._limits.body_s):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the body of the request did not arrive in time") from None
        self._rank(request, AcceptRank.KEPT)  # not before: a body that trickles in keeps no place
        try:
            reply = await self._dispatcher.answer(body, admin=self._is_admin(request))
        finally:
            self._rank(request, AcceptRank.SERVED)
        if reply is None:
            return web.Response(status=204)
        return web.Response(text=reply, content_type="application/json")

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
            raise web.HTTPBadRequest(text="a blob id must be hexadecimal text") from None
        raw = await self._blob(identity)
        if raw is None:
            raise web.HTTPNotFound(text="this node has no such blob")
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
                session = _SocketSession(outlet, self._dispatcher, self._hub, group, self._is_admin(request))
                await session.serve(socket)

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
            raise web.HTTPForbidden(text=error.message) from None

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
            raise web.HTTPServiceUnavailable(text="too many WebSockets are open")
        socket = web.WebSocketResponse(
            heartbeat=heartbeat_s, max_msg_size=MAX_BODY_BYTES, compress=False, timeout=self._limits.close_s
        )
        self._sockets.add(socket)
        try:
            try:
                await socket.prepare(request)
            except ConnectionError:  # the client has gone; if this were raised, aiohttp would log a bug
                return web.Response(status=400)
            self._rank(request, AcceptRank.KEPT)
            await serve(socket)
        finally:
            self._sockets.discard(socket)
        return socket


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


class _SocketSession:
    """One WebSocket client: answers its requests and sends it the events that it has subscribed to."""

    def __init__(
        self, outlet: _Outlet, dispatcher: Dispatcher, hub: EventHub, group: asyncio.TaskGroup, admin: bool
    ) -> None:
        self._outlet = outlet
        self._dispatcher = dispatcher
        self._hub = hub
        self._group = group
        self._admin = admin
        self._feeds: dict[str, tuple[Subscription, asyncio.Task[None]]] = {}
        self._opened = 0

    async def serve(self, socket: web.WebSocketResponse) -> None:
        """Answers requests until the client closes the connection; then ends its subscriptions."""
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._answer(message.data)
        finally:
            for identity in tuple(self._feeds):
                self._end_feed(identity)

    async def _answer(self, raw: str | bytes) -> None:
        request = _object(raw)
        if request is not None and request.get("method") in ("subscribe", "unsubscribe"):
            await self._send({"jsonrpc": "2.0", "id": request.get("id")} | self._change_feeds(request))
            return
        reply = await self._dispatcher.answer(raw, admin=self._admin)
        if reply is not None:
            await self._outlet.send(reply)

    def _change_feeds(self, request: Mapping[str, object]) -> dict[str, object]:
        params = request.get("params")
        names = list(params.values()) if isinstance(params, dict) else params
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            return _refusal("params must name the topics to subscribe to, or the subscription to end")
        if request["method"] == "unsubscribe":
            return {"result": self._end_feed(names[0])}
        if not set(names) <= set(TOPICS):
            return _refusal(f"unknown topic; the topics are {', '.join(TOPICS)}")
        if len(self._feeds) >= MAX_SUBSCRIPTIONS:
            return _refusal(f"a connection can have at most {MAX_SUBSCRIPTIONS} subscriptions")
        self._opened += 1
        identity = str(self._opened)
        subscription = self._hub.subscribe(frozenset(names))
        self._feeds[identity] = (subscription, self._group.create_task(self._feed(identity, subscription)))
        return {"result": identity}

    def _end_feed(self, identity: str) -> bool:
        if identity not in self._feeds:
            return False
        subscription, task = self._feeds.pop(identity)
        self._hub.unsubscribe(subscription)
        task.cancel()
        return True

    async def _feed(self, identity: str, subscription: Subscription) -> None:
        async for topic, event in subscription:
            params = {"subscription": identity, "topic": topic, "result": event}
            await self._send({"jsonrpc": "2.0", "method": "subscription", "params": params})
        await self._outlet.close(b"subscriber too slow")

    async def _send(self, document: Mapping[str, object]) -> None:
        await self._outlet.send(json.dumps(document, separators=(",", ":")))


def _refusal(message: str) -> dict[str, object]:
    return {"error": RpcFault(INVALID_PARAMS, message).to_json()}


def _object(raw: str | bytes) -> dict[str, object] | None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_height(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _HEIGHT_DIGITS


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
