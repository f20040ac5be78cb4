"""Floods a node with RPC clients: `python -m tests.support.rpc_flood URL CLIENTS` prints how they fared.

It is a program of its own, so that whoever measures the node's answers meanwhile is not slowed down by it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any, Final

import aiohttp

from engram.node.rpc.bodies import MAX_BODY_BYTES
from engram.node.rpc.server import MAX_MESSAGE_BYTES

HUGE_BYTES: Final = 100 * 1024 * 1024
JSON: Final = {"Content-Type": "application/json"}
PORTION: Final = b" " * 65_536


def call(method: str, params: object = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


BODIES: Final[Mapping[str, tuple[bytes, Mapping[str, str]]]] = {
    "batch": (json.dumps([call("node_status")] * 100).encode(), JSON),
    "wide batch": (json.dumps([call("chain_headers", [0, 1000])] * 100).encode(), JSON),
    "deep": (b'{"a":' * (MAX_BODY_BYTES // 5), JSON),
    "many": (b"[" + b"[]," * (MAX_BODY_BYTES // 3 - 2) + b"1]", JSON),
    "bomb": (gzip.compress(PORTION * 1024), JSON | {"Content-Encoding": "gzip"}),
    "broken": (b"xxxx", JSON | {"Content-Encoding": "deflate"}),
    "large": (json.dumps(call("tx_submit", ["00" * (MAX_BODY_BYTES // 2 - 60)])).encode(), JSON),
}
OUTCOMES: Final[frozenset[str]] = frozenset({"200", "400", "408", "413", "503", "cut"})
"""What a client of a flood can meet: an answer, a refusal, or the end of its connection."""


async def posted(url: str, body: bytes, headers: Mapping[str, str]) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=BytesIO(body), headers=headers) as response,
    ):
        document = json.loads(await response.read())
        assert response.status == 200 or document["error"]["data"]["code"]
        return str(response.status)


async def raw(url: str, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode())
    return reader, writer


async def status_of(reader: asyncio.StreamReader) -> str:
    """The status of the answer that arrives."""
    with suppress(ConnectionError):
        if status := (await reader.readline()).split():
            return status[1].decode()
    return "cut"


async def huge(url: str) -> str:
    """A body of 100 MB without a length, until the node says no."""
    reader, writer = await raw(url, "POST /")
    writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
    answer = asyncio.create_task(status_of(reader))
    with suppress(ConnectionError):
        for _ in range(HUGE_BYTES // len(PORTION)):
            if answer.done():
                break
            writer.write(b"10000\r\n" + PORTION + b"\r\n")
            await writer.drain()
    status = await answer
    writer.transport.abort()
    return status


async def dripping(url: str, others: asyncio.Event) -> str:
    """A body that stops in its middle, until the node gives it up or the flood has passed."""
    reader, writer = await raw(url, "POST /")
    writer.write(b"Content-Length: 100000\r\n\r\n{")
    answer, passed = asyncio.create_task(status_of(reader)), asyncio.create_task(others.wait())
    await asyncio.wait((answer, passed), return_when=asyncio.FIRST_COMPLETED)
    passed.cancel()
    writer.transport.abort()
    return await answer


async def sockets(url: str) -> str:
    """Batches by WebSocket without reading the replies, then a message that is too large."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url + "ws") as socket:
        for _ in range(3):
            await socket.send_json([call("chain_block")] * 100)
        await socket.send_str(" " * (MAX_MESSAGE_BYTES + 1))
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    return "413"


KINDS: Final[tuple[Callable[[str], Awaitable[str]], ...]] = (
    *(lambda url, name=name: posted(url, *BODIES[name]) for name in BODIES),
    huge,
    sockets,
)
DRIPPING: Final = 10
"""One of so many clients sends a body that stops in its middle."""


async def flood(url: str, clients: int) -> Counter[str]:
    """How the clients fared; all begin at once."""
    others = asyncio.Event()

    async def one(client: Awaitable[str]) -> str:
        with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            return await client
        return "cut"

    slow = [asyncio.create_task(one(dripping(url, others))) for _ in range(clients // DRIPPING)]
    quick = [one(KINDS[number % len(KINDS)](url)) for number in range(clients - len(slow))]
    outcomes = await asyncio.gather(*quick)
    others.set()
    return Counter((*outcomes, *await asyncio.gather(*slow)))


def main() -> None:
    print(json.dumps(asyncio.run(flood(sys.argv[1], int(sys.argv[2])))))


if __name__ == "__main__":
    main()
