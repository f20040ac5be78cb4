"""A client at the address of another program than a node: each answer is an error with a code."""

import asyncio
import base64
import copy
import hashlib
import json
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from engram.node.answers import read_answer
from engram.node.client import RpcClient
from engram.node.errors import CertificateUntrusted, NodeUnreachable, RemoteError
from engram.p2p.certificate import fresh_credentials
from engram.primitives.errors import ChainError

pytestmark = pytest.mark.fault(id=50)
KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@asynccontextmanager
async def stranger(status: str, body: bytes, headers: str = "") -> AsyncIterator[tuple[str, list[bytes]]]:
    """A program that gives this answer to all; its address, and what it was asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        if b"upgrade: websocket" in head.lower():
            key = next(
                line.split()[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key")
            )
            accept = base64.b64encode(
                hashlib.sha1(key + KEY.encode(), usedforsecurity=False).digest()
            ).decode()
            lines = ["HTTP/1.1 101 Switching", "Upgrade: websocket", "Connection: Upgrade"]
            writer.write("\r\n".join((*lines, f"Sec-WebSocket-Accept: {accept}", "", "")).encode())
            writer.write(bytes([0x81, len(body)]) + body)
        else:
            length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(f"HTTP/1.1 {status}\r\n{headers}{length}".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_a_certificate_that_is_not_trusted_is_no_node_that_is_missing() -> None:
    """The remedy is a file that vouches for it, not to start a node."""
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=fresh_credentials().context
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with RpcClient(f"https://127.0.0.1:{port}") as client:
            with pytest.raises(CertificateUntrusted, match="SSL_CERT_FILE") as caught:
                await client.call("chain_head")
    assert caught.value.code == "certificate_untrusted"


FOREIGN = (
    b"",
    b"welcome",
    b"{}",
    b"[]",
    b"7",
    b"null",
    b'{"jsonrpc":"2.0","id":1}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"data":{"message":"no"}}}',
    b'{"error":"no"}',
    b"\xff\xfe",
    b'{"result":' * 9 + b"x",
)


@pytest.mark.parametrize("body", FOREIGN)
async def test_what_is_no_answer_of_a_node(body: bytes) -> None:
    async with stranger("200 OK", body) as (url, _), RpcClient(url) as client:
        with pytest.raises(NodeUnreachable, match="another language"):
            await client.call("node_info")


@pytest.mark.parametrize("body", FOREIGN)
async def test_what_is_no_event_of_a_node(body: bytes) -> None:
    async with stranger("", body) as (url, _), RpcClient(url) as client:
        with pytest.raises(NodeUnreachable):
            async with client.subscribe("heads"):
                pass


async def test_a_status_without_a_reason_has_a_code() -> None:
    for body in (b"", b"<html>", b'{"error":{"data":[]}}', b"\xff", b"[" * 100_000):
        async with stranger("502 Bad", body) as (url, _), RpcClient(url) as client:
            with pytest.raises(RemoteError) as refusal:
                await client.call("node_info")
            assert refusal.value.code == "http_502"


async def test_the_token_follows_no_redirection() -> None:
    async with stranger("200 OK", json.dumps({"jsonrpc": "2.0", "id": 1, "result": 1}).encode()) as (
        other,
        asked,
    ):
        location = f"Location: {other}/\r\n"
        for status in ("301 Moved", "302 Found", "307 Again", "308 Moved"):
            async with stranger(status, b"", location) as (url, _), RpcClient(url, "secret") as client:
                with pytest.raises(ChainError) as refusal:
                    await client.call("node_info")
                assert refusal.value.code == f"http_{status.split()[0]}"
        assert asked == []


def test_an_answer_can_be_copied() -> None:
    """`dataclasses.asdict` makes objects of a class anew; `engram localnet status` uses it."""
    answer = read_answer('{"peers": 2, "head": {"height": 7}}', "http://127.0.0.1:1")
    for copied in (copy.copy(answer), copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert copied == {"peers": 2, "head": {"height": 7}}

    @dataclass
    class Holder:
        told: Any

    assert asdict(Holder(answer)) == {"told": {"peers": 2, "head": {"height": 7}}}
