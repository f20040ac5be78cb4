"""The node's HTTP server: JSON-RPC 2.0 by POST and WebSocket; blobs, metrics and probes by GET.

A web page that the operator visits must not be able to command the node, although the browser runs on the
same machine. aiohttp does not prevent that, so `_guard` does. It refuses requests whose Host header is not a
known name, because a page can make its own name point to this machine (DNS rebinding). And it refuses
requests with an Origin header, which browsers add to requests that a page of another site makes, WebSockets
included.

The sizes of bodies and messages, the number of WebSockets, of requests in hand and of unsent bytes, and all
waiting times are bounded (`limits`), so that no client can use up the node's memory or hold its connections
open for nothing. The probes and requests with the token are answered whatever other clients do.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from engram.node import logs
from engram.node.errors import HoldRefused
from engram.node.listening import listen
from engram.node.mining.pacing import Pacing
from engram.node.rpc.admission import RpcPlaces, Unsent
from engram.node.rpc.arriving import ArrivingBodies
from engram.node.rpc.bodies import MAX_BODY_BYTES, SMALL_BODY_BYTES, BodyForm, receive
from engram.node.rpc.dispatcher import Dispatcher
from engram.node.rpc.events import EventHub
from engram.node.rpc.limits import DEFAULT_LIMITS, RpcLimits
from engram.node.rpc.outlets import ClientLine, SocketOutlet
from engram.node.rpc.refusals import HttpRefusal
from engram.node.rpc.session import EventSession
from engram.node.rpc.sockets import OpenSockets
from engram.p2p.acceptor import Acceptor, AcceptRank
from engram.p2p.netgroup import host_of

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""The largest WebSocket message that is taken; larger transactions and batches go by POST."""
READ_BUFFER_BYTES: Final = 16 * 1024
"""Twice as much of a body is buffered for each connection while its request waits for a place."""
MAX_IN_HAND: Final = 8
"""How many messages of one WebSocket are answered at once; a slow one does not hold up the next."""
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_HEIGHT: Final = re.compile("[0-9]{1,20}")
_BLOB_ID: Final = re.compile("[0-9A-Fa-f]{64}")
_PORT_TAKEN: Final = "stop the program there, or set --rpc-port (0 takes a free port)"

