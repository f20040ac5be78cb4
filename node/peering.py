"""What peers see of this node, and what becomes of what they send: p2p's `ChainProtocol` over the services.

Decoding, hashing and disk reads run in worker threads. Verdicts follow `ChainProtocol`: an `Invalid` raised
here means what no honest peer sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, chain_id
from engram.consensus.errors import TimestampAhead, UnknownParent
from engram.consensus.validation import check_transactions_root
from engram.node.chain.chain import Chain, HeadChanges
from engram.node.chain.floor import body_bytes, is_worth_a_body
from engram.node.chain.headers import CheckedBlock, check_block
from engram.node.chain.importer import ImportOutcome, ImportStatus
from engram.node.clock import Clock
from engram.node.compactblocks import BlockInParts, CompactBlocks, HeldBlock
from engram.node.concurrency import ReaderThreads
from engram.node.contents import Contents
from engram.node.errors import BlockRefused, DamagedBody, LittleWork, SpecUnsupported, StatePruned
from engram.node.largebody import block_bytes_of
from engram.node.mempool.deferred import Source
from engram.node.mempool.mempool import Mempool
from engram.node.mempool.pool import PooledTx
from engram.node.outlines import StoredOutlines
from engram.node.rpc.events import EventHub
from engram.node.rpc.render import Renderer
from engram.node.storage.lru import ByteLru
from engram.node.sync.headersync import headers_after
from engram.node.sync.mending import Mending
from engram.node.sync.sync import Sync
from engram.p2p.blockmessages import MAX_BLOCK_BYTES, MAX_COMPACT, BlockOutline, in_proportion
from engram.p2p.errors import (
    DisconnectReason,
    WrongReply,
)
from engram.p2p.inventory import KnownIds
from engram.p2p.manager import PeerManager
from engram.p2p.messages import MAX_TRANSACTION_BYTES, MIB, CompactForm
from engram.p2p.netgroup import group_of, is_loopback
from engram.p2p.protocol import HeadSummary, Held, Identity, Peer
from engram.primitives.codec import decode, encode
from engram.primitives.errors import ChainError, CodecError, NotReady
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.packing import PACKING_BYTES, pack, pack_plain, plain_size, unpack
from engram.primitives.types import Hash
from engram.primitives.version import VERSION
from engram.statemachine.transaction import Transaction, decode_transaction

AGENT: Final = f"engram/{VERSION}"
PACKED_BYTES: Final = 8 * MIB
TRIED_IDS: Final = 65_536
WASTED_BYTES: Final = 8 * MIB
"""After so many bytes of blocks that were not worth them, a peer's announcements lead to its headers only. It
is more, in proportion, on a chain whose blocks may be larger than a message.
"""
_WASTED_BLOCK_BYTES: Final = 64 * 1024
"""What each such block counts beside its bytes."""
_LOSING_IDS: Final = 4_096


class PackedTransactions:
    """Packs the transactions that peers ask for, and keeps those that became smaller for the next peer.

    None is deflated twice. Otherwise peers that keep asking for more than is kept would keep this node busy:
    what was deflated once and is forgotten is sent plain.
    """

    def __init__(self, threads: ReaderThreads, capacity_bytes: int = PACKED_BYTES) -> None:
        self._threads = threads
        self._kept: ByteLru[bytes] = ByteLru(capacity_bytes, len)
        self._tried = KnownIds(TRIED_IDS)

    async def of(self, txid: Hash, tx: Transaction) -> bytes:
        """The packed form of the transaction with this id."""
        kept = self._kept.get(txid)
        if kept is not None:
            return kept
        if txid in self._tried:
            return await self._threads.run(_plain_transaction, tx)
        self._tried.add(txid)
        packed = await self._threads.run(_packed_transaction, tx)
        if len(packed) < plain_size(packed):
            self._kept.put(txid, packed)
        return packed


OFFERED_BYTES: Final = 16 * MIB
"""Memory for transactions that the mempool took and that are served even after they have left it."""


class ChainAdapter:
    """Implements `p2p.protocol.ChainProtocol`."""

    def __init__(
        self,
        chain: Chain,
        mempool: Mempool,
        sync: Sync,
        mending: Mending,
        contents: Contents,
        hub: EventHub,
        clock: Clock,
        threads: ReaderThreads,
        render: Renderer,
        genesis: Hash,
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._sync = sync
        self._mending = mending
        self._contents = contents
        self._hub = hub
        self._threads = threads
        self._render = render
        self._packed = PackedTransactions(threads)
        # A peer asks for what was announced to it a moment later. By then a block may hold it, which the peer
        # has not got, or which loses: then nobody but this node would know the transaction.
        self._offered = ByteLru[PooledTx](OFFERED_BYTES, lambda entry: entry.memory_bytes)
        mempool.listen(lambda entry: self._offered.put(entry.txid, entry))
        self._losing = KnownIds(_LOSING_IDS)
        self._wasted: dict[Peer, int] = {}
        self._importing: dict[Hash, int] = {}
        self._compact = CompactBlocks(chain, mempool, clock, threads)
        self._outlines = StoredOutlines(chain.store, threads)
        self.identity = Identity(chain_id(chain.spec), genesis, AGENT, block_bytes_of(chain.spec))
        self._wasted_bytes = in_proportion(WASTED_BYTES, self.identity.block_bytes)

    @property
    def head(self) -> HeadSummary:
        head = self._chain.head
        return HeadSummary(head.height, head.id, head.total_work)

    async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
        return await self._threads.run(headers_after, self._chain.store, locator, limit)

    async def block_bytes(self, block_id: bytes) -> bytes | None:
        return await self._threads.run(self._block_bytes, block_id)

    async def stored_blocks(self, block_ids: Sequence[bytes], most_bytes: int) -> Sequence[bytes | None]:
        return await self._threads.run(self._stored_blocks, block_ids, most_bytes)

    async def stored_outline(self, block_id: bytes) -> BlockOutline | None:
        return await self._outlines.outline(block_id)

    async def stored_part(self, block_id: bytes, places: Sequence[int]) -> bytes | None:
        return await self._outlines.part(block_id, places)

    @property
    def holdings(self) -> Held:
        return self._contents.held()

    async def content_piece(self, name: bytes, piece: int) -> tuple[int, bytes] | None:
        return await self._contents.piece(name, piece)

    async def transaction_bytes(self, txid: bytes) -> bytes | None:
        tx = self._mempool.get(txid)
        if tx is None:
            offered = self._offered.get(txid)
            if offered is None:
                return None
            tx = offered.tx
        return await self._packed.of(txid, tx)

    async def wanted_blocks(self, peer: Peer, block_ids: Sequence[bytes]) -> Sequence[bytes]:
        fresh = [
            block_id
            for block_id in block_ids
            if block_id not in self._losing and not self._chain.parked(block_id)
        ]
        if any(self._chain.parked(block_id) == UnknownParent.code for block_id in block_ids):
            self._sync.is_ahead(peer)  # whoever brought the block may keep its parent back
        unknown = await self._threads.run(self._unknown_blocks, fresh)
        if unknown and (self._sync.is_running or self._wasted.get(peer, 0) > self._wasted_bytes):
            self._sync.is_ahead(peer)
            return ()
        return unknown

    def not_fetched(self, peer: Peer) -> None:
        self._sync.is_ahead(peer)

    async def wanted_transactions(self, txids: Sequence[bytes]) -> Sequence[bytes]:
        fresh = [
            txid for txid in txids if self._mempool.get(txid) is None and not self._mempool.refuses(txid)
        ]
        return await self._threads.run(self._unknown_transactions, fresh)

    def waiting_transactions(self) -> Sequence[bytes]:
        return self._mempool.ids()

    async def caught_up(self, peer: Peer) -> None:
        await self._sync.caught_up(peer)

    async def unpack_transactions(self, packed: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]]:
        return await self._threads.run(_unpacked_transactions, packed)

    async def check_block(self, peer: Peer, block_id: bytes, raw: bytes) -> CheckedBlock:
        try:
            checked = await self._threads.run(self._check_block, block_id, raw)
        except StatePruned:  # not imported: the writer would make many old states again for one old block
            self._sync.is_ahead(peer)
            raise
        except NotReady as error:
            block = await self._threads.run(_unchanged_block, raw)
            _check_answer(await self._chain.import_block(block, unasked=True))
            if isinstance(error, UnknownParent):
                self._sync.is_ahead(peer)
            elif isinstance(error, TimestampAhead) and not self._chain.parked(block_id):
                self._not_worth(peer, block_id, body_bytes(block))
            raise
        head = self._chain.head
        if is_worth_a_body(checked.header, checked.block.header, head):
            return checked
        self._not_worth(peer, checked.id, body_bytes(checked.block))
        raise LittleWork(expected=head.total_work, got=checked.header.total_work)

    def leads(self, block: CheckedBlock) -> bool:
        others = max(self._importing.values(), default=0)
        return block.header.total_work > max(self._chain.head.total_work, others)

    def served(self, block: CheckedBlock) -> HeldBlock:
        return self._compact.served(block)

    async def near_block(self, block_id: bytes) -> HeldBlock | None:
        return await self._compact.near(block_id)

    async def open_compact(self, peer: Peer, block_id: bytes, form: CompactForm) -> BlockInParts | None:
        try:
            return await self._compact.open(block_id, form)
        except LittleWork:
            self._not_worth(peer, block_id, 0)
            raise

    async def on_block(self, peer: Peer, block: CheckedBlock) -> None:
        if self.leads(block):
            self._wasted.pop(peer, None)
        self._importing[block.id] = block.header.total_work
        try:
            with self._compact.importing(block.id):
                answer = await self._chain.import_block(block, unasked=True)
        finally:
            del self._importing[block.id]
        if answer.outcome is ImportStatus.BEHIND:
            self._not_worth(peer, block.id, body_bytes(block.block))
        _check_answer(answer)

    def _not_worth(self, peer: Peer, block_id: Hash, size_bytes: int) -> None:
        """The peer has sent so many bytes for nothing. An honest one can do so too, but seldom."""
        self._losing.add(block_id)
        self._wasted[peer] = self._wasted.get(peer, 0) + _WASTED_BLOCK_BYTES + size_bytes

    async def on_transactions(self, peer: Peer, transactions: Sequence[bytes]) -> int:
        wrong: ChainError | None = None
        host = peer.info.address.host
        source = Source(peer.node_key if is_loopback(host) else group_of(host), peer.info.inbound)
        taken = 0
        for raw in transactions:
            try:
                tx = await self._threads.run(decode_transaction, raw)
            except CodecError as error:
                wrong = error
                continue
            outcome = await self._mempool.admit(tx, source=source)
            taken += outcome.accepted
            if outcome.punishable:
                wrong = outcome.error
        if wrong is not None:
            raise wrong
        return taken

    def on_peer_connected(self, peer: Peer) -> None:
        self._sync.joined(peer)
        self._mending.joined(peer)
        self._contents.joined(peer)
        self._hub.publish("peers", {"event": "connected", **self._render.peer(peer.info), "reason": None})

    def on_peer_disconnected(self, peer: Peer, reason: DisconnectReason) -> None:
        self._sync.left(peer)
        self._mending.left(peer)
        self._contents.left(peer)
        self._wasted.pop(peer, None)
        gone = {"event": "disconnected", **self._render.peer(peer.info), "reason": reason.name.lower()}
        self._hub.publish("peers", gone)

    def _block_bytes(self, block_id: Hash) -> bytes | None:
        store = self._chain.store
        ref = store.find_ref(block_id)
        if ref is None or not ref.is_valid:
            return None
        if ref.height == 0:
            return pack(encode(Block(ref.header, ())))
        try:  # a body that is kept deflated fits into a message, see `pack_body`
            if store.body_location(ref).size_bytes > MAX_BLOCK_BYTES + PACKING_BYTES:
                return None
            return store.packed_body(ref)
        except DamagedBody:
            return None

    def _stored_blocks(self, block_ids: Sequence[Hash], most_bytes: int) -> list[bytes | None]:
        found: list[bytes | None] = []
        left = most_bytes
        for block_id in block_ids:
            packed = self._block_bytes(block_id)
            left -= 0 if packed is None else plain_size(packed)
            if found and left < 0:
                break
            found.append(packed)
        return found

    def _unknown_blocks(self, block_ids: Sequence[Hash]) -> list[Hash]:
        return [block_id for block_id in block_ids if self._chain.store.find_ref(block_id) is None]

    def _unknown_transactions(self, txids: Sequence[Hash]) -> list[Hash]:
        return [txid for txid in txids if self._chain.store.find_transaction(txid) is None]

    def _check_block(self, block_id: Hash, raw: bytes) -> CheckedBlock:
        """Raises `CodecError`, `WrongReply`, leaves of `InvalidHeader`, `WrongTransactionsRoot`;
        `UnknownParent`, `StatePruned`, `TimestampAhead`.
        """
        block = _unpacked_block(raw)
        if block.header.id != block_id:
            raise WrongReply("another block than was asked for", expected=block_id, got=block.header.id)
        return check_block(self._compact.check_header(block.header), block)


def _unpacked_block(packed: bytes) -> Block:
    return decode(Block, unpack(packed, MAX_BLOCK_BYTES))


def _unchanged_block(packed: bytes) -> Block:
    """The block, with the transactions that its header names: another body under a good header must not wait
    in the place of the good one. Raises `CodecError`, `WrongTransactionsRoot`.
    """
    block = _unpacked_block(packed)
    check_transactions_root(block)
    return block


def _plain_transaction(tx: Transaction) -> bytes:
    return pack_plain(encode(tx))


def _packed_transaction(tx: Transaction) -> bytes:
    return pack(encode(tx))


def _unpacked_transactions(packed: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    plain = [unpack(each, MAX_TRANSACTION_BYTES) for each in packed]
    return [(tagged_hash(Tag.TRANSACTION_ID, raw), raw) for raw in plain]


def _check_answer(answer: ImportOutcome) -> None:
    if answer.outcome is ImportStatus.INVALID:
        raise BlockRefused(f"block {answer.block.hex()}: {answer.detail}", got=answer.code)


def check_carried(spec: ChainSpec) -> None:
    """Raises `SpecUnsupported` for a chain of whose blocks some fit neither into a message nor an outline."""
    if block_bytes_of(spec) > MAX_BLOCK_BYTES and spec.rules.max_block_transactions > MAX_COMPACT:
        raise SpecUnsupported(
            "rules.max_block_transactions: more than an outline holds, on a chain whose blocks may be larger "
            "than a message",
            expected=MAX_COMPACT,
            got=spec.rules.max_block_transactions,
        )


async def announce(changes: HeadChanges, mempool: Mempool, peers: PeerManager[CheckedBlock]) -> None:
    """Tells peers of every new head and of every transaction that the mempool takes, for ever.

    One that it has dropped and takes again is told again.
    """
    end = mempool.listen(lambda entry: peers.gossip.announce_transactions((entry.txid,)))
    end_drops = mempool.listen_drops(lambda txid, code: peers.gossip.forget_transaction(txid))
    try:
        async for change in changes:
            peers.gossip.announce_block(change.head.id)
    finally:
        end()
        end_drops()
