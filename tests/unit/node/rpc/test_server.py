"""The HTTP door over real sockets: who may enter, what is refused by its size, its slowness or its origin."""

import asyncio
import gzip
import json
import random
import socket
from collections.abc import AsyncIterator
from contextlib import closing

import aiohttp
import pytest

from engram.node.client import RpcClient
from engram.node.errors import AddressUnusable, NodeUnreachable, PortTaken, RemoteError
from engram.node.rpc.bodies import MAX_BODY_BYTES
from engram.node.rpc.events import EventHub
from engram.node.rpc.limits import RpcLimits
from tests.support.faults import Played, inputs
from tests.support.p2p_chain import WAIT_S
from tests.support.rpc_door import BLOB, TOKEN, Door, handshake_status, new_server, opened

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


WRONG_TOKENS = inputs(30, sample=60, share=0.6)
TOKENS = {
    "none": {},
    "wrong": {"Authorization": "Bearer nonsense"},
    "right": {"Authorization": f"Bearer {TOKEN}"},
}
HOSTS = {
    "127.0.0.1:{port}": True,
    "127.0.0.1": True,
    "LocalHost:1": True,
    "[::1]:{port}": True,
    "evil.example": False,
    "evil.example:{port}": False,
    "127.0.0.1.evil.example": False,
    "[::2]": False,
    "": False,
}
ORIGINS: dict[str, dict[str, str]] = {
    "none": {},
    "null": {"Origin": "null"},
    "evil": {"Origin": "http://evil.example"},
    "same": {"Origin": "http://127.0.0.1"},
}


@pytest.mark.fault(id=30)
@pytest.mark.parametrize("host", HOSTS)
async def test_the_guard_table(door: Door, host: str, fault: Played) -> None:
    """Every token, Host, Origin, kind of method and kind of request: exactly the named ones pass."""
    asked = 0
    name = host.format(port=door.server.port)
    for token, authorization in TOKENS.items():
        for origin, origin_headers in ORIGINS.items():
            headers = {"Host": name, **authorization, **origin_headers}
            passes = HOSTS[host] and origin == "none"
            expected = (401 if token == "wrong" else 200) if passes else 403
            for method in ("ping", "stop"):
                status, body = await door.post(headers=headers, document=PING | {"method": method})
                assert status == expected, (headers, method)
                if status == 200:
                    assert ("result" in body) == (method == "ping" or token == "right"), (headers, method)
            assert await handshake_status(door, headers) == (101 if expected == 200 else expected), headers
            form = headers | {"Content-Type": "application/x-www-form-urlencoded"}
            refused = 415 if expected == 200 else expected
            assert (await door.post(headers=form, data=json.dumps(PING)))[0] == refused, headers
            asked += 4
    fault.tell(asked, code="unauthorized")


@pytest.mark.fault(id=30, inputs=WRONG_TOKENS)
async def test_no_token_but_the_right_one_opens_anything(door: Door) -> None:
    """Among them the right one in other letters, longer, shorter, twice, and tokens of the same length."""
    near = [TOKEN[:-1], TOKEN + "0", TOKEN.upper(), TOKEN[::-1], TOKEN * 2, f"{TOKEN},{TOKEN}", "", "0"]
    chance = random.Random(30)
    tokens = near + [f"{chance.getrandbits(64):016x}" for _ in range(WRONG_TOKENS - len(near))]
    async with aiohttp.ClientSession() as session:
        for number, token in enumerate(tokens):
            method = ("ping", "stop")[number % 2]
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(door.url, json=PING | {"method": method}, headers=headers) as response:
                document = await response.json()
                assert (response.status, document["error"]["data"]["code"]) == (401, "unauthorized"), token
                assert response.headers["WWW-Authenticate"] == "Bearer"
    assert (await door.post(document=PING | {"method": "stop"}, headers=TOKENS["right"]))[0] == 200


async def test_a_request_without_a_host_is_refused(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).split()[1] in (b"400", b"403")
    writer.close()


async def test_further_names_can_be_allowed() -> None:
    async with opened(names=["node.example"]) as door:
        assert (await door.post(headers={"Host": "node.example"}, document=PING))[0] == 200


