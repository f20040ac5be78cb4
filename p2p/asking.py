"""What a session asks its peer: requests that wait for their answers, each with a time limit.

`Session` is built on it. A request that gets no answer in time is given up; after several in a row the
session ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from engram.p2p.addressmessages import Addresses, GetAddresses
from engram.p2p.blockmessages import (
    BLOCKS_VERSION,
    MAX_BLOCK_BYTES,
    MAX_BLOCKS,
    BlockOutline,
    Blocks,
    GetBlocks,
    GetOutline,
    Outline,
)
from engram.p2p.clock import Deadline, WallClock
from engram.p2p.contentmessages import Content, ContentPart, GetContent, GetHoldings, Holdings
from engram.p2p.errors import DisconnectReason, PeerTimeout, SessionEnded, WrongReply
from engram.p2p.limits import MessageLimiter, SessionLimits
from engram.p2p.messages import (
    MAX_FETCH,
    MAX_LOCATOR,
    MAX_REPLY_BYTES,
    TIME_VERSION,
    Announcement,
    BlockData,
    BlockTransactions,
    CompactBlock,
    CompactForm,
    GetBlock,
    GetBlockTransactions,
    GetCompact,
    GetHeaders,
    GetTime,
    GetTransactions,
    Headers,
    Message,
    Ping,
    Pong,
    Request,
    Time,
    Transactions,
    encode_frame,
)
from engram.p2p.outbox import Outbox
from engram.p2p.peertime import PeerTime
from engram.p2p.requests import PendingRequests
from engram.primitives.errors import ChainError, CodecError
from engram.primitives.packing import plain_size

R = TypeVar(
    "R",
    Pong,
    Time,
    Headers,
    BlockData,
    Blocks,
    Outline,
    Transactions,
    CompactBlock,
    BlockTransactions,
    Addresses,
    Content,
    Holdings,
)


class Asking:
    """The asking half of a session."""

    def __init__(self, version: int, clock: WallClock, limits: SessionLimits) -> None:
        """`version` is that of the session."""
        self.round_trip_s: float | None = None
        """Seconds that the last ping took; None before the first answer."""
        self.shortest_trip_s: float | None = None
        self.time: PeerTime | None = None
        """What the peer's clock showed; None if it has not said so."""
        self._version = version
        self._clock = clock
        self._limits = limits
        self._outbox = Outbox(limits.outbox_bytes)
        self._pending = PendingRequests()
        self._slots = asyncio.Semaphore(limits.own_requests)
        self._pace = MessageLimiter(clock)
        self._end_asked = asyncio.Event()
        self._end_error: ChainError = SessionEnded(DisconnectReason.REQUESTED)
        self._timeouts = 0

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

    async def get_blocks(self, block_ids: Sequence[bytes], timeout_s: float) -> tuple[bytes | None, ...]:
        if self._version < BLOCKS_VERSION or len(block_ids) == 1:
            return (await self.get_block(block_ids[0], timeout_s),)
        request = GetBlocks(self._pending.new_id(), tuple(block_ids[:MAX_BLOCKS]))
        answers = (await self._ask(request, Blocks, timeout_s)).blocks
        if len(answers) > len(request.block_ids):
            raise self._blame(
                WrongReply("more blocks than asked for", expected=len(request.block_ids), got=len(answers))
            )
        self._check_plain_bytes(answers, MAX_BLOCK_BYTES)
        return answers

    async def get_compact(self, block_id: bytes, timeout_s: float) -> CompactForm | None:
        """The compact form of a block; None if the peer has it not at hand."""
        request = GetCompact(self._pending.new_id(), block_id)
        return (await self._ask(request, CompactBlock, timeout_s)).form

    async def get_block_transactions(
        self, block_id: bytes, places: Sequence[int], timeout_s: float
    ) -> bytes | None:
        request = GetBlockTransactions(self._pending.new_id(), block_id, tuple(places))
        return (await self._ask(request, BlockTransactions, timeout_s)).transactions

    async def get_outline(self, block_id: bytes, timeout_s: float) -> BlockOutline | None:
        request = GetOutline(self._pending.new_id(), block_id)
        return (await self._ask(request, Outline, timeout_s)).outline

    async def get_transactions(self, txids: Sequence[bytes]) -> tuple[bytes | None, ...]:
        request = GetTransactions(self._pending.new_id(), tuple(txids[:MAX_FETCH]))
        answers = (await self._ask(request, Transactions, self._limits.request_s)).transactions
        if len(answers) > len(request.txids):
            raise self._blame(
                WrongReply("more transactions than asked for", expected=len(txids), got=len(answers))
            )
        self._check_plain_bytes(answers, MAX_REPLY_BYTES)
        return answers

    async def get_content(self, name: bytes, piece: int, timeout_s: float) -> ContentPart | None:
        request = GetContent(self._pending.new_id(), name, piece)
        return (await self._ask(request, Content, timeout_s)).part

    async def get_holdings(self, timeout_s: float) -> Holdings:
        return await self._ask(GetHoldings(self._pending.new_id()), Holdings, timeout_s)

    def _check_plain_bytes(self, answers: Sequence[bytes | None], most: int) -> None:
        """Ends the session and raises if the items are larger than an answer may be, once unpacked."""
        try:
            size_bytes = sum(plain_size(packed) for packed in answers if packed is not None)
        except CodecError as error:
            raise self._blame(error) from error
        if size_bytes > most:
            raise self._blame(WrongReply("a larger answer than allowed", expected=most, got=size_bytes))

    async def ping(self) -> float:
        """Seconds until the peer answered; a peer that can tell the time is asked for it."""
        started_s = self._clock.monotonic()
        if self._version < TIME_VERSION:
            await self._ask(Ping(self._pending.new_id()), Pong, self._limits.ping_s)
        else:
            answer = await self._ask(GetTime(self._pending.new_id()), Time, self._limits.ping_s)
            self.time = PeerTime.told(answer.now_ms, started_s, self._clock.monotonic())
        self.round_trip_s = self._clock.monotonic() - started_s
        self.shortest_trip_s = min(self.round_trip_s, self.shortest_trip_s or self.round_trip_s)
        return self.round_trip_s

    async def get_addresses(self) -> Addresses:
        """The peer's answer, of which nothing but its form has been checked."""
        return await self._ask(GetAddresses(self._pending.new_id()), Addresses, self._limits.request_s)

    async def announce(self, announce: Announcement) -> None:
        """Tells the peer something unasked; waits if that would exceed the rate of announcements."""
        await self._pace.pace(type(announce))
        self._send(announce)

    def _end(self, error: ChainError) -> None:
        if not self._end_asked.is_set():
            self._end_error = error
            self._end_asked.set()

    def _blame(self, error: ChainError) -> ChainError:
        self._end(error)
        return error

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
        if kind not in (Pong, Time):
            self._timeouts = 0
        return reply

    def _unanswered(self, request: Request, timeout_s: float) -> PeerTimeout:
        self._timeouts += not isinstance(request, Ping | GetTime)
        error = PeerTimeout(f"no answer to {type(request).__name__} in {timeout_s:g} s")
        if self._timeouts >= self._limits.timeouts:
            self._end(error)
        return error

    def _send(self, message: Message) -> None:
        self._outbox.put(encode_frame(message))
