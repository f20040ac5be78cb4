"""The memory transport of one host, with a record of every message that it sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from engram.p2p.blockmessages import GetBlocks
from engram.p2p.link import Link, Listener, PeerAddress
from engram.p2p.memory import MemoryNetwork, MemoryTransport
from engram.p2p.messages import GetBlock, GetCompact, GetTransactions, Message, MessagePhase, decode_frame
from engram.primitives.types import Hash


class Said(NamedTuple):
    """One frame on its way."""

    source: str
    target: str
    message: Message

    @property
    def wanted(self) -> Sequence[Hash]:
        """Ids of the blocks or transactions that it asks for."""
        match self.message:
            case GetBlock() | GetCompact():
                return (self.message.block_id,)
            case GetBlocks():
                return self.message.block_ids
            case GetTransactions():
                return self.message.txids
            case _:
                return ()


class _RecordedLink:
    """A link that notes what its own side sends."""

    def __init__(self, link: Link, source: str, said: list[Said]) -> None:
        self._link = link
        self._source = source
        self._said = said

    @property
    def remote(self) -> PeerAddress:
        return self._link.remote

    @property
    def channel(self) -> bytes | None:
        return self._link.channel

    async def send(self, frame: bytes) -> None:
        phase = MessagePhase.HANDSHAKE if frame[0] in (0, 1, 3) else MessagePhase.SESSION
        self._said.append(Said(self._source, self._link.remote.host, decode_frame(frame, phase)))
        await self._link.send(frame)

    async def receive(self) -> bytes:
        return await self._link.receive()

    def open_up(self) -> None:
        self._link.open_up()

    async def close(self) -> None:
        await self._link.close()

    def abort(self) -> None:
        self._link.abort()

    @property
    def remote_host(self) -> str:
        return self._link.remote_host


class RecordedTransport(MemoryTransport):
    """The transport of one host, every link of it recorded."""

    def __init__(self, network: MemoryNetwork, host: str, said: list[Said]) -> None:
        super().__init__(network, host)
        self._source = host
        self._said = said

    @asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncIterator[Listener]:
        async with super().listen(host, port) as listener:
            yield _RecordedListener(listener, self._source, self._said)

    async def dial(self, address: PeerAddress) -> Link:
        return _RecordedLink(await super().dial(address), self._source, self._said)


@dataclass(frozen=True)
class _RecordedListener:
    listener: Listener
    source: str
    said: list[Said]

    @property
    def port(self) -> int:
        return self.listener.port

    async def links(self) -> AsyncIterator[Link]:
        async for link in self.listener.links():
            yield _RecordedLink(link, self.source, self.said)