@pytest.mark.parametrize(
    "token", ["Bearer", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef", "Bearer \udcff"]
)
async def test_malformed_authorization_is_no_authorization(door: Door, token: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
    head = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n"
    writer.write(head.encode("utf-8", "surrogateescape"))
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_what_a_web_page_can_post_without_asking_is_refused(door: Door, content_type: str) -> None:
    status, _ = await door.post(headers={"Content-Type": content_type}, data=json.dumps(PING))
    assert status == 415


@pytest.mark.fault(id=3)
async def test_bodies_are_bounded(door: Door) -> None:
    frame = len(json.dumps(PING | {"method": "echo", "params": {"raw": ""}}))
    fits = "00" * ((MAX_BODY_BYTES - frame) // 2)
    async with RpcClient(door.url) as client:
        assert await client.call("echo", raw=bytes.fromhex(fits)) == len(fits) // 2
        with pytest.raises(RemoteError) as refusal:
            await client.call("echo", raw=bytes.fromhex(fits + "00" * 80))
    assert refusal.value.code == "request_too_large"


@pytest.mark.fault(id=4)
async def test_a_body_that_unpacks_beyond_the_bound_is_refused(door: Door) -> None:
    bomb = gzip.compress(b" " * (8 * MAX_BODY_BYTES))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await door.post(data=bomb, headers=headers))[0] == 413


@pytest.mark.fault(id=19)
async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async with opened(limits=RpcLimits(body_s=0.05)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert (await reader.readline()).split()[1] == b"408"
        writer.close()


async def test_notifications_have_no_body(door: Door) -> None:
    status, text = await door.post(document={"jsonrpc": "2.0", "method": "ping"})
    assert (status, text) == (204, "")


async def test_blobs_and_metrics(door: Door) -> None:
    async with aiohttp.ClientSession() as session:
        refused = [(path, 400) for path in ("zz", "11" * 31, "11" * 33)]
        for path, status in ((BLOB.hex(), 200), ("11" * 32, 404), *refused):
            async with session.get(f"{door.url}/blob/{path}") as response:
                assert response.status == status
        async with session.get(f"{door.url}/metrics") as response:
            assert await response.text() == "engram_peers 0\n"


async def test_the_client(door: Door) -> None:
    async with RpcClient(door.url, TOKEN) as client:
        assert await client.call("ping") == "pong"
        assert await client.call("echo", raw=b"\x00" * 5) == 5
        assert await client.call("stop") == "stopping"
        assert await client.blob(BLOB) == b"tensor"
        with pytest.raises(RemoteError) as refusal:
            await client.call("refuse")
        assert (refusal.value.code, refusal.value.expected, refusal.value.got) == ("nonce_mismatch", 7, 9)


@pytest.mark.parametrize(
    ("token", "method", "code"),
    [("", "stop", "unauthorized"), ("wrong", "ping", "unauthorized"), ("", "missing", "method_not_found")],
)
async def test_the_client_tells_refusals_by_code(door: Door, token: str, method: str, code: str) -> None:
    async with RpcClient(door.url, token) as client:
        with pytest.raises(RemoteError) as refusal:
            await client.call(method)
    assert refusal.value.code == code


async def test_a_missing_blob_has_a_code(door: Door) -> None:
    async with RpcClient(door.url) as client:
        with pytest.raises(RemoteError) as refusal:
            await client.blob(b"\x11" * 32)
    assert refusal.value.code == "blob_missing"


async def test_nobody_answers() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        async with RpcClient(f"http://127.0.0.1:{free.getsockname()[1]}") as client:
            with pytest.raises(NodeUnreachable):
                await client.call("ping")
            with pytest.raises(NodeUnreachable):
                async with client.subscribe("heads"):
                    pass


async def test_events_reach_a_subscriber_beside_replies(door: Door) -> None:
    moved = {"txid": "ab" * 32, "status": "pending", "code": "", "height": None}
    made = {"model": "cd" * 32, "number": 1, "root": "ef" * 32, "height": 7}
    async with RpcClient(door.url) as client, client.subscribe("transactions", "versions") as stream:
        door.hub.publish("peers", {})
        door.hub.publish("transactions", moved)
        door.hub.publish("versions", made)
        assert await anext(stream) == ("transactions", moved)
        assert await anext(stream) == ("versions", made)


async def test_the_stream_of_a_node_that_stops_ends_with_an_error() -> None:
    async with RpcClient("") as client:
        async with opened() as door:
            client.url = door.url
            subscription = client.subscribe("heads")
            stream = await subscription.__aenter__()
        with pytest.raises(NodeUnreachable, match="the node stops"):
            await anext(stream)
        await subscription.__aexit__(None, None, None)


@pytest.mark.fault(id=19)
@pytest.mark.parametrize(
    ("first", "answers"),
    [
        (b"", 0),
        (b"\r\n", 0),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n", 0),
        (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", 0),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 1),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HTTP/1.1\r\nHost: l", 1),
    ],
    ids=["silent", "line ends", "half a head", "half an upgrade", "idle", "second head"],
)
async def test_a_connection_whose_request_does_not_come_is_closed(first: bytes, answers: int) -> None:
    async with opened(limits=RpcLimits(keepalive_s=0.05)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
        writer.write(first)
        async with asyncio.timeout(WAIT_S):
            assert (await reader.read(-1)).count(b"HTTP/1.1 200") == answers
        writer.close()


async def test_a_taken_port_is_named_with_the_remedy(door: Door) -> None:
    with pytest.raises(PortTaken, match="--rpc-port") as refusal:
        await new_server(EventHub(), port=door.server.port).run()
    assert refusal.value.got == f"127.0.0.1:{door.server.port}"


async def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(AddressUnusable):
        await new_server(EventHub(), host="192.0.2.1").run()


def test_a_server_without_a_token_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        new_server(EventHub(), token="")