BlobSource = Callable[[bytes], Awaitable[bytes | None]]
MetricsSource = Callable[[], Awaitable[tuple[bytes, str]]]
ProbeSource = Callable[[str, Mapping[str, str]], Awaitable[tuple[int, Mapping[str, object]]]]
"""Answers `health` and `ready` with the conditions of the query: an HTTP status and a JSON object."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        limits: RpcLimits = DEFAULT_LIMITS,
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
        self._places = RpcPlaces(limits)
        bounds = {False: limits.arriving_bytes, True: limits.own_arriving_bytes}
        self._arriving = {admin: ArrivingBodies(most_bytes) for admin, most_bytes in bounds.items()}
        self._unsent = Unsent(limits.unsent_bytes)
        self._sockets = OpenSockets(limits)
        self._acceptor: Acceptor | None = None
        self.serving = asyncio.Event()
        self.port = port

    async def run(self) -> None:
        """Listens until it is cancelled, then closes every connection.

        Raises `PortTaken`, `PortForbidden`, `AddressUnusable`.
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
            "read_bufsize": READ_BUFFER_BYTES,
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
                await self._sockets.dismiss(b"the node stops")
                await runner.cleanup()

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
        admin = self._is_admin(request)
        async with AsyncExitStack() as places:
            body = await self._body(request, places, admin)
            async with self._in_hand(request, admin, self._places.request(_client_of(request), admin=admin)):
                reply = await self._dispatcher.answer(body, admin=admin)
        if reply is None:
            return web.Response(status=204)
        return await self._sent(request, web.Response(text=reply, content_type="application/json"))

    @asynccontextmanager
    async def _in_hand(
        self, request: web.Request, admin: bool, place: AbstractAsyncContextManager[None]
    ) -> AsyncIterator[None]:
        """A request in its place. Its connection goes for no other meanwhile, the operator's never."""
        if admin:
            self._rank(request, AcceptRank.KEPT)
        async with place:
            self._rank(request, AcceptRank.KEPT)  # not while a body trickles in or it waits
            try:
                yield
            finally:
                self._rank(request, AcceptRank.KEPT if admin else AcceptRank.SERVED)

    async def _body(self, request: web.Request, places: AsyncExitStack, admin: bool) -> bytes:
        """The unpacked body. A place for a large one is left in `places`."""
        form = _form(request)
        form.check()
        if form.is_asking:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # of the answer, nothing has been sent
        body = bytearray()
        if form.is_large or not await self._receive(request, body, SMALL_BODY_BYTES):
            async with self._arriving[admin].one(_client_of(request)) as arriving:
                await self._receive(request, body, MAX_BODY_BYTES, arriving.holds)
                arriving.is_whole()
                await places.enter_async_context(self._places.large_body(_client_of(request), admin=admin))
        return form.unpacked(bytes(body))

    async def _receive(
        self,
        request: web.Request,
        body: bytearray,
        most_bytes: int,
        holds: Callable[[int], None] = lambda size_bytes: None,
    ) -> bool:
        try:
            return await receive(request.content.iter_any(), body, most_bytes, self._limits.body_s, holds)
        except web.RequestPayloadError:
            raise HttpRefusal(400, "the body is not what the request's headers say; send it anew") from None

    async def _sent(self, request: web.Request, response: web.Response) -> web.StreamResponse:
        """Sends a reply that can be long, and cuts the connection if the client does not take it in time."""
        size_bytes = len(response.body) if isinstance(response.body, bytes) else 0

        async def send() -> None:
            await response.prepare(request)
            await response.write_eof()

        await self._line(request).deliver(size_bytes, send())
        return response

    def _line(self, request: web.Request) -> ClientLine:
        return ClientLine(request.transport, self._limits.send_s, self._unsent)

    def _rank(self, request: web.Request, standing: AcceptRank) -> None:
        if self._acceptor is not None:
            self._acceptor.rank(request.transport, standing)

    def _is_admin(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.encode("utf-8", "surrogateescape")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        text, admin = request.match_info["id"], self._is_admin(request)
        if _BLOB_ID.fullmatch(text) is None:
            raise HttpRefusal(400, "a blob id must be 64 hexadecimal digits", got=text[:80])
        async with self._in_hand(request, admin, self._places.blob(_client_of(request), admin=admin)):
            raw = await self._blob(bytes.fromhex(text))
        if raw is None:
            raise HttpRefusal(404, "this node has no such blob; ask another node", code="blob_missing")
        return await self._sent(request, web.Response(body=raw, content_type="application/octet-stream"))

    async def _get_metrics(self, request: web.Request) -> web.StreamResponse:
        admin = self._is_admin(request)
        async with self._in_hand(request, admin, self._places.request(_client_of(request), admin=admin)):
            body, content_type = await self._metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _get_probe(self, request: web.Request) -> web.StreamResponse:
        status, document = await self._probe(request.path.removeprefix("/"), dict(request.query))
        return web.json_response(document, status=status)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        admin, host = self._is_admin(request), _client_of(request)

        async def serve(socket: web.WebSocketResponse) -> None:
            async with asyncio.TaskGroup() as group:
                outlet = SocketOutlet(socket, self._line(request))
                session = EventSession(self._dispatcher, self._hub, outlet, group, admin=admin)
                turns = asyncio.Semaphore(MAX_IN_HAND)
                try:
                    async for message in socket:
                        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                            places = AsyncExitStack()
                            await places.enter_async_context(turns)
                            turn = self._places.request(host, admin=admin, patient=True)
                            await places.enter_async_context(turn)
                            group.create_task(_answered(session, message.data, places))
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
                if message.type is not WSMsgType.TEXT or _HEIGHT.fullmatch(message.data) is None:
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
        most_bytes, close_s = MAX_MESSAGE_BYTES, self._limits.close_s
        socket = web.WebSocketResponse(
            heartbeat=heartbeat_s, max_msg_size=most_bytes, compress=False, timeout=close_s
        )
        client, cut = _client_of(request), self._line(request).cut
        with self._sockets.open(socket, client, cut, admin=self._is_admin(request)):
            await socket.prepare(request)
            self._rank(request, AcceptRank.KEPT)
            await serve(socket)
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


async def _answered(session: EventSession, raw: str | bytes, places: AsyncExitStack) -> None:
    """Answers one message, and gives its places back before the reply is sent."""
    async with places:
        reply = await session.answer(raw)
    await session.send(reply)


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


def _client_of(request: web.BaseRequest) -> str:
    """The host from which a request comes, as limits count hosts."""
    address = request.transport.get_extra_info("peername") if request.transport is not None else None
    return host_of(str(address[0])) if address else "unknown"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
