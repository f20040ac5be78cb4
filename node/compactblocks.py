"""Blocks in their compact form: made for peers, and put together from the mempool.

A block that is put together here is checked as strictly as one that came whole: header and work before
anything is asked for, then the root of its transactions. Decoding and hashing run in worker threads.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from engram.consensus.block import Block, BlockHeader
from engram.consensus.errors import BodyTooLarge, TimestampAhead, UnknownParent, WrongTransactionsRoot
from engram.node.chain.chain import Chain
from engram.node.chain.floor import is_worth_a_body
from engram.node.chain.headers import CheckedBlock, CheckedHeader, HeaderChain, check_block
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import InvalidAncestor, LittleWork
from engram.node.largebody import BodyPart, LargeBodies, block_bytes_of
from engram.node.mempool.mempool import Mempool
from engram.p2p.blockmessages import MAX_BLOCK_BYTES, carried_bytes
from engram.p2p.compact import PartialBody, match, short_ids
from engram.p2p.errors import WrongReply
from engram.p2p.messages import COMPACT_KEY_BYTES, MAX_PREFILLED_BYTES, CompactForm
from engram.p2p.relayed import PartsSource
from engram.primitives.codec import decode, encode
from engram.primitives.packing import pack, pack_plain, unpack
from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction

NEAR_BLOCKS: Final = 3
"""How many blocks at the head are served in compact form. So many of the largest fit into what gossip keeps,
so that nobody can make a node read and decode the same blocks again and again.
"""
LARGE_BYTES: Final = 64 * 1024
"""Smaller parts of blocks are sent plain."""
MAX_LARGE_BODIES: Final = 4
"""So many blocks that are larger than a message are fetched by their outlines at once, because peers have
announced them; further ones are left to the download of their headers.
"""


class HeldBlock:
    """Implements `p2p.relayed.ServedBlock`; make it where the ids of its transactions are known already."""

    def __init__(self, block: Block, threads: ReaderThreads) -> None:
        self.id = block.header.id
        self.header = encode(block.header)
        self.txids = tuple(tx.id for tx in block.transactions)
        self.sizes = tuple(tx.size_bytes for tx in block.transactions)
        self._block = block
        self._threads = threads
        self._key = secrets.token_bytes(COMPACT_KEY_BYTES)
        self._short_ids: bytes | None = None
        self._large_part: asyncio.Future[bytes] | None = None
        self._large_places: Sequence[int] = ()

    async def packed(self) -> bytes:
        return await self._threads.run(_packed_block, self._block)

    async def body(self, places: Sequence[int]) -> bytes:
        """The part at these places. Of the large ones, only the first that is asked for is deflated, and kept
        for all who lack the same; otherwise peers that keep asking would keep this node busy.
        """
        if sum(self.sizes[place] for place in places) < LARGE_BYTES:
            return await self._threads.run(_part, pack_plain, self._block, places)
        if self._large_part is None:
            self._large_places = places
            self._large_part = asyncio.ensure_future(self._threads.run(_part, pack, self._block, places))
        if places == self._large_places:
            return await asyncio.shield(self._large_part)
        return await self._threads.run(_part, pack_plain, self._block, places)

    async def short_ids(self) -> tuple[bytes, bytes]:
        if self._short_ids is None:
            self._short_ids = await self._threads.run(short_ids, self._key, self.txids)
        return self._key, self._short_ids


class BlockInParts:
    """Implements `p2p.relayed.PartialBlock`."""

    def __init__(
        self,
        header: CheckedHeader,
        plain: BlockHeader,
        body: PartialBody[Transaction],
        large: LargeBodies,
        threads: ReaderThreads,
    ) -> None:
        self._header = header
        self._plain = plain
        self._body = body
        self._large = large
        self._threads = threads

    @property
    def missing(self) -> Sequence[int]:
        return self._body.missing

    async def complete(self, packed: bytes | None) -> CheckedBlock | None:
        """See `p2p.relayed.PartialBlock`. Raises `CodecError`, `WrongReply`, `BodyTooLarge`."""
        return await self._threads.run(self._completed, packed)

    async def fetch_parts(self, peer: PartsSource, answer_s: float) -> CheckedBlock | None:
        """See `p2p.relayed.PartialBlock`. Raises `CodecError`, `WrongReply`, `BodyTooLarge`."""
        with self._large.of(self._header.id, may_begin=len(self._large) < MAX_LARGE_BODIES) as body:
            block = None if body is None else await body.fetch(peer, answer_s, self._body.known)
        return None if block is None else check_block(self._header, block)

    def was_false(self, block: CheckedBlock) -> bool:
        return not self._body.agrees_with([tx.id for tx in block.block.transactions])

    def _completed(self, packed: bytes | None) -> CheckedBlock | None:
        came = () if packed is None else decode(BodyPart, unpack(packed, MAX_BLOCK_BYTES)).transactions
        transactions = self._body.fill(came)
        most = carried_bytes(self._large.block_bytes)
        if (size := sum(tx.size_bytes for tx in transactions)) > most:
            raise BodyTooLarge("a larger block than peers can carry", expected=most, got=size)
        try:
            return check_block(self._header, Block(self._plain, transactions))
        except WrongTransactionsRoot:
            return None


class CompactBlocks:
    """What this node does with the compact forms of blocks. Methods run on the event loop."""

    def __init__(self, chain: Chain, mempool: Mempool, clock: Clock, threads: ReaderThreads) -> None:
        self._chain = chain
        self._mempool = mempool
        self._clock = clock
        self._threads = threads
        self._importing: dict[Hash, asyncio.Event] = {}
        self._large = LargeBodies(block_bytes_of(chain.spec), clock, threads)

    def served(self, block: CheckedBlock) -> HeldBlock:
        """See `p2p.protocol.ChainProtocol`."""
        return HeldBlock(block.block, self._threads)

    async def near(self, block_id: Hash) -> HeldBlock | None:
        """A valid block among the last `NEAR_BLOCKS` heights; None if it is another one, or damaged."""
        return await self._threads.run(self._read_near, block_id)

    @contextmanager
    def importing(self, block_id: Hash) -> Iterator[None]:
        """Inside `with`, the block is being executed: whoever has its child in hand waits for it."""
        done = self._importing[block_id] = asyncio.Event()
        try:
            yield
        finally:
            if self._importing.get(block_id) is done:
                del self._importing[block_id]
            done.set()

    async def open(self, block_id: Hash, form: CompactForm) -> BlockInParts | None:
        """See `ChainProtocol.open_compact`. Raises `CodecError`, `WrongReply`, leaves of `InvalidHeader`,
        `InvalidAncestor`; `LittleWork` for a block that is not worth a body.
        """
        header = await self._threads.run(_header_of, block_id, form)
        while (parent := self._importing.get(header.parent)) is not None:
            await parent.wait()
        try:
            checked = await self._threads.run(self.check_header, header)
        except (UnknownParent, TimestampAhead):
            return None
        if not is_worth_a_body(checked, header, head := self._chain.head):
            raise LittleWork(expected=head.total_work, got=checked.total_work)
        prefilled = await self._threads.run(_prefilled, form)
        found = await self._threads.run(match, form, self._mempool.ids())
        pooled = {short: tx for short, txid in found.items() if (tx := self._mempool.get(txid)) is not None}
        body = PartialBody(form, prefilled, pooled, lambda tx: tx.id)
        return BlockInParts(checked, header, body, self._large, self._threads)

    def check_header(self, header: BlockHeader) -> CheckedHeader:
        """Checks a header that peers announced, with its work. It is CPU work: call it in a worker thread.

        Raises leaves of `InvalidHeader`, `InvalidAncestor`; `UnknownParent`, `StatePruned`, `TimestampAhead`.
        """
        parent = self._chain.store.find_ref(header.parent)
        if parent is None:
            raise UnknownParent(expected=header.parent)
        if not parent.is_valid:
            raise InvalidAncestor(got=parent.id)
        self._chain.store.require_state(parent.height)
        return HeaderChain(self._chain.spec, self._chain.store, parent).extend(header, self._clock.now_ms())

    def _read_near(self, block_id: Hash) -> HeldBlock | None:
        store = self._chain.store
        ref = store.find_ref(block_id)
        if ref is None or not ref.is_valid or ref.height + NEAR_BLOCKS <= self._chain.head.height:
            return None
        block = store.new_block(ref)
        return HeldBlock(block, self._threads) if block is not None else None


def _header_of(block_id: Hash, form: CompactForm) -> BlockHeader:
    header = decode(BlockHeader, form.header)
    if header.id != block_id:
        raise WrongReply(
            "the peer sent another block than it was asked for", expected=block_id, got=header.id
        )
    return header


def _prefilled(form: CompactForm) -> tuple[Transaction, ...]:
    return decode(BodyPart, unpack(form.transactions, MAX_PREFILLED_BYTES)).transactions


def _packed_block(block: Block) -> bytes:
    return pack(encode(block))


def _part(packing: Callable[[bytes], bytes], block: Block, places: Sequence[int]) -> bytes:
    return packing(encode(BodyPart(tuple(block.transactions[place] for place in places))))
