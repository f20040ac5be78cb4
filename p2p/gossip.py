"""How blocks and transactions spread: a node announces ids, and each peer fetches what it lacks, once.

An id has 32 bytes, so telling it to a peer that has the block already costs almost nothing. A block that
leads is announced to further peers as soon as its header, its work and its transactions root have been
checked, before it is executed: a block must spread faster than it is executed, and its work makes a false one
expensive. A transaction is announced when the node says so, which it does once its mempool has taken it.
Nothing here judges validity; that is asked of the chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Generic

from engram.p2p.addresses import AddressGossip
from engram.p2p.addressmessages import AnnounceAddresses, GetAddresses
from engram.p2p.blockfetch import BlockFetch, Fetched
from engram.p2p.blockmessages import in_proportion
from engram.p2p.clock import Deadline, MonotonicClock, Timer
from engram.p2p.errors import PeerTimeout, PeerUnavailable, WrongReply
from engram.p2p.inventory import KnownIds, RecentBlocks, WantList
from engram.p2p.limits import TokenBucket
from engram.p2p.messages import (
    MAX_ANNOUNCED_BLOCKS,
    MAX_ANNOUNCED_TRANSACTIONS,
    MIB,
    Announce,
    Announcement,
    DataRequest,
    Reply,
)
from engram.p2p.netgroup import group_of, is_loopback
from engram.p2p.protocol import ChainProtocol
from engram.p2p.relayed import B
from engram.p2p.serving import Serving
from engram.p2p.session import Session
from engram.primitives.errors import Invalid, NotReady


@dataclass(frozen=True)
class GossipLimits:
    """How much is remembered for each peer, and the pace of announcements."""

    known_blocks: int = 1_024
    known_transactions: int = 8_192
    wanted_blocks: int = 64
    """Ids that one peer has announced and that have not been fetched yet."""
    wanted_transactions: int = 4_096
    waiting_transactions: int = 4_096
    """Ids that wait to be announced to one peer; if there are more, the oldest are dropped."""
    fetch_transactions: int = 64
    """Transactions that one request asks for."""
    block_s: float = 10.0
    """Seconds until a request for an announced block is given up."""
    widen_block_s: float = 1.0
    """Each time that so many seconds pass without an answer, one more announcer is asked for the block."""
    widen_transactions_s: float = 2.0
    """The same for transactions."""
    announce_every_s: float = 0.1
    """Seconds for which ids of transactions are gathered into one message; blocks do not wait."""
    recent_bytes: int = 16 * MIB
    """Of the blocks that are kept to be relayed; more where blocks may be larger than a message."""
    announced_per_s: float = 500.0
    """Ids of transactions that one peer announces in a second, in the long run; more of them wait."""
    announced_burst: int = 8_192


class _Neighbour:
    """What gossip remembers of one session."""

    def __init__(self, limits: GossipLimits, owner: Hashable, clock: MonotonicClock) -> None:
        self.owner = owner
        self.heard = TokenBucket(limits.announced_per_s, limits.announced_burst, clock)
        self.told = TokenBucket(limits.announced_per_s, limits.announced_burst, clock)
        self.known_blocks = KnownIds(limits.known_blocks)
        self.known_transactions = KnownIds(limits.known_transactions)
        self.blocks: dict[bytes, None] = {}
        self.transactions: dict[bytes, None] = {}
        self.has_blocks = asyncio.Event()
        self.has_anything = asyncio.Event()

    def tell_block(self, block_id: bytes) -> None:
        """Queues a block's id unless the peer knows it."""
        if block_id in self.known_blocks:
            return
        self.known_blocks.add(block_id)
        self.blocks[block_id] = None
        if len(self.blocks) > MAX_ANNOUNCED_BLOCKS:  # a peer that learns of a later one fetches its ancestors
            del self.blocks[next(iter(self.blocks))]
        self.has_blocks.set()
        self.has_anything.set()

    def tell_transaction(self, txid: bytes, capacity: int) -> None:
        """Queues a transaction's id unless the peer knows it."""
        if txid in self.known_transactions:
            return
        self.known_transactions.add(txid)
        self.transactions[txid] = None
        if len(self.transactions) > capacity:
            del self.transactions[next(iter(self.transactions))]
        self.has_anything.set()

    def take(self, *, transactions_too: bool) -> Announce:
        """The next announcement; what does not fit stays queued."""
        blocks = tuple(islice(self.blocks, MAX_ANNOUNCED_BLOCKS))
        most = MAX_ANNOUNCED_TRANSACTIONS if transactions_too else 0
        transactions = tuple(islice(self.transactions, most))
        for block_id in blocks:
            del self.blocks[block_id]
        for txid in transactions:
            del self.transactions[txid]
        _set_if(self.has_blocks, bool(self.blocks))
        _set_if(self.has_anything, bool(self.blocks or self.transactions))
        return Announce(blocks, transactions)


