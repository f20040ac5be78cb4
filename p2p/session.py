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
from collections.abc import Callable, Coroutine, Sequence
from typing import Final, Protocol, TypeVar, assert_never

from engram.p2p.cancellation import in_own_task
from engram.p2p.clock import Deadline, MonotonicClock
from engram.p2p.errors import (
    DisconnectReason,
    PeerDisconnected,
    PeerTimeout,
    SessionEnded,
    SlowReader,
    TooManyRequests,
    UnexpectedMessage,
    WrongReply,
    reason_of,
)
from engram.p2p.eviction import SessionMerits
from engram.p2p.handshake import PeerIdentity
from engram.p2p.limits import MessageLimiter, SessionLimits, Throttle
from engram.p2p.link import Link
from engram.p2p.messages import (
    MAX_FETCH,
    MAX_LOCATOR,
    MAX_REPLY_BYTES,
    Announce,
    Auth,
    BlockData,
    BlockTransactions,
    BoundAuth,
    CompactBlock,
    CompactForm,
    DataRequest,
    Disconnect,
    GetBlock,
    GetBlockTransactions,
    GetCompact,
    GetHeaders,
    GetTransactions,
    Headers,
    Hello,
    Message,
    MessagePhase,
    Ping,
    Pong,
    Reply,
    Request,
    Transactions,
    decode_frame,
    encode_frame,
)
from engram.p2p.outbox import Outbox
from engram.p2p.protocol import HeadSummary, PeerInfo
from engram.p2p.requests import PendingRequests
from engram.primitives.errors import ChainError, CodecError, Invalid, NotReady
from engram.primitives.packing import plain_size

SHOWN_BLOCKS: Final = 16
"""More than a peer fetches at once, so that the best of them is among these."""

R = TypeVar("R", Pong, Headers, BlockData, Transactions, CompactBlock, BlockTransactions)


class SessionHandler(Protocol):
    """Handles what the peer asks for and announces."""

    async def answer(self, session: Session, request: DataRequest) -> Reply:
        """The answer to one request of this peer."""
        ...

    async def announced(self, session: Session, announce: Announce) -> None:
        """The peer has announced ids that it can supply."""
        ...


