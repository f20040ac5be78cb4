"""The node's HTTP server: JSON-RPC 2.0 by POST and WebSocket; blobs, metrics and probes by GET.

Who may enter is decided by `guard`, before anything else is done. With `pages`, browsers get the files of
the explorer under /explore/, and what these pages ask for over their WebSocket; they cannot change anything.

The sizes of bodies and messages, the number of WebSockets, of requests in hand and of unsent bytes, and all
waiting times are bounded (`limits`), so that no client can use up the node's memory or hold its connections
open for nothing. The probes and requests with the token are answered whatever other clients do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from engram.node import logs
from engram.node.errors import HoldRefused
from engram.node.explorer.serving import PREFIX, Pages
from engram.node.holding import FINISHED
from engram.node.listening import listen
from engram.node.mining.pacing import Pacing
from engram.node.rpc.admission import RpcPlaces, Unsent
from engram.node.rpc.arriving import ArrivingBodies
from engram.node.rpc.bodies import MAX_BODY_BYTES, SMALL_BODY_BYTES, BodyForm, receive
from engram.node.rpc.connection import Handler, HttpConnection, refusals
from engram.node.rpc.dispatcher import Dispatcher
from engram.node.rpc.events import EventHub
from engram.node.rpc.guard import Guard, is_of_a_page
from engram.node.rpc.limits import DEFAULT_LIMITS, RpcLimits
from engram.node.rpc.outlets import ClientLine, SocketOutlet
from engram.node.rpc.refusals import BLOB_MISSING, HttpRefusal
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
_HEIGHT: Final = re.compile("[0-9]{1,20}")
_BLOB_ID: Final = re.compile("[0-9A-Fa-f]{64}")
_PORT_TAKEN: Final = "stop the program there, or set --rpc-port (0 takes a free port)"

BlobSource = Callable[[bytes], Awaitable[bytes | None]]
MetricsSource = Callable[[], Awaitable[tuple[bytes, str]]]
ProbeSource = Callable[[str, Mapping[str, str]], Awaitable[tuple[int, Mapping[str, object]]]]
"""Answers `health` and `ready` with the conditions of the query: an HTTP status and a JSON object."""


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
        pages: Pages | None = None,
    ) -> None:
        """`token` opens admin methods; `names` are accepted as Host besides the local names and `host`."""
        self._dispatcher = dispatcher
        self._hub = hub
        self._pacing = pacing
        self._blob = blob
        self._metrics = metrics
        self._probe = probe
        self._host = host
        self._pages = pages
        self._reading = dispatcher.reading()
        self._door = Guard(host, names, token, pages=pages is not None)
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
        application = web.Application(middlewares=[refusals, self._guard])
        application.router.add_post("/", self._post, expect_handler=_later)
        application.router.add_get("/ws", self._websocket)
        application.router.add_get("/hold", self._hold)
        application.router.add_get("/blob/{id}", self._get_blob)
        application.router.add_get("/metrics", self._get_metrics)
        application.router.add_get("/health", self._get_probe)
        application.router.add_get("/ready", self._get_probe)
        if self._pages is not None:
            for path in ("/", PREFIX.rstrip("/")):
                application.router.add_get(path, _to_the_pages)
            application.router.add_get(PREFIX + "{path:.*}", self._get_page)
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
        protocol = partial(HttpConnection, runner.server, **settings)
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
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._door.check(request.path, request.headers)
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
        return self._door.is_admin(request.headers)

    async def _get_page(self, request: web.Request) -> web.StreamResponse:
        """A file of the explorer, which counts as a request like any other."""
        assert self._pages is not None, "the route exists only where there are pages"
        path, seen = request.match_info["path"], request.headers.get("If-None-Match", "")
        async with self._in_hand(request, False, self._places.request(_client_of(request), admin=False)):
            answer = self._pages.answer(path, seen)
        if answer is None:
            raise HttpRefusal(404, f"the explorer has no such file; it begins at {PREFIX}")
        response = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return await self._sent(request, response)

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        text, admin = request.match_info["id"], self._is_admin(request)
        if _BLOB_ID.fullmatch(text) is None:
            raise HttpRefusal(400, "a blob id must be 64 hexadecimal digits", got=text[:80])
        async with self._in_hand(request, admin, self._places.blob(_client_of(request), admin=admin)):
            raw = await self._blob(bytes.fromhex(text))
        if raw is None:
            raise HttpRefusal(404, "this node has no such blob; ask another node", code=BLOB_MISSING)
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
        dispatcher = self._reading if is_of_a_page(request.headers) else self._dispatcher

        async def serve(socket: web.WebSocketResponse) -> None:
            async with asyncio.TaskGroup() as group:
                outlet = SocketOutlet(socket, self._line(request))
                session = EventSession(dispatcher, self._hub, outlet, group, admin=admin)
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
        text, once the height is noted. The message `finished` says that the program has done its part, and
        ends the hold; for one that leaves without it, a muster waits. The connection has no heartbeat: a
        program that is suspended does not answer, and just then its hold must stand.
        """
        try:
            hold = self._pacing.hold()
        except HoldRefused as error:
            raise HttpRefusal(403, error.message, code=error.code) from None

        finished = False

        async def serve(socket: web.WebSocketResponse) -> None:
            nonlocal finished
            async for message in socket:
                if message.type is WSMsgType.TEXT and message.data == FINISHED:
                    finished = True
                    break
                if message.type is not WSMsgType.TEXT or _HEIGHT.fullmatch(message.data) is None:
                    await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"a height is expected")
                    break
                hold.allow(int(message.data))
                await socket.send_str(message.data)

        try:
            return await self._connected(request, serve, heartbeat_s=None)
        finally:
            self._pacing.release(hold, finished=finished)

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


async def _answered(session: EventSession, raw: str | bytes, places: AsyncExitStack) -> None:
    """Answers one message, and gives its places back before the reply is sent."""
    async with places:
        reply = await session.answer(raw)
    await session.send(reply)


async def _to_the_pages(request: web.Request) -> web.StreamResponse:
    """Where the explorer begins, for who has typed the node's address into a browser."""
    return web.Response(status=307, headers={"Location": PREFIX, "Cache-Control": "no-store"})


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
