"""A chain small enough to read, behind `ChainProtocol`: what p2p's tests talk to instead of a node.

A block is its parent's id, its height and a text; the text decides what is wrong with it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engram.p2p.errors import DisconnectReason
from engram.p2p.gossip import Gossip
from engram.p2p.messages import MAX_BLOCK_BYTES, MAX_TRANSACTION_BYTES
from engram.p2p.protocol import HeadSummary, Identity, Peer
from engram.primitives.codec import decode, encode
from engram.primitives.errors import BadSignature, InvalidExecution, InvalidHeader, NotReady
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.packing import pack, unpack
from engram.primitives.types import U64, Blob, Hash

WAIT_S = 300.0
"""No test depends on it: it turns a hang into a failure."""


@dataclass(frozen=True)
class Link:
    """A block of the little chain."""

    parent: Hash
    height: U64
    text: Blob

    @property
    def raw(self) -> bytes:
        return encode(self)

    @cached_property
    def packed(self) -> bytes:
        """As it travels."""
        return pack(self.raw)

    @property
    def id(self) -> bytes:
        return tagged_hash(Tag.HEADER, self.raw)


GENESIS = Link(bytes(32), 0, b"genesis")
BAD_WORK = b"bad work"
BAD_EXECUTION = b"bad execution"
BAD_TRANSACTION = b"bad signature"


def transaction_id(raw: bytes) -> bytes:
    return tagged_hash(Tag.TRANSACTION_ID, raw)


@dataclass
class LittleChain:
    """Blocks by id, the longest chain, a mempool, and a record of what p2p told."""

    identity: Identity = field(default_factory=lambda: Identity(7, GENESIS.id, "little/1"))
    gossip: Gossip[Link] | None = None
    blocks: dict[bytes, Link] = field(default_factory=lambda: {GENESIS.id: GENESIS})
    tip: Link = GENESIS
    pool: dict[bytes, bytes] = field(default_factory=dict)
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

    def append(self, text: bytes) -> Link:
        """A new block on the tip, not announced."""
        self._add(Link(self.tip.id, self.tip.height + 1, text))
        return self.tip

    def mine(self, text: bytes) -> Link:
        """A new block on the tip, announced to every peer."""
        block = self.append(text)
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
        return [block.raw for block in chain[max(known, default=0) :][:limit]]

    async def block_bytes(self, block_id: bytes) -> bytes | None:
        block = self.blocks.get(block_id)
        return block.packed if block is not None else None

    async def transaction_bytes(self, txid: bytes) -> bytes | None:
        raw = self.pool.get(txid)
        return pack(raw) if raw is not None else None

    async def wanted_blocks(self, peer: Peer, block_ids: Sequence[bytes]) -> Sequence[bytes]:
        self.announced += block_ids
        return [block_id for block_id in block_ids if block_id not in self.blocks]

    def not_fetched(self, peer: Peer) -> None:
        self.missed.append(peer)

    async def wanted_transactions(self, txids: Sequence[bytes]) -> Sequence[bytes]:
        return [txid for txid in txids if txid not in self.pool]

    def waiting_transactions(self) -> Sequence[bytes]:
        return list(self.pool)

    async def caught_up(self, peer: Peer) -> None:
        await self.may_judge.wait()

    async def unpack_transactions(self, packed: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]]:
        plain = [unpack(each, MAX_TRANSACTION_BYTES) for each in packed]
        return [(transaction_id(raw), raw) for raw in plain]

    async def check_block(self, peer: Peer, raw: bytes) -> Link:
        block = decode(Link, unpack(raw, MAX_BLOCK_BYTES))
        if block.text.startswith(BAD_WORK):
            raise InvalidHeader(got=block.text)
        if block.parent not in self.blocks:
            raise NotReady("unknown parent")
        return block

    def leads(self, block: Link) -> bool:
        return block.height > self.tip.height

    async def on_block(self, peer: Peer, block: Link) -> None:
        await self.may_execute.wait()
        self.fetched.append(block.id)
        self._tell()
        if block.text.startswith(BAD_EXECUTION):
            raise InvalidExecution(got=block.text)
        self._add(block)

    async def on_transactions(self, peer: Peer, transactions: Sequence[bytes]) -> None:
        for raw in transactions:
            if not raw.startswith(BAD_TRANSACTION):
                self.fetched.append(self.submit(raw))
        self._tell()
        for raw in transactions:
            if raw.startswith(BAD_TRANSACTION):
                raise BadSignature(got=raw)

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
