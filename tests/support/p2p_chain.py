"""A chain small enough to read, behind `ChainProtocol`: what p2p's tests talk to instead of a node.

A block is its parent's id, its height, a text and transactions; the text decides what is wrong with it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any

from engram.p2p.blockmessages import MAX_BLOCK_BYTES, MAX_HEADER_BYTES, BlockOutline
from engram.p2p.compact import PartialBody, match, short_ids
from engram.p2p.contentmessages import PIECE_BYTES
from engram.p2p.errors import DisconnectReason, WrongReply
from engram.p2p.gossip import Gossip
from engram.p2p.messages import (
    COMPACT_KEY_BYTES,
    MAX_PREFILLED_BYTES,
    MAX_TRANSACTION_BYTES,
    CompactForm,
)
from engram.p2p.protocol import HeadSummary, Held, Identity, Peer
from engram.p2p.relayed import PartsSource, ServedBlock
from engram.primitives.codec import decode, encode
from engram.primitives.errors import BadSignature, InvalidExecution, InvalidHeader, NotReady
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.merkle import list_root
from engram.primitives.packing import pack, plain_size, unpack
from engram.primitives.types import U64, Blob, Hash, Size

WAIT_S = 300.0
"""No test depends on it: it turns a hang into a failure."""


@dataclass(frozen=True)
class LinkHeader:
    """The part of a block of the little chain that its id is made of."""

    parent: Hash
    height: U64
    text: Blob
    root: Hash
    """Commits to the transactions."""


@dataclass(frozen=True)
class LinkBody:
    """Some transactions of a block, in its order."""

    transactions: Annotated[tuple[Blob, ...], Size(0, 2**16)]


@dataclass(frozen=True)
class Link:
    """A block of the little chain."""

    parent: Hash
    height: U64
    text: Blob
    transactions: Annotated[tuple[Blob, ...], Size(0, 2**16)] = ()

    @property
    def raw(self) -> bytes:
        return encode(self)

    @cached_property
    def packed_bytes(self) -> bytes:
        """As it travels."""
        return pack(self.raw)

    @cached_property
    def header(self) -> bytes:
        root = list_root(self.txids)
        return encode(LinkHeader(self.parent, self.height, self.text, root))

    @cached_property
    def id(self) -> bytes:
        return tagged_hash(Tag.HEADER, self.header)

    @cached_property
    def txids(self) -> list[bytes]:
        return [transaction_id(raw) for raw in self.transactions]

    @property
    def sizes(self) -> list[int]:
        return [len(raw) for raw in self.transactions]

    @cached_property
    def key(self) -> bytes:
        """Of its short ids. Drawn from its id, so that tests can tell it beforehand."""
        return self.id[:COMPACT_KEY_BYTES]

    async def packed(self) -> bytes:
        return self.packed_bytes

    async def body(self, places: Sequence[int]) -> bytes:
        return link_body([self.transactions[place] for place in places])

    async def short_ids(self) -> tuple[bytes, bytes]:
        return self.key, short_ids(self.key, self.txids)

    def form(self, **changes: Any) -> CompactForm:
        """Its compact form without transactions, with some fields changed."""
        whole = CompactForm(self.header, self.key, short_ids(self.key, self.txids), (), link_body([]))
        return replace(whole, **changes)


def transaction_id(raw: bytes) -> bytes:
    return tagged_hash(Tag.TRANSACTION_ID, raw)


def link_body(transactions: Sequence[bytes]) -> bytes:
    """Transactions as they travel beside a compact form."""
    return pack(encode(LinkBody(tuple(transactions))))


@dataclass
class PartialLink:
    """A block of the little chain that is being put together."""

    header: LinkHeader
    body: PartialBody[bytes]

    @property
    def missing(self) -> Sequence[int]:
        return self.body.missing

    async def complete(self, packed: bytes | None) -> Link | None:
        came = () if packed is None else decode(LinkBody, unpack(packed, MAX_BLOCK_BYTES)).transactions
        transactions = self.body.fill(came)
        block = Link(self.header.parent, self.header.height, self.header.text, transactions)
        return block if block.header == encode(self.header) else None

    async def fetch_parts(self, peer: PartsSource, answer_s: float) -> Link | None:
        raise AssertionError("the blocks of the little chain fit into messages")

    def was_false(self, block: Link) -> bool:
        return not self.body.agrees_with(block.txids)


GENESIS = Link(bytes(32), 0, b"genesis")
BAD_WORK = b"bad work"
BAD_EXECUTION = b"bad execution"
BAD_TRANSACTION = b"bad signature"


@dataclass
class LittleChain:
    """Blocks by id, the longest chain, a mempool, and a record of what p2p told."""

    identity: Identity = field(default_factory=lambda: Identity(7, GENESIS.id, "little/1"))
    gossip: Gossip[Link] | None = None
    blocks: dict[bytes, Link] = field(default_factory=lambda: {GENESIS.id: GENESIS})
    tip: Link = GENESIS
    pool: dict[bytes, bytes] = field(default_factory=dict)
    content: dict[bytes, bytes] = field(default_factory=dict)
    peers: list[Peer] = field(default_factory=list)
    partings: list[tuple[bytes, DisconnectReason]] = field(default_factory=list)
    fetched: list[bytes] = field(default_factory=list)
    """Ids of the blocks and transactions that arrived, in order."""
    announced: list[bytes] = field(default_factory=list)
    """Ids of blocks that it was asked whether it wants them, in order."""
    missed: list[Peer] = field(default_factory=list)
    """Peers that did not deliver a block which they had announced, in order."""
    may_execute: asyncio.Event = field(default_factory=asyncio.Event)
    may_judge: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()
        self.may_execute.set()
        self.may_judge.set()

    @property
    def head(self) -> HeadSummary:
        return HeadSummary(self.tip.height, self.tip.id, self.tip.height)

    async def wait_for(self, happened: Callable[[], object]) -> None:
        """Returns once p2p has told this chain what makes `happened` true."""
        async with asyncio.timeout(WAIT_S):
            while not happened():
                await self._changed.wait()

    def append(self, text: bytes, transactions: Sequence[bytes] = ()) -> Link:
        """A new block on the tip, not announced."""
        self._add(Link(self.tip.id, self.tip.height + 1, text, tuple(transactions)))
        return self.tip

    def mine(self, text: bytes, transactions: Sequence[bytes] = ()) -> Link:
        """A new block on the tip, announced to every peer."""
        block = self.append(text, transactions)
        assert self.gossip is not None
        self.gossip.announce_block(block.id)
        return block

    def submit(self, raw: bytes) -> bytes:
        """A new transaction, announced to every peer."""
        txid = transaction_id(raw)
        self.pool[txid] = raw
        assert self.gossip is not None
        self.gossip.announce_transactions((txid,))
        return txid

    def branch(self) -> list[Link]:
        """The best chain without genesis, oldest first."""
        chain: list[Link] = []
        block = self.tip
        while block is not GENESIS:
            chain.append(block)
            block = self.blocks[block.parent]
        return chain[::-1]

    async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
        chain = self.branch()
        known = [index for index, block in enumerate(chain, 1) if block.id in locator]
        return [block.header for block in chain[max(known, default=0) :][:limit]]

    async def block_bytes(self, block_id: bytes) -> bytes | None:
        block = self.blocks.get(block_id)
        return block.packed_bytes if block is not None else None

    async def stored_blocks(self, block_ids: Sequence[bytes], most_bytes: int) -> Sequence[bytes | None]:
        found: list[bytes | None] = []
        for block_id in block_ids:
            packed = await self.block_bytes(block_id)
            most_bytes -= 0 if packed is None else plain_size(packed)
            if found and most_bytes < 0:
                break
            found.append(packed)
        return found

    async def transaction_bytes(self, txid: bytes) -> bytes | None:
        raw = self.pool.get(txid)
        return pack(raw) if raw is not None else None

    async def wanted_blocks(self, peer: Peer, block_ids: Sequence[bytes]) -> Sequence[bytes]:
        self.announced += block_ids
        return [block_id for block_id in block_ids if block_id not in self.blocks]

    def not_fetched(self, peer: Peer) -> None:
        self.missed.append(peer)

    async def stored_outline(self, block_id: bytes) -> BlockOutline | None:
        block = self.blocks.get(block_id)
        if block is None:
            return None
        return BlockOutline(block.header, b"".join(block.txids), tuple(block.sizes))

    async def stored_part(self, block_id: bytes, places: Sequence[int]) -> bytes | None:
        block = self.blocks.get(block_id)
        return None if block is None else await block.body(places)

    @property
    def holdings(self) -> Held:
        return Held(1, archive=True)

    async def content_piece(self, name: bytes, piece: int) -> tuple[int, bytes] | None:
        raw = self.content.get(name, b"")
        data = raw[piece * PIECE_BYTES :][:PIECE_BYTES]
        return (len(raw), data) if data else None

    async def wanted_transactions(self, txids: Sequence[bytes]) -> Sequence[bytes]:
        return [txid for txid in txids if txid not in self.pool]

    def waiting_transactions(self) -> Sequence[bytes]:
        return list(self.pool)

    async def caught_up(self, peer: Peer) -> None:
        await self.may_judge.wait()

    async def unpack_transactions(self, packed: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]]:
        plain = [unpack(each, MAX_TRANSACTION_BYTES) for each in packed]
        return [(transaction_id(raw), raw) for raw in plain]

    async def check_block(self, peer: Peer, block_id: bytes, raw: bytes) -> Link:
        block = decode(Link, unpack(raw, MAX_BLOCK_BYTES))
        if block.text.startswith(BAD_WORK):
            raise InvalidHeader(got=block.text)
        if block.id != block_id:
            raise WrongReply(expected=block_id, got=block.id)
        if block.parent not in self.blocks:
            raise NotReady("unknown parent")
        return block

    def leads(self, block: Link) -> bool:
        return block.height > self.tip.height

    def served(self, block: Link) -> ServedBlock:
        return block

    async def near_block(self, block_id: bytes) -> ServedBlock | None:
        block = self.blocks.get(block_id)
        return block if block is not None and len(block.header) <= MAX_HEADER_BYTES else None

    async def open_compact(self, peer: Peer, block_id: bytes, form: CompactForm) -> PartialLink | None:
        if tagged_hash(Tag.HEADER, form.header) != block_id:
            raise WrongReply("the header of another block")
        header = decode(LinkHeader, form.header)
        if header.text.startswith(BAD_WORK):
            raise InvalidHeader(got=header.text)
        if header.parent not in self.blocks:
            return None
        prefilled = decode(LinkBody, unpack(form.transactions, MAX_PREFILLED_BYTES)).transactions
        pooled = {short: self.pool[txid] for short, txid in match(form, list(self.pool)).items()}
        return PartialLink(header, PartialBody(form, prefilled, pooled, transaction_id))

    async def on_block(self, peer: Peer, block: Link) -> None:
        await self.may_execute.wait()
        self.fetched.append(block.id)
        self._tell()
        if block.text.startswith(BAD_EXECUTION):
            raise InvalidExecution(got=block.text)
        self._add(block)

    async def on_transactions(self, peer: Peer, transactions: Sequence[bytes]) -> int:
        for raw in transactions:
            if not raw.startswith(BAD_TRANSACTION):
                self.fetched.append(self.submit(raw))
        self._tell()
        for raw in transactions:
            if raw.startswith(BAD_TRANSACTION):
                raise BadSignature(got=raw)
        return len(transactions)

    def on_peer_connected(self, peer: Peer) -> None:
        self.peers.append(peer)
        self._tell()

    def on_peer_disconnected(self, peer: Peer, reason: DisconnectReason) -> None:
        self.peers.remove(peer)
        self.partings.append((peer.node_key, reason))
        self._tell()

    def _add(self, block: Link) -> None:
        self.blocks[block.id] = block
        if block.height > self.tip.height:
            self.tip = block
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