class Session:
    """An open session; implements `protocol.Peer`."""

    def __init__(
        self,
        link: Link,
        identity: PeerIdentity,
        told_head: bytes,
        *,
        inbound: bool,
        handler: SessionHandler,
        clock: MonotonicClock,
        limits: SessionLimits,
    ) -> None:
        self.identity = identity
        self.told_head = told_head
        """Id of the head that this node named in the handshake; it may have another one by now."""
        self.inbound = inbound
        self.closed = asyncio.Event()
        """Set by the manager once the session has ended completely."""
        self._link = link
        self._handler = handler
        self._clock = clock
        self._limits = limits
        self._outbox = Outbox(limits.outbox_bytes)
        self._pending = PendingRequests()
        self._slots = asyncio.Semaphore(limits.own_requests)
        self._inbox: asyncio.Queue[DataRequest] = asyncio.Queue(limits.peer_requests)
        self._pace = MessageLimiter(clock)
        self._throttle = Throttle(clock)
        self._end_asked = asyncio.Event()
        self._end_error: ChainError = SessionEnded(DisconnectReason.REQUESTED)
        self._opened_s = clock.monotonic()
        self._timeouts = 0
        self._block_s: float | None = None
        self._transaction_s: float | None = None
        self._shown_blocks: deque[bytes] = deque(maxlen=SHOWN_BLOCKS)
        self._round_trip_s: float | None = None
        self._shortest_trip_s: float | None = None
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
    def info(self) -> PeerInfo:
        return PeerInfo(
            node_key=self.node_key,
            address=self._link.remote,
            inbound=self.inbound,
            agent=self.identity.agent,
            version=self.identity.version,
            head=self.head,
            shown_blocks=tuple(self._shown_blocks),
            connected_s=self._clock.monotonic() - self._opened_s,
            round_trip_s=self._round_trip_s,
            sent_bytes=self._sent_bytes,
            received_bytes=self._received_bytes,
            queued_bytes=self._outbox.queued_bytes,
            encrypted=self._link.channel is not None,
        )

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
            self._shortest_trip_s,
            self._block_s,
            self._transaction_s,
        )

    def brought_block(self) -> None:
        """The peer has brought a wanted block whose work is done."""
        self._block_s = self._clock.monotonic()

    def brought_transactions(self) -> None:
        """The peer has brought wanted transactions, none of them wrong."""
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
            error = _gravest(failures)
        finally:
            self._pending.end(reason_of(error))
        return error

    async def _run_parts(self, follow: Callable[[Session], Coroutine[None, None, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for part in (self._read, self._write, self._serve, self._keep_alive, self._wait_for_end):
                group.create_task(part())
            group.create_task(follow(self))

    async def get_headers(
        self, locator: Sequence[bytes], limit: int, timeout_s: float | None = None
    ) -> tuple[bytes, ...]:
        request = GetHeaders(self._pending.new_id(), tuple(locator[:MAX_LOCATOR]), limit)
        headers = (await self._ask(request, Headers, timeout_s or self._limits.request_s)).headers
        if len(headers) > limit:
            raise self._blame(WrongReply("more headers than asked for", expected=limit, got=len(headers)))
        return headers

    async def get_block(self, block_id: bytes, timeout_s: float | None = None) -> bytes | None:
        request = GetBlock(self._pending.new_id(), block_id)
        return (await self._ask(request, BlockData, timeout_s or self._limits.block_s)).block

    async def get_compact(self, block_id: bytes, timeout_s: float) -> CompactForm | None:
        """The compact form of a block; None if the peer has it not at hand."""
        request = GetCompact(self._pending.new_id(), block_id)
        return (await self._ask(request, CompactBlock, timeout_s)).form

    async def get_block_transactions(
        self, block_id: bytes, places: Sequence[int], timeout_s: float
    ) -> bytes | None:
        """Packed transactions at these places of a block; None if the peer has it not at hand."""
        request = GetBlockTransactions(self._pending.new_id(), block_id, tuple(places))
        return (await self._ask(request, BlockTransactions, timeout_s)).transactions

    async def get_transactions(self, txids: Sequence[bytes]) -> tuple[bytes | None, ...]:
        request = GetTransactions(self._pending.new_id(), tuple(txids[:MAX_FETCH]))
        answers = (await self._ask(request, Transactions, self._limits.request_s)).transactions
        if len(answers) > len(request.txids):
            raise self._blame(
                WrongReply("more transactions than asked for", expected=len(txids), got=len(answers))
            )
        self._check_plain_bytes(answers)
        return answers

    def _check_plain_bytes(self, answers: Sequence[bytes | None]) -> None:
        """Ends the session and raises if the transactions are larger than an answer may be, once unpacked."""
        try:
            size_bytes = sum(plain_size(packed) for packed in answers if packed is not None)
        except CodecError as error:
            raise self._blame(error) from error
        if size_bytes > MAX_REPLY_BYTES:
            raise self._blame(
                WrongReply("larger transactions than fit", expected=MAX_REPLY_BYTES, got=size_bytes)
            )

    async def ping(self) -> float:
        started_s = self._clock.monotonic()
        await self._ask(Ping(self._pending.new_id()), Pong, self._limits.ping_s)
        self._round_trip_s = self._clock.monotonic() - started_s
        self._shortest_trip_s = min(self._round_trip_s, self._shortest_trip_s or self._round_trip_s)
        return self._round_trip_s

    async def announce(self, announce: Announce) -> None:
        """Tells the peer what it can ask for; waits if that would exceed the rate of announcements."""
        await self._pace.pace(Announce)
        self._send(announce)

    def disconnect(self, reason: DisconnectReason = DisconnectReason.REQUESTED) -> None:
        self._end(SessionEnded(reason))

    def misbehaved(self, error: ChainError) -> None:
        self._end(error)

    def _end(self, error: ChainError) -> None:
        if not self._end_asked.is_set():
            self._end_error = error
            self._end_asked.set()

    def _blame(self, error: ChainError) -> ChainError:
        self._end(error)
        return error

    async def _wait_for_end(self) -> None:
        await self._end_asked.wait()
        raise self._end_error

    async def _ask(self, request: Request, kind: type[R], timeout_s: float) -> R:
        async with self._slots:
            answer = self._pending.expect(request)
            try:
                async with Deadline(self._clock, timeout_s):
                    await self._pace.pace(type(request))
                    self._send(request)
                    reply = await answer
            except TimeoutError:
                raise self._unanswered(request, timeout_s) from None
            finally:
                self._pending.abandon(request)
        assert isinstance(reply, kind), "`settle` has refused an answer of any other type"
        if kind is not Pong:
            self._timeouts = 0
        return reply

    def _unanswered(self, request: Request, timeout_s: float) -> PeerTimeout:
        self._timeouts += not isinstance(request, Ping)
        error = PeerTimeout(f"no answer to {type(request).__name__} in {timeout_s:g} s")
        if self._timeouts >= self._limits.timeouts:
            self._end(error)
        return error

    def _send(self, message: Message) -> None:
        self._outbox.put(encode_frame(message))

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
            self._outbox.sent(frame)

    async def _read(self) -> None:
        while True:
            frame = await self._link.receive()
            self._received_frames += 1
            self._received_bytes += len(frame)
            message = decode_frame(frame, MessagePhase.SESSION)
            await self._throttle.admit(type(message))
            await self._dispatch(message)

    async def _dispatch(self, message: Message) -> None:
        match message:
            case Ping():
                self._send(Pong(message.request))
            case GetHeaders() | GetBlock() | GetTransactions() | GetCompact() | GetBlockTransactions():
                self._enqueue(message)
            case Pong() | Headers() | BlockData() | Transactions() | CompactBlock() | BlockTransactions():
                self._pending.settle(message)
            case Announce():
                self._shown_blocks.extend(message.blocks)
                await self._handler.announced(self, message)
            case Disconnect():
                raise PeerDisconnected(message.reason)
            case Hello() | Auth() | BoundAuth():
                raise UnexpectedMessage(got=type(message).__name__)
            case _:
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
                self._shown_blocks.append(request.block_id)
            self._send(reply)

    async def _keep_alive(self) -> None:
        while True:
            await self._clock.sleep(self._limits.ping_every_s)
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


def _gravest(failures: BaseExceptionGroup[ChainError]) -> ChainError:
    """The error that counts among several: an `Invalid` one if any, as the rest may follow from it."""
    leaves = list(_leafs(failures))
    return next((leaf for leaf in leaves if isinstance(leaf, Invalid)), leaves[0])


def _leafs(failures: BaseExceptionGroup[ChainError]) -> list[ChainError]:
    found: list[ChainError] = []
    for error in failures.exceptions:
        found += _leafs(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
