"""WebSockets over real sockets: their number, what they hear, and who does not read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from engram.node.rpc import events
from engram.node.rpc.events import EventHub
from engram.node.rpc.limits import RpcLimits
from engram.node.rpc.server import MAX_MESSAGE_BYTES
from engram.p2p.acceptor import AcceptLimits
from tests.support.rpc_door import TOKEN, Door, handshake_status, opened

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
OWNER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


class Socket:
    """A raw WebSocket client that counts its requests."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._sent = 0

    async def ask(self, method: str, params: object) -> dict[str, Any]:
        self._sent += 1
        await self.socket.send_json({"jsonrpc": "2.0", "id": self._sent, "method": method, "params": params})
        reply: dict[str, Any] = await self.socket.receive_json()
        assert reply["id"] == self._sent
        return reply


@pytest.fixture
async def wire(door: Door) -> AsyncIterator[Socket]:
    async with aiohttp.ClientSession() as session, session.ws_connect(door.url + "/ws") as socket:
        yield Socket(socket)


async def test_subscriptions_end_when_asked(door: Door, wire: Socket) -> None:
    identity = (await wire.ask("subscribe", ["heads"]))["result"]
    assert (await wire.ask("unsubscribe", [identity]))["result"] is True
    assert (await wire.ask("unsubscribe", [identity]))["result"] is False
    door.hub.publish("heads", {})
    assert (await wire.ask("ping", {}))["result"] == "pong"


@pytest.mark.parametrize("params", [None, [], {}, [1], ["weather"], "heads"])
async def test_subscriptions_to_nothing_are_refused(wire: Socket, params: object) -> None:
    assert (await wire.ask("subscribe", params))["error"]["data"]["code"] == "invalid_params"


async def test_a_connection_hears_each_topic_once(door: Door, wire: Socket) -> None:
    """Else one event would be sent as often as a stranger likes; a refused call subscribes to nothing."""
    heads = (await wire.ask("subscribe", ["heads", "heads"]))["result"]
    for topics in (["heads"], ["rounds", "heads"]):
        fault = (await wire.ask("subscribe", topics))["error"]["data"]
        assert (fault["code"], fault["got"]) == ("invalid_params", {"topic": "heads", "subscription": heads})
    rounds = (await wire.ask("subscribe", ["rounds"]))["result"]
    for topic in ("rounds", "heads", "peers"):
        door.hub.publish(topic, {"amount": 2**60, "of": topic})
    for identity, topic in ((rounds, "rounds"), (heads, "heads")):
        params = {"subscription": identity, "topic": topic, "result": {"amount": str(2**60), "of": topic}}
        event = {"jsonrpc": "2.0", "method": "subscription", "params": params}
        assert event == await wire.socket.receive_json()
    assert (await wire.ask("unsubscribe", [heads]))["result"] is True
    assert "result" in await wire.ask("subscribe", ["heads"])


@pytest.mark.fault(id=3)
async def test_a_message_beyond_the_bound_ends_the_connection(wire: Socket) -> None:
    await wire.socket.send_str(" " * (MAX_MESSAGE_BYTES + 1))
    message = await wire.socket.receive()
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)


async def test_sockets_are_bounded_and_the_owner_has_some_of_his_own() -> None:
    async with (
        opened(limits=RpcLimits(sockets=1, own_sockets=1)) as door,
        aiohttp.ClientSession() as session,
        session.ws_connect(door.url + "/ws"),
    ):
        assert await handshake_status(door, {}) == 503
        async with session.ws_connect(door.url + "/ws", headers=OWNER):
            assert await handshake_status(door, OWNER) == 503
            assert await handshake_status(door, {}) == 503


async def test_sockets_of_one_host_are_bounded() -> None:
    """This machine counts as a host here; the place of one that closes is free again."""
    counted = AcceptLimits(own_host_exempt=False)
    async with (
        opened(limits=RpcLimits(sockets_per_host=1, accept=counted)) as door,
        aiohttp.ClientSession() as session,
    ):
        async with session.ws_connect(door.url + "/ws"):
            assert await handshake_status(door, {}) == 503
            assert await handshake_status(door, OWNER) == 101
        while (status := await handshake_status(door, {})) != 101:
            assert status == 503, "those that were just closed may still count"
    async with (
        opened(limits=RpcLimits(sockets_per_host=1)) as door,
        aiohttp.ClientSession() as session,
        session.ws_connect(door.url + "/ws"),
    ):
        assert await handshake_status(door, {}) == 101


async def test_who_has_most_sockets_makes_place_for_others() -> None:
    """Not for itself, and not for who would have as many then; the operator's stay."""
    hosts = [f"127.0.0.{number}" for number in (1, 2, 3)]
    async with opened(limits=RpcLimits(sockets=3, own_sockets=0)) as door, AsyncExitStack() as stack:
        one, two, three = [
            await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(host, 0)))
            )
            for host in hosts
        ]
        kept = await stack.enter_async_context(one.ws_connect(door.url + "/ws", headers=OWNER))
        crowd = [await stack.enter_async_context(two.ws_connect(door.url + "/ws")) for _ in range(2)]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await two.ws_connect(door.url + "/ws")
        late = await stack.enter_async_context(three.ws_connect(door.url + "/ws"))
        assert (await crowd[0].receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await one.ws_connect(door.url + "/ws")
        for socket in (kept, crowd[1], late):
            await socket.send_json(PING)
            assert (await socket.receive_json())["result"] == "pong"


async def test_a_subscriber_that_falls_behind_is_told_and_dropped(
    door: Door, wire: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "QUEUE_EVENTS", 3)
    await wire.ask("subscribe", ["heads"])
    for number in range(5):
        door.hub.publish("heads", number)
    received = [await wire.socket.receive() for _ in range(4)]
    assert [json.loads(message.data)["params"]["result"] for message in received[:3]] == [0, 1, 2]
    assert (received[3].type, received[3].extra) == (aiohttp.WSMsgType.CLOSE, "subscriber too slow")


@pytest.mark.fault(id=19)
async def test_a_subscriber_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = asyncio.Event()
    monkeypatch.setattr(EventHub, "unsubscribe", lambda hub, subscription: gone.set())
    async with opened(limits=RpcLimits(send_s=0.05)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port, limit=1024)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": ["heads"]}).encode()
        writer.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        assert b"result" in await reader.readuntil(b"}")
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        for _ in range(40):
            door.hub.publish("heads", "x" * 1_000_000)
        await gone.wait()
        writer.transport.abort()
