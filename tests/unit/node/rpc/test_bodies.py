"""HTTP at its edges: bodies that are packed, slow, huge or foreign, and what is no HTTP at all, are refused
with a JSON error that names the remedy, and leave no trace in the log.
"""

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from engram.node.rpc.bodies import MAX_BODY_BYTES
from engram.node.rpc.limits import RpcLimits
from tests.support.faults import Played
from tests.support.rpc_door import Door, opened

pytestmark = pytest.mark.fault(id=50)
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


GOOD_BODY = json.dumps(PING).encode()
NAKED = zlib.compressobj(wbits=-zlib.MAX_WBITS)
NAKED_DEFLATE = NAKED.compress(GOOD_BODY) + NAKED.flush()
PLAIN = {"Content-Type": "application/json"}


def packed(encoding: str) -> dict[str, str]:
    return PLAIN | {"Content-Encoding": encoding}


BODIES: list[tuple[Mapping[str, str], bytes, int, str]] = [
    (packed("identity"), GOOD_BODY, 200, ""),
    (packed("gzip"), gzip.compress(GOOD_BODY), 200, ""),
    (packed("GZIP"), gzip.compress(GOOD_BODY), 200, ""),
    (packed("deflate"), zlib.compress(GOOD_BODY), 200, ""),
    (packed("deflate"), NAKED_DEFLATE, 200, ""),
    ({"Content-Type": "application/json; charset=UTF-8"}, GOOD_BODY, 200, ""),
    ({"Content-Type": 'application/json; charset="utf-8"'}, GOOD_BODY, 200, ""),
    (packed("deflate"), b"xxxx", 400, "bad_request"),
    (packed("gzip"), b"xxxx", 400, "bad_request"),
    (packed("gzip"), gzip.compress(GOOD_BODY)[:-9], 400, "bad_request"),
    (packed("gzip"), gzip.compress(GOOD_BODY) + b"x", 400, "bad_request"),
    (packed("deflate"), zlib.compress(GOOD_BODY)[:-1], 400, "bad_request"),
    (packed("deflate"), b"\x78", 400, "bad_request"),
    (packed("br"), GOOD_BODY, 415, "unsupported_media_type"),
    (packed("zstd"), GOOD_BODY, 415, "unsupported_media_type"),
    (packed("gzip, gzip"), GOOD_BODY, 415, "unsupported_media_type"),
    (packed("nonsense"), GOOD_BODY, 415, "unsupported_media_type"),
    (packed("gzip"), gzip.compress(b" " * (MAX_BODY_BYTES + 1)), 413, "request_too_large"),
    (packed("deflate"), zlib.compress(b" " * (50 * MAX_BODY_BYTES)), 413, "request_too_large"),
    ({}, GOOD_BODY, 415, "unsupported_media_type"),
    ({"Content-Type": ""}, GOOD_BODY, 415, "unsupported_media_type"),
    ({"Content-Type": "application/jsonp"}, GOOD_BODY, 415, "unsupported_media_type"),
    ({"Content-Type": "application/json; charset=klingon"}, GOOD_BODY, 415, "unsupported_media_type"),
    ({"Content-Type": "application/json; charset=utf-16"}, GOOD_BODY, 415, "unsupported_media_type"),
    (PLAIN | {"Expect": "miracles"}, GOOD_BODY, 417, "expectation_failed"),
]


def request(headers: Mapping[str, str], body: bytes, line: str = "POST / HTTP/1.1") -> bytes:
    lines = [line, "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body


async def exchanged(door: Door, raw: bytes) -> tuple[int, Any]:
    """Status and document of the answer to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
    writer.write(raw)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head else 0
    assert status in (0, 204) or b"content-type: application/json" in head.lower()
    return status, json.loads(body) if body else None


@pytest.mark.parametrize("pieces", [False, True])
async def test_bodies(door: Door, pieces: bool, caplog: pytest.LogCaptureFixture, fault: Played) -> None:
    """Sent at once, and with the head first; a traceback in the log would be a bug."""
    for headers, body, status, code in BODIES:
        raw = request(headers, body)
        if pieces:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
            writer.write(raw[: -len(body)])
            await writer.drain()
            writer.write(body[:1])
            await writer.drain()
            writer.write(body[1:])
            answer = await reader.read()
            writer.close()
            found, document = int(answer.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2])
        else:
            found, document = await exchanged(door, raw)
        assert found == status, (headers, body[:40])
        assert code == ("" if status == 200 else document["error"]["data"]["code"])
        if status != 200:
            assert (document["jsonrpc"], document["id"]) == ("2.0", None)
            assert len(document["error"]["message"].split()) > 4  # the fact and the remedy
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    fault.tell(len(BODIES), code="bad_request")


REQUESTS: list[tuple[bytes, int]] = [
    (request({}, b"", "GET /nowhere HTTP/1.1"), 404),
    (request({}, b"", "GET / HTTP/1.1"), 405),
    (request(PLAIN, GOOD_BODY, "PUT / HTTP/1.1"), 405),
    (request(PLAIN, GOOD_BODY, "POST /health HTTP/1.1"), 405),
    (request({}, b"", "GET /blob/zz HTTP/1.1"), 400),
    (request({}, b"", "GET /ws HTTP/1.1"), 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"nonsense\r\n\r\n", 400),
    (b"POST / HTTP/9.9\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 1_000 + b"\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", 400),
    (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    ),
]


async def test_what_is_no_request_of_this_server(
    door: Door, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], fault: Played
) -> None:
    for raw, status in REQUESTS:
        found, document = await exchanged(door, raw)
        assert found == status, raw[:60]
        assert document["error"]["data"]["code"], raw[:60]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert "Traceback" not in capsys.readouterr().out
    fault.tell(len(REQUESTS))


async def test_a_body_that_is_announced_too_large_is_not_awaited(door: Door) -> None:
    head = request(PLAIN, b"").replace(b"Content-Length: 0", b"Content-Length: 100000000")
    reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
    writer.write(head)
    assert (await reader.readline()).split()[1] == b"413"
    writer.transport.abort()


async def test_a_client_that_asks_before_it_sends_the_body_is_told_to_go_on() -> None:
    async with opened(limits=RpcLimits(linger_s=0.05)) as door:
        await ask_first(door)


async def ask_first(door: Door) -> None:
    head = request(PLAIN | {"Expect": "100-continue"}, GOOD_BODY)[: -len(GOOD_BODY)]
    reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(GOOD_BODY)
    assert (await reader.read()).endswith(b'"result":"pong"}')
    writer.close()
    refused, _ = await exchanged(door, head.replace(b"/json", b"/xml"))
    assert refused == 415


async def test_a_client_that_goes_in_the_middle_of_its_body_is_no_bug(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    for encoding in ("Content-Length: 100", "Transfer-Encoding: chunked"):
        _, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
        writer.write(
            f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{encoding}".encode()
        )
        writer.write(b"\r\n\r\n4\r\n{}")
        await writer.drain()
        writer.transport.abort()
        assert (await door.post(document=PING))[0] == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_slow_body_is_refused_with_the_time_it_had() -> None:
    async with opened(limits=RpcLimits(body_s=0.05, linger_s=0.05)) as door:
        raw = request(PLAIN, GOOD_BODY)[:-1]
        reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
        writer.write(raw)
        assert (await reader.readline()).split()[1] == b"408"
        document = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        assert document["error"]["data"] | {"message": ""} == {
            "code": "request_timeout",
            "message": "",
            "expected": "0.05 s",
            "got": None,
        }
        writer.close()
