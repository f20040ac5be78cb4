"""The node's HTTP server with a few methods, on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from io import BytesIO
from typing import Any

import aiohttp

from engram.node.clock import SystemClock
from engram.node.mining.pacing import Pacing
from engram.node.rpc.dispatcher import Dispatcher
from engram.node.rpc.events import EventHub
from engram.node.rpc.jsonrpc import method_of, method_table
from engram.node.rpc.server import RpcServer
from engram.statemachine.errors import NonceMismatch

TOKEN = "0123456789abcdef"
BLOB = bytes(32)
FAR_BLOB = bytes([1]) * 32
"""Nobody has it, but that takes as long to learn as the method `wait` takes."""


async def ping() -> str:
    """Answers."""
    return "pong"


async def stop() -> str:
    """For the operator."""
    return "stopping"


async def echo(raw: bytes) -> int:
    """Counts bytes."""
    return len(raw)


async def count(rows: list[object]) -> int:
    """Counts rows."""
    return len(rows)


async def pay(amount: int) -> dict[str, int]:
    """Repeats the amount."""
    return {"amount": amount}


async def refuse() -> None:
    """Refuses."""
    raise NonceMismatch(expected=7, got=9)


async def metrics() -> tuple[bytes, str]:
    return b"engram_peers 0\n", "text/plain; version=0.0.4"


async def probe(name: str, conditions: Mapping[str, str]) -> tuple[int, dict[str, object]]:
    return (200 if name == "health" else 503), {"asked": name, **conditions}


class Door:
    """A running server, the bugs that it has reported, and what its method `wait` waits for."""

    def __init__(self, hub: EventHub, server: DoorServer, pacing: Pacing) -> None:
        self.hub = hub
        self.server = server
        self.pacing = pacing
        self.bugs = server.bugs
        self.released = server.released
        self.waiting = server.waiting

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def post(self, **request: Any) -> tuple[int, Any]:
        """Status and body of one POST; `document` is sent as JSON."""
        document = request.pop("document", None)
        if document is not None:
            request["data"] = BytesIO(json.dumps(document).encode())
            request["headers"] = {"Content-Type": "application/json", **request.get("headers", {})}
        async with aiohttp.ClientSession() as session, session.post(self.url + "/", **request) as response:
            text = await response.text()
            return response.status, json.loads(text) if response.status == 200 else text


def new_pacing(hub: EventHub, *, enabled: bool = True) -> Pacing:
    return Pacing(partial(hub.publish, "pace"), SystemClock(), enabled=enabled)


class DoorServer(RpcServer):
    """The server of a door."""

    bugs: list[Exception]
    released: asyncio.Event
    waiting: list[int]
    """One item for each call of `wait` that has begun."""


def new_server(hub: EventHub, pacing: Pacing | None = None, **settings: Any) -> DoorServer:
    pacing = pacing or new_pacing(hub)
    bugs: list[Exception] = []
    released, waiting = asyncio.Event(), list[int]()

    async def wait(size: int = 0) -> str:
        """Answers so many letters once it may."""
        waiting.append(size)
        await released.wait()
        return "x" * size

    async def blob(identity: bytes) -> bytes | None:
        if identity == FAR_BLOB:
            await wait()
        return b"tensor" if identity == BLOB else None

    async def pace() -> dict[str, Any]:
        """What the programs at this node ask for."""
        return asdict(pacing.pace)

    async def publish(topic: str) -> None:
        """Publishes an event."""
        hub.publish(topic, {"published": topic})

    handlers = (ping, echo, count, pay, refuse, wait)
    methods = [method_of(each.__name__, each) for each in handlers]
    methods.append(method_of("miner_pace", pace))
    methods.append(method_of("publish", publish, changes=True))
    table = method_table((*methods, method_of("stop", stop, admin=True)))
    dispatcher = Dispatcher(table, lambda name, error: bugs.append(error))
    defaults: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "token": TOKEN}
    server = DoorServer(dispatcher, hub, pacing, blob, metrics, probe, **(defaults | settings))
    server.bugs, server.released, server.waiting = bugs, released, waiting
    return server


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Door]:
    hub = EventHub()
    pacing = new_pacing(hub, enabled=settings.pop("pacing", True))
    server = new_server(hub, pacing, **settings)
    task = asyncio.create_task(server.run())
    await server.serving.wait()
    try:
        yield Door(hub, server, pacing)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def handshake_status(door: Door, headers: dict[str, str]) -> int:
    """The status with which a WebSocket is opened, 101, or refused."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(door.url + "/ws", headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as refusal:
            return refusal.status