def _owner_of(session: Session) -> Hashable:
    """Whose a session may be: one stranger can have many keys, and hosts of one network."""
    host = session.info.address.host
    return session if is_loopback(host) else group_of(host)


def _set_if(event: asyncio.Event, condition: bool) -> None:
    if condition:
        event.set()
    else:
        event.clear()


class Gossip(Generic[B]):
    """The relay between all sessions; implements `session.SessionHandler`."""

    def __init__(
        self,
        chain: ChainProtocol[B],
        clock: MonotonicClock,
        limits: GossipLimits,
        addresses: AddressGossip,
    ) -> None:
        self._chain = chain
        self._addresses = addresses
        self._clock = clock
        self._limits = limits
        self._neighbours: dict[Session, _Neighbour] = {}
        self._blocks: WantList[Session] = WantList(limits.wanted_blocks, self._rank, self._owner)
        self._transactions: WantList[Session] = WantList(limits.wanted_transactions, self._rank, self._owner)
        self._proven: set[Session] = set()
        """Sessions that have delivered what they announced, and have not been too slow since."""
        self._recent = RecentBlocks(in_proportion(limits.recent_bytes, chain.identity.block_bytes))
        self._importing: set[bytes] = set()
        self._serving = Serving(chain, self._recent)
        self._fetching = BlockFetch(chain, clock, limits.block_s)

    def announce_block(self, block_id: bytes) -> None:
        """Announces a block, which this node can serve, to every peer that does not know it."""
        for neighbour in self._neighbours.values():
            neighbour.tell_block(block_id)

    def announce_transactions(self, txids: Iterable[bytes]) -> None:
        """Announces transactions, which this node can serve, to every peer that does not know them."""
        for txid in txids:
            self._transactions.settle((txid,))
            for neighbour in self._neighbours.values():
                neighbour.tell_transaction(txid, self._limits.waiting_transactions)

    def forget_transaction(self, txid: bytes) -> None:
        """This node has dropped a transaction: if it takes it again, it tells everybody again."""
        for neighbour in self._neighbours.values():
            neighbour.known_transactions.forget(txid)

    async def answer(self, session: Session, request: DataRequest) -> Reply:
        if isinstance(request, GetAddresses):
            return self._addresses.answer(session, request)
        return await self._serving.answer(request, self._neighbours[session].known_transactions)

    async def announced(self, session: Session, announce: Announcement) -> None:
        if isinstance(announce, AnnounceAddresses):
            self._addresses.announced(session, announce)
            return
        neighbour = self._neighbours[session]
        for block_id in announce.blocks:
            neighbour.known_blocks.add(block_id)
        for txid in announce.transactions:
            neighbour.known_transactions.add(txid)
        if announce.blocks:
            for block_id in await self._chain.wanted_blocks(session, announce.blocks):
                if not self._is_here(block_id):
                    self._blocks.offer(session, block_id)
        if announce.transactions:
            # Looking up an id costs more than sending it. Nothing is read of the peer while this waits.
            if (wait_s := neighbour.heard.take(0)) > 0.0:
                await self._clock.sleep(wait_s)
            neighbour.heard.take(len(announce.transactions))
            for txid in await self._chain.wanted_transactions(announce.transactions):
                self._transactions.offer(session, txid)

    @contextmanager
    def joined(self, session: Session) -> Iterator[None]:
        """The session takes part in gossip inside `with`, which must be entered before the session runs.

        The peer is told which transactions wait in the mempool, and of the head if it has changed since the
        handshake.
        """
        self._neighbours[session] = neighbour = _Neighbour(self._limits, _owner_of(session), self._clock)
        if (head := self._chain.head.head) != session.told_head:
            neighbour.tell_block(head)
        for txid in self._chain.waiting_transactions()[: self._limits.waiting_transactions]:
            neighbour.tell_transaction(txid, self._limits.waiting_transactions)
        self._blocks.join(session)
        self._transactions.join(session)
        try:
            with self._addresses.joined(session):
                yield
        finally:
            self._blocks.leave(session)
            self._transactions.leave(session)
            self._proven.discard(session)
            del self._neighbours[session]

    async def follow(self, session: Session) -> None:
        """Announces to one peer and fetches from it, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._announce(session, self._neighbours[session]))
            group.create_task(self._fetch_blocks(session))
            group.create_task(self._fetch_transactions(session))
            group.create_task(self._addresses.follow(session))

    async def _announce(self, session: Session, neighbour: _Neighbour) -> None:
        while True:
            await neighbour.has_anything.wait()
            wait_s = max(neighbour.told.take(0), self._limits.announce_every_s)
            with suppress(TimeoutError):
                async with Deadline(self._clock, wait_s):
                    await neighbour.has_blocks.wait()
            announce = neighbour.take(transactions_too=neighbour.told.take(0) <= 0.0)
            neighbour.told.take(len(announce.transactions))
            if announce.blocks or announce.transactions:
                await session.announce(announce)

    async def _fetch_blocks(self, session: Session) -> None:
        while True:
            claimed = await self._blocks.claim(session, 1)
            try:
                await self._fetch_block(session, claimed[0])
            finally:
                self._blocks.give_up(session, claimed)

    async def _fetch_block(self, session: Session, block_id: bytes) -> None:
        """Fetches one announced block; if the peer delivers it, announces it further and imports it."""
        if self._is_here(block_id) or not await self._chain.wanted_blocks(session, (block_id,)):
            self._blocks.settle((block_id,))
            return
        fetched = None
        try:
            with suppress(PeerTimeout), self._widening(session, self._blocks, (block_id,)):
                fetched = await self._fetching.fetch(session, block_id)
        except PeerUnavailable:
            raise
        except NotReady:
            self._blocks.settle((block_id,))
            return
        if not self._blocks.wants(block_id):  # another announcer was quicker
            if fetched is not None and fetched.lie is not None:
                raise fetched.lie
            return
        if fetched is None:
            self._chain.not_fetched(session)
            return
        self._blocks.settle((block_id,))
        await self._take(session, fetched)

    async def _take(self, session: Session, fetched: Fetched[B]) -> None:
        """Passes a block on if it leads, and imports it; then raises what it proves against the peer."""
        block = fetched.block
        if self._chain.leads(block):
            self._proven.add(session)
            session.brought_block()
            self._recent.add(self._chain.served(block), fetched.packed)
            self.announce_block(block.id)
        await self._import(session, block)
        if fetched.lie is not None:
            raise fetched.lie

    def _rank(self, session: Session) -> int:
        """Who is asked first: who has delivered, then whom this node has dialled."""
        return session.inbound + (0 if session in self._proven else 2)

    def _owner(self, session: Session) -> Hashable:
        return self._neighbours[session].owner

    @contextmanager
    def _widening(self, session: Session, wants: WantList[Session], ids: Sequence[bytes]) -> Iterator[None]:
        """Inside `with`, the session is asked for these ids; as long as that takes, others are asked too."""
        every_s = self._limits.widen_block_s if wants is self._blocks else self._limits.widen_transactions_s
        timer: Timer

        def widen() -> None:
            nonlocal timer
            self._proven.discard(session)
            for id_ in ids:
                wants.widen(id_)
            timer = self._clock.call_later(every_s, widen)

        timer = self._clock.call_later(every_s, widen)
        try:
            yield
        finally:
            timer.cancel()

    def _is_here(self, block_id: bytes) -> bool:
        """Whether the block has come already, though the node may not hold it yet."""
        return block_id in self._recent or block_id in self._importing

    async def _import(self, session: Session, block: B) -> None:
        """Hands a block to the node. If it is invalid, the peer is not blamed: it had not executed it."""
        self._importing.add(block.id)
        try:
            await self._chain.on_block(session, block)
        except (Invalid, NotReady):
            self._recent.drop(block.id)
        finally:
            self._importing.discard(block.id)

    async def _fetch_transactions(self, session: Session) -> None:
        while True:
            await self._chain.caught_up(session)  # first: after the claim, no other peer would be asked
            claimed = await self._transactions.claim(session, self._limits.fetch_transactions)
            try:
                await self._fetch_batch(session, claimed)
            finally:
                self._transactions.give_up(session, claimed)

    async def _fetch_batch(self, session: Session, claimed: list[bytes]) -> None:
        """Fetches announced transactions and offers them to the mempool, which announces those it takes."""
        txids = await self._chain.wanted_transactions(claimed)
        self._transactions.settle(set(claimed).difference(txids))
        if not txids:
            return
        try:
            with self._widening(session, self._transactions, txids):
                answers = await session.get_transactions(txids)
        except PeerTimeout:
            return
        self._transactions.release(session, txids[len(answers) :])
        found = {txid: raw for txid, raw in zip(txids, answers, strict=False) if raw is not None}
        fetched = await self._chain.unpack_transactions(tuple(found.values()))
        for txid, (got, _) in zip(found, fetched, strict=True):
            if got != txid:
                raise WrongReply(
                    "the peer sent another transaction than it was asked for", expected=txid, got=got
                )
        if found:
            if await self._chain.on_transactions(session, tuple(raw for _, raw in fetched)):
                session.brought_transactions()
            self._transactions.settle(found)
