"""The node's HTTP door: JSON-RPC 2.0 by POST and WebSocket, blobs by GET, metrics. No methods of its own.

aiohttp checks neither Host nor Origin, so this page does: a web page the operator visits must not be able to
drive the node (DNS rebinding, cross-site WebSockets). Bodies, messages and waiting times are bounded.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import WSMsgType, web

from engram.node.events import TOPICS, EventHub, Subscription
from engram.node.jsonrpc import INVALID_PARAMS, Dispatcher

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""A transaction of the largest size, as hexadecimal text, with room for its frame."""
BODY_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 20.0
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
MAX_SUBSCRIPTIONS: Final = 16

BlobSource = Callable[[bytes], Awaitable[bytes | None]]
MetricsSource = Callable[[], tuple[bytes, str]]


class RpcServer:
    """Serves one dispatcher on one address. `port` is known once `serving` is set."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        hub: EventHub,
        blob: BlobSource,
        metrics: MetricsSource,
        *,
        host: str,
        port: int,
        token: str,
    ) -> None:
        self._dispatcher = dispatcher
        self._hub = hub
        self._blob = blob
        self._metrics = metrics
        self._host = host
        self._port = port
        self._token = token
        self._names = frozenset((*LOCAL_NAMES, host))
        self._sockets: set[web.WebSocketResponse] = set()
        self.serving = asyncio.Event()
        self.port = port

    async def run(self) -> None:
        """Listen until cancelled; then close every connection. Raises OSError if the port is taken."""
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.router.add_post("/", self._post)
        application.router.add_get("/ws", self._websocket)
        application.router.add_get("/blob/{id}", self._get_blob)
        application.router.add_get("/metrics", self._get_metrics)
        runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=KEEPALIVE_S, handle_signals=False
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port, shutdown_timeout=1.0)
            await site.start()
            self.port = _bound_port(runner)
            self.serving.set()
            await asyncio.Event().wait()
        finally:
            for socket in tuple(self._sockets):
                await socket.close(code=1001, message=b"the node stops")
            await runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if name not in self._names:
            raise web.HTTPForbidden(text=f"unknown Host; expected one of {', '.join(sorted(self._names))}")
        if request.headers.get("Origin") is not None:
            raise web.HTTPForbidden(text="requests from web pages are refused")
        return await handler(request)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="Content-Type must be application/json")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the body did not arrive in time") from None
        reply = await self._dispatcher.answer(body, admin=self._is_admin(request))
        if reply is None:
            return web.Response(status=204)
        return web.Response(text=reply, content_type="application/json")

    def _is_admin(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and hmac.compare_digest(token.encode(), self._token.encode())

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        try:
            identity = bytes.fromhex(request.match_info["id"])
        except ValueError:
            raise web.HTTPBadRequest(text="a blob id is hexadecimal") from None
        raw = await self._blob(identity)
        if raw is None:
            raise web.HTTPNotFound(text="this node has no such blob")
        return web.Response(body=raw, content_type="application/octet-stream")

    async def _get_metrics(self, request: web.Request) -> web.StreamResponse:
        body, content_type = self._metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=KEEPALIVE_S, max_msg_size=MAX_BODY_BYTES, compress=False)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            async with asyncio.TaskGroup() as group:
                session = _SocketSession(socket, self._dispatcher, self._hub, group, self._is_admin(request))
                await session.serve()
        finally:
            self._sockets.discard(socket)
        return socket


class _SocketSession:
    """One WebSocket client: requests in, replies and subscribed events out."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        dispatcher: Dispatcher,
        hub: EventHub,
        group: asyncio.TaskGroup,
        admin: bool,
    ) -> None:
        self._socket = socket
        self._dispatcher = dispatcher
        self._hub = hub
        self._group = group
        self._admin = admin
        self._feeds: dict[str, tuple[Subscription, asyncio.Task[None]]] = {}
        self._opened = 0

    async def serve(self) -> None:
        try:
            async for message in self._socket:
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
            await self._socket.send_str(reply)

    def _change_feeds(self, request: Mapping[str, object]) -> dict[str, object]:
        params = request.get("params")
        names = list(params.values()) if isinstance(params, dict) else params
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            return _refusal("name the topics to subscribe to, or the subscription to end")
        if request["method"] == "unsubscribe":
            return {"result": self._end_feed(names[0])}
        if not set(names) <= set(TOPICS):
            return _refusal(f"unknown topic; there are {', '.join(TOPICS)}")
        if len(self._feeds) >= MAX_SUBSCRIPTIONS:
            return _refusal(f"a connection holds at most {MAX_SUBSCRIPTIONS} subscriptions")
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
        await self._socket.close(code=1008, message=b"subscriber too slow")

    async def _send(self, document: Mapping[str, object]) -> None:
        if not self._socket.closed:
            await self._socket.send_str(json.dumps(document, separators=(",", ":")))


def _refusal(message: str) -> dict[str, object]:
    return {"error": {"code": INVALID_PARAMS, "message": message}}


def _object(raw: str | bytes) -> dict[str, object] | None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _bound_port(runner: web.AppRunner) -> int:
    address = runner.addresses[0]
    return int(address[1])
