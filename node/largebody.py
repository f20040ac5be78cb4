"""Blocks that are larger than a message, put together from transactions of several peers.

A peer is asked for the block's outline: its header, and the ids and sizes of its transactions. The ids must
make the root that the header names, and the header must be the one that was asked for, whose work has been
checked before. So nothing but the true transactions of a block with work is ever kept, whoever sends them;
one that is false proves the lie of whoever sent it. Sizes are believed of nobody but the peer that told them,
and only to divide what that peer is asked for into answers of a megabyte.

Each peer that helps is asked for other transactions. Those that one was asked for and that have not come for
`STALE_S` seconds are asked of another, so one that keeps them back stops nobody. A peer has as many seconds
as for an answer, and as many again for each `MAX_BLOCK_BYTES` that have come of the block, from whomever.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from engram.consensus.block import MAX_TRANSACTIONS, Block, BlockHeader, transactions_root
from engram.consensus.chainspec import ChainSpec
from engram.consensus.errors import BodyTooLarge, WrongTransactionsRoot
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.p2p.blockmessages import (
    LIST_BYTES,
    MAX_BLOCK_BYTES,
    TXID_BYTES,
    BlockOutline,
    carried_bytes,
    most_block_bytes,
)
from engram.p2p.errors import PeerTimeout, WrongReply
from engram.p2p.relayed import PartsSource
from engram.primitives.codec import decode
from engram.primitives.packing import unpack
from engram.primitives.types import Hash, Size
from engram.statemachine.transaction import Transaction

RUN_BYTES: Final = 1 << 20
"""Plain bytes of transactions that one request asks for; a single one may have more."""
STALE_S: Final = 2.0
"""What a peer was asked for so many seconds ago and has not sent is asked of another one, too."""
_LEAST_WAIT_S: Final = 0.001


def block_bytes_of(spec: ChainSpec) -> int:
    """The most plain bytes of a block of a chain."""
    return most_block_bytes(spec.rules.max_body_bytes)


@dataclass(frozen=True)
class BodyPart:
    """Some transactions of a block, in its order."""

    transactions: Annotated[tuple[Transaction, ...], Size(0, MAX_TRANSACTIONS)]


@dataclass(frozen=True)
class CheckedOutline:
    """An outline whose ids are those to which the header commits."""

    header: BlockHeader
    txids: tuple[Hash, ...]
    sizes: tuple[int, ...]
    """What the peer has said; each is compared with the transaction once that is there."""


class LargeBody:
    """The transactions of one block as they come. Methods run on the event loop."""

    def __init__(
        self,
        block_id: Hash,
        block_bytes: int,
        clock: Clock,
        threads: ReaderThreads,
        came: Callable[[], None] = lambda: None,
    ) -> None:
        """`block_bytes` is the most that a block of the chain has. `came` is called for each part."""
        self._id = block_id
        self._block_bytes = block_bytes
        self._clock = clock
        self._threads = threads
        self._found: dict[int, Transaction] = {}
        self._asked: dict[int, float] = {}
        """When each transaction was asked for last."""
        self._came = came
        self._came_bytes = 0
        self._changed = asyncio.Event()

    async def fetch(
        self, peer: PartsSource, answer_s: float, known: Iterable[Transaction] = ()
    ) -> Block | None:
        """Asks a peer for what is missing until the block is whole; None if the peer lacks something of it.

        `known` are transactions that are probably in it. Raises `CodecError`, `WrongReply`, `BodyTooLarge`
        and `WrongTransactionsRoot` for what no honest peer sends, and as the peer's requests do.
        """
        began_s = self._clock.monotonic()
        raw = await peer.get_outline(self._id, answer_s)
        if raw is None:
            return None
        outline = await self._threads.run(self._checked_outline, raw)
        self._take_known(outline, known)
        while len(self._found) < len(outline.txids):
            left_s = self._left_s(began_s, answer_s)
            if not (places := self._claim(outline.sizes)):
                await self._wait(left_s)
                continue
            asked_s = self._clock.monotonic()
            try:
                packed = await peer.get_block_transactions(self._id, places, min(left_s, answer_s))
                if packed is None:
                    return None
                self._take(places, await self._threads.run(_checked_part, packed, places, outline))
            finally:
                self._release(places, asked_s)
        block = Block(outline.header, tuple(self._found[place] for place in range(len(outline.txids))))
        self._check_size(
            tx.size_bytes for tx in block.transactions
        )  # not all sizes that were told are proved
        return block

    def _checked_outline(self, raw: BlockOutline) -> CheckedOutline:
        """It hashes thousands of ids: call it in a worker thread."""
        header = decode(BlockHeader, raw.header)
        if header.id != self._id:
            raise WrongReply("the outline of another block", expected=self._id, got=header.id)
        if len(raw.txids) != TXID_BYTES * len(raw.sizes):
            raise WrongReply(
                "an outline has not one size for each id",
                expected=TXID_BYTES * len(raw.sizes),
                got=len(raw.txids),
            )
        starts = range(0, len(raw.txids), TXID_BYTES)
        txids = tuple(raw.txids[start : start + TXID_BYTES] for start in starts)
        if (root := transactions_root(txids)) != header.transactions_root:
            raise WrongTransactionsRoot(expected=header.transactions_root, got=root)
        self._check_size(raw.sizes)
        return CheckedOutline(header, txids, raw.sizes)

    def _check_size(self, sizes: Iterable[int]) -> None:
        most = carried_bytes(self._block_bytes)
        if (size := sum(sizes)) > most:
            raise BodyTooLarge("a larger block than peers can carry", expected=most, got=size)

    def _take_known(self, outline: CheckedOutline, known: Iterable[Transaction]) -> None:
        if by_id := {tx.id: tx for tx in known}:
            for place, txid in enumerate(outline.txids):
                if txid in by_id:
                    self._found.setdefault(place, by_id[txid])
            self._notify()

    def _take(self, places: Sequence[int], transactions: Iterable[Transaction]) -> None:
        for place, tx in zip(places, transactions, strict=True):
            if place not in self._found:
                self._found[place] = tx
                self._came_bytes += tx.size_bytes
        self._came()
        self._notify()

    def _claim(self, sizes: Sequence[int]) -> list[int]:
        """Places of missing transactions that nobody is asked for, `RUN_BYTES` of them; they are asked for
        from now on.
        """
        now_s = self._clock.monotonic()
        chosen: list[int] = []
        left = RUN_BYTES
        for place, size in enumerate(sizes):
            if place in self._found or self._asked.get(place, -math.inf) > now_s - STALE_S:
                continue
            if chosen and size > left:
                break
            chosen.append(place)
            left -= size
        self._asked.update((place, now_s) for place in chosen)
        return chosen

    def _release(self, places: Sequence[int], asked_s: float) -> None:
        """A peer is asked for these no more; what has not come may be asked of another one at once."""
        for place in places:
            if self._asked.get(place) == asked_s:
                del self._asked[place]
        self._notify()

    def _left_s(self, began_s: float, answer_s: float) -> float:
        """Seconds that a peer has left. Raises `PeerTimeout` if it has none."""
        allowed_s = answer_s * (1.0 + self._came_bytes / MAX_BLOCK_BYTES)
        left_s = allowed_s - (self._clock.monotonic() - began_s)
        if left_s <= 0.0:
            raise PeerTimeout("the block did not come in time")
        return left_s

    async def _wait(self, left_s: float) -> None:
        """Waits until something has come, or may be asked of one peer more, or the time is over."""
        missing = [asked_s for place, asked_s in self._asked.items() if place not in self._found]
        stale_s = min(missing) + STALE_S - self._clock.monotonic() if missing else left_s
        timer = self._clock.call_later(max(_LEAST_WAIT_S, min(stale_s, left_s)), self._notify)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _checked_part(packed: bytes, places: Sequence[int], outline: CheckedOutline) -> tuple[Transaction, ...]:
    """The transactions at these places. It is CPU work: call it in a worker thread.

    No more is inflated than the peer has said that they have. Raises `CodecError`, `WrongReply`.
    """
    most = sum(outline.sizes[place] for place in places) + LIST_BYTES
    transactions = decode(BodyPart, unpack(packed, most)).transactions
    if len(transactions) != len(places):
        raise WrongReply(
            "another number of transactions than was asked for", expected=len(places), got=len(transactions)
        )
    for place, tx in zip(places, transactions, strict=True):
        if tx.id != outline.txids[place]:
            raise WrongReply("another transaction", expected=outline.txids[place], got=tx.id)
        if tx.size_bytes != outline.sizes[place]:
            raise WrongReply(
                "a transaction has another size than its outline says",
                expected=outline.sizes[place],
                got=tx.size_bytes,
            )
    return transactions


class LargeBodies:
    """The large blocks that are under way; each is put together once, whoever helps."""

    def __init__(
        self,
        block_bytes: int,
        clock: Clock,
        threads: ReaderThreads,
        came: Callable[[], None] = lambda: None,
    ) -> None:
        """As those of `LargeBody`."""
        self.block_bytes = block_bytes
        self._new = partial(LargeBody, block_bytes=block_bytes, clock=clock, threads=threads, came=came)
        self._bodies: dict[Hash, LargeBody] = {}
        self._helpers: Counter[Hash] = Counter()

    def __len__(self) -> int:
        return len(self._bodies)

    @contextmanager
    def of(self, block_id: Hash, *, may_begin: bool) -> Iterator[LargeBody | None]:
        """What has come of a block, which is kept while somebody is inside `with`; None if nobody is, and it
        may not be begun now.
        """
        if block_id not in self._bodies:
            if not may_begin:
                yield None
                return
            self._bodies[block_id] = self._new(block_id)
        self._helpers[block_id] += 1
        try:
            yield self._bodies[block_id]
        finally:
            self._helpers[block_id] -= 1
            if not self._helpers[block_id]:
                del self._helpers[block_id], self._bodies[block_id]
