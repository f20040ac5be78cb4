"""One session with one peer after the handshake: frames in and out, requests and answers, keep-alive.

A session knows neither gossip nor the other peers. Whatever the peer does, at worst this session ends, and
`run` returns the reason.

Several tasks run side by side: one reads, one writes, one answers requests, one sends pings. They run in one
task group, so if one fails, the others are cancelled and nothing is left over. `limits` has the budgets that
a peer is held to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final, Protocol, assert_never

from engram.p2p.asking import Asking
from engram.p2p.blockmessages import Blocks, GetBlocks
from engram.p2p.cancellation import in_own_task
from engram.p2p.clock import Deadline, WallClock
from engram.p2p.errors import (
    DisconnectReason,
    PeerDisconnected,
    PeerTimeout,
    SessionEnded,
    SlowReader,
    TooManyRequests,
    UnexpectedMessage,
    gravest,
    reason_of,
)
from engram.p2p.eviction import SessionMerits
from engram.p2p.handshake import PeerIdentity
from engram.p2p.limits import SessionLimits, Throttle
from engram.p2p.link import Link
from engram.p2p.messages import (
    TIME_VERSION,
    Announce,
    Announcement,
    BlockData,
    CompactBlock,
    DataRequest,
    Disconnect,
    GetBlock,
    GetCompact,
    GetTime,
    HandshakeMessage,
    Message,
    MessagePhase,
    Ping,
    Pong,
    Reply,
    Time,
    decode_frame,
)
from engram.p2p.protocol import HeadSummary, PeerInfo, PeerOrigin
from engram.p2p.traffic import Traffic
from engram.primitives.errors import ChainError, Invalid, NotReady

SHOWN_BLOCKS: Final = 16
"""More than a peer fetches at once, so that the best of them is among these."""


class SessionHandler(Protocol):
    """Handles what the peer asks for and announces."""

    async def answer(self, session: Session, request: DataRequest) -> Reply:
        """The answer to one request of this peer."""
        ...

    async def announced(self, session: Session, announce: Announcement) -> None:
        """The peer has announced ids that it can supply, or addresses of nodes."""
        ...


class Session(Asking):
    """An open session; implements `protocol.Peer`."""

    def __init__(
        self,
        link: Link,
        identity: PeerIdentity,
        told_head: bytes,
        *,
        origin: PeerOrigin,
        handler: SessionHandler,
        clock: WallClock,
        limits: SessionLimits,
        traffic: Traffic,
    ) -> None:
        super().__init__(identity.version, clock, limits)
        self._traffic = traffic
        self.identity = identity
        self.told_head = told_head
        """Id of the head that this node named in the handshake; it may have another one by now."""
        self.origin = origin
        self.inbound = origin is PeerOrigin.INBOUND
        self.closed = asyncio.Event()
        """Set by the manager once the session has ended completely."""
        self._link = link
        self._handler = handler
        self._inbox: asyncio.Queue[DataRequest] = asyncio.Queue(limits.peer_requests)
        self._throttle = Throttle(clock)
        self._opened_s = clock.monotonic()
        self._block_s: float | None = None
        self._transaction_s: float | None = None
        self._shown_blocks: deque[bytes] = deque(maxlen=SHOWN_BLOCKS)
        self._shown_at_s = self._opened_s
        self._received_frames = 0
        self._received_bytes = 0
        self._sent_bytes = 0

    @property
    def node_key(self) -> bytes:
        return self.identity.node_key

    @property
    def head(self) -> HeadSummary:
        return self.identity.head

    @property
    def remote_host(self) -> str:
        """The IP address of the peer, as this node sees it."""
        return self._link.remote_host

    @property
    def info(self) -> PeerInfo:
        return PeerInfo(
            node_key=self.node_key,
            address=self._link.remote,
            host=self.remote_host,
            origin=self.origin,
            agent=self.identity.agent,
            version=self.identity.version,
            head=self.head,
            shown_blocks=tuple(self._shown_blocks),
            shown_s=self._clock.monotonic() - self._shown_at_s,
            connected_s=self._clock.monotonic() - self._opened_s,
            round_trip_s=self.round_trip_s,
            clock_ahead_s=self.clock_ahead_s,
            sent_bytes=self._sent_bytes,
            received_bytes=self._received_bytes,
            queued_bytes=self._outbox.queued_bytes,
            encrypted=self._link.channel is not None,
        )

    @property
    def clock_ahead_s(self) -> float | None:
        """Seconds by which the peer's clock is ahead of this machine's; None if it has not told the time."""
        if self.time is None:
            return None
        return self.time.ahead_s(self._clock.now_ms(), self._clock.monotonic())

    @property
    def ending(self) -> bool:
        """Whether the session has been asked to end."""
        return self._end_asked.is_set()

    @property
    def merits(self) -> SessionMerits:
        """What speaks for this session when a place is wanted for another one."""
        return SessionMerits(
            self.node_key,
            self._link.remote.host,
            self._opened_s,
            self.shortest_trip_s,
            self._block_s,
            self._transaction_s,
        )

    def brought_block(self) -> None:
        """The peer has brought a wanted block whose work is done."""
        self._block_s = self._clock.monotonic()

    def brought_transactions(self) -> None:
        """The peer has brought transactions that the mempool has taken, and none that is wrong."""
        self._transaction_s = self._clock.monotonic()

    async def run(self, follow: Callable[[Session], Coroutine[None, None, None]]) -> ChainError:
        """Runs the session, and `follow` beside it, until it ends; returns the error that ended it.

        Errors that are neither `Invalid` nor `NotReady` are not the peer's doing, and are raised.
        """
        error: ChainError = self._end_error
        self._link.open_up()
        try:
            await in_own_task(self._run_parts(follow))
        except* (Invalid, NotReady) as failures:
            error = gravest(failures)
        finally:
            self._pending.end(reason_of(error))
        return error

    async def _run_parts(self, follow: Callable[[Session], Coroutine[None, None, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for part in (self._read, self._write, self._serve, self._keep_alive, self._wait_for_end):
                group.create_task(part())
            group.create_task(follow(self))

    def disconnect(self, reason: DisconnectReason = DisconnectReason.REQUESTED) -> None:
        self._end(SessionEnded(reason))

    def misbehaved(self, error: ChainError) -> None:
        self._end(error)

    async def _wait_for_end(self) -> None:
        await self._end_asked.wait()
        raise self._end_error

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.get()
            try:
                async with Deadline(self._clock, self._limits.send_s):
                    await self._link.send(frame)
            except TimeoutError:
                raise SlowReader(
                    "the peer did not take a frame in time", expected=self._limits.send_s
                ) from None
            self._sent_bytes += len(frame)
            self._traffic.sent(frame)
            self._outbox.sent(frame)

    async def _read(self) -> None:
        while True:
            frame = await self._link.receive()
            self._received_frames += 1
            self._received_bytes += len(frame)
            self._traffic.received(frame)
            message = decode_frame(frame, MessagePhase.SESSION)
            await self._throttle.admit(type(message))
            await self._dispatch(message)

    async def _dispatch(self, message: Message) -> None:
        if isinstance(message, Ping):
            self._send(Pong(message.request))
        elif isinstance(message, GetTime):
            self._send(Time(message.request, max(0, self._clock.now_ms())))
        elif isinstance(message, DataRequest):
            self._enqueue(message)
        elif isinstance(message, Reply):
            self._pending.settle(message)
        elif isinstance(message, Announcement):
            if isinstance(message, Announce):
                self._has_shown(*message.blocks)
            await self._handler.announced(self, message)
        elif isinstance(message, Disconnect):
            raise PeerDisconnected(message.reason)
        elif isinstance(message, HandshakeMessage):
            raise UnexpectedMessage(got=type(message).__name__)
        else:
            assert_never(message)

    def _enqueue(self, request: DataRequest) -> None:
        try:
            self._inbox.put_nowait(request)
        except asyncio.QueueFull:
            raise TooManyRequests(expected=self._limits.peer_requests) from None

    async def _serve(self) -> None:
        while True:
            request = await self._inbox.get()
            await self._outbox.below(self._limits.reply_room_bytes)
            reply = await self._handler.answer(self, request)
            if isinstance(request, GetBlock | GetCompact) and _holds_block(reply):
                self._has_shown(request.block_id)
            elif isinstance(reply, Blocks) and isinstance(request, GetBlocks):
                given = zip(request.block_ids, reply.blocks, strict=False)
                self._has_shown(*(name for name, block in given if block is not None))
            self._send(reply)

    def _has_shown(self, *block_ids: bytes) -> None:
        """The peer has these blocks."""
        if block_ids:
            self._shown_blocks.extend(block_ids)
            self._shown_at_s = self._clock.monotonic()

    async def _keep_alive(self) -> None:
        if self.identity.version >= TIME_VERSION:
            await self._see_alive()  # its time is wanted at once
        while True:
            await self._clock.sleep(self._limits.ping_every_s)
            await self._see_alive()

    async def _see_alive(self) -> None:
        """Pings the peer. Raises `PeerTimeout` if nothing at all comes meanwhile."""
        heard = self._received_frames
        try:
            await self.ping()
        except PeerTimeout:
            if self._received_frames == heard:
                raise


def _holds_block(reply: Message) -> bool:
    """Whether an answer gives the block that was asked for."""
    match reply:
        case BlockData():
            return reply.block is not None
        case CompactBlock():
            return reply.form is not None
    return False
