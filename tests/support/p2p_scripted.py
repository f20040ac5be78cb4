"""Peers that follow a script: one speaks the protocol by hand, the other writes raw WebSocket bytes."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self, TypeVar

from engram.p2p.errors import DisconnectReason, LinkClosed
from engram.p2p.handshake import Role, bound_digest, own_hello, shake_hands
from engram.p2p.link import Link
from engram.p2p.messages import (
    OLDEST_VERSION,
    Auth,
    BoundAuth,
    Disconnect,
    Hello,
    Message,
    MessagePhase,
    Ping,
    Pong,
    decode_frame,
    encode_frame,
)
from engram.p2p.transport import PATH, WebSocketTransport
from engram.primitives.keys import PrivateKey
from tests.support.p2p_chain import WAIT_S, LittleChain
from tests.support.p2p_nodes import Node, node_key, running

M = TypeVar("M")
SCRIPTED = 7
"""Number of the key that scripted peers use."""


class ScriptedPeer:
    """Sends what it is told and shows what it receives; answers nothing by itself.

    It speaks the oldest version of the protocol, in which blocks travel whole, if not told otherwise.
    """

    def __init__(self, link: Link, key: PrivateKey, version: int = OLDEST_VERSION) -> None:
        self.link = link
        self.key = key
        self.version = version

    def hello(self, **changes: Any) -> Hello:
        """What a right-minded peer of a `LittleChain` says first, with some fields changed."""
        chain = LittleChain()
        own = own_hello(chain.identity, chain.head, self.key.public_key, random.Random(1))
        return Hello(**{**own.__dict__, "version": self.version, **changes})

    async def open(self, role: Role = Role.DIALER) -> Self:
        """The handshake as it should be."""
        await shake_hands(self.link, role, self.hello(), self.key)
        self.link.open_up()
        return self

    async def send(self, *messages: Message) -> None:
        for message in messages:
            await self.link.send(encode_frame(message))

    async def send_raw(self, frame: bytes) -> None:
        await self.link.send(frame)

    async def expect(self, cls: type[M]) -> M:
        """The next message of this type, passing over others. Fails on `Disconnect` or closing."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self._receive()
                if isinstance(message, cls):
                    return message
                assert not isinstance(message, Disconnect), DisconnectReason(message.reason)

    async def expect_disconnect(self) -> DisconnectReason:
        """The reason that the node gives, after which it closes the link."""
        async with asyncio.timeout(WAIT_S):
            while not isinstance(message := await self._receive(), Disconnect):
                pass
        await self.expect_closing()
        return DisconnectReason(message.reason)

    async def expect_closing(self) -> None:
        """Returns once the node has closed the link, whatever it sends before."""
        with suppress(LinkClosed):
            async with asyncio.timeout(WAIT_S):
                while True:
                    await self.link.receive()

    async def barrier(self) -> None:
        """Returns once the node has read everything that was sent before."""
        await self.send(Ping(2**32 - 1))
        while (await self.expect(Pong)).request != 2**32 - 1:
            pass

    async def _receive(self) -> Message:
        frame = await self.link.receive()
        phase = MessagePhase.HANDSHAKE if frame[0] in (0, 1, 3) else MessagePhase.SESSION
        return decode_frame(frame, phase)


@asynccontextmanager
async def scripted(
    node: Node, number: int = SCRIPTED, version: int = OLDEST_VERSION
) -> AsyncIterator[ScriptedPeer]:
    """A scripted peer that has dialled the node and said nothing yet."""
    async with WebSocketTransport() as transport:
        link = await transport.dial(node.address)
        try:
            yield ScriptedPeer(link, node_key(number), version)
        finally:
            link.abort()


class RawSocket:
    """A TCP connection on which WebSocket frames are written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def upgrade(self, path: str = PATH, **headers: str) -> int:
        """Asks for a WebSocket and returns the HTTP status."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: node",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(WAIT_S):
            answer = await self.reader.readuntil(b"\r\n\r\n")
        return int(answer.split()[1])

    def write_frame(self, payload: bytes, *, first: int = 0x82, declared: int | None = None) -> None:
        """Writes one masked frame; `first` is the byte of FIN, RSV and opcode."""
        size = len(payload) if declared is None else declared
        length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
        if size < 126:
            length = bytes([0x80 | size])
        elif size < 2**16:
            length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
        mask = os.urandom(4)
        body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.writer.write(bytes([first]) + length + mask + body)

    async def closed(self) -> bytes:
        """Everything the node still says before it closes the connection, which this end helps it to do."""
        async with asyncio.timeout(WAIT_S):
            try:
                said = await self.reader.read(1)
                self.writer.write_eof()
                return said + await self.reader.read(-1)
            except ConnectionResetError:
                return b""


@asynccontextmanager
async def raw_socket(node: Node, source: str | None = None) -> AsyncIterator[RawSocket]:
    """A TCP connection to the node's port, from this address of this machine if one is given."""
    local = None if source is None else (source, 0)
    reader, writer = await asyncio.open_connection(node.address.host, node.address.port, local_addr=local)
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()


def signed(peer: ScriptedPeer, digest: bytes) -> Auth:
    """An `Auth` by the peer's key."""
    return Auth(peer.key.sign(digest))


def bound(
    peer: ScriptedPeer, own: Hello, remote: Hello, channel: bytes | None, role: Role = Role.DIALER
) -> BoundAuth:
    """A `BoundAuth` by the peer's key, for a peer that has dialled and a connection of this channel."""
    return BoundAuth(channel, peer.key.sign(bound_digest(role, own, remote, channel)))


@asynccontextmanager
async def besieged() -> AsyncIterator[Node]:
    """A node with an honest peer, which must not notice what is done to the node inside `async with`."""
    node, honest = Node(0), Node(1)
    async with running(node, honest):
        await honest.connect(node)
        yield node
        block = node.chain.mine(b"still alive")
        await honest.chain.wait_for(lambda: block.id in honest.chain.blocks)
        await honest.peer(node).ping()
        assert (honest.chain.partings, honest.policy.reports) == ([], [])
        assert node.policy.score(honest.key.public_key) == 0


async def parting(node: Node, peer: ScriptedPeer, reason: DisconnectReason, code: str) -> None:
    """The node gives this reason to the peer, and this code to its policy."""
    assert await peer.expect_disconnect() == reason
    await node.policy.wait_for(code)
