"""A peer's side of the peer protocol that serves any blocks and takes none: `ChainProtocol` over a list."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, chain_id
from engram.node.chain.headers import work_of_header
from engram.node.largebody import BodyPart, block_bytes_of
from engram.node.outlines import outline_of
from engram.p2p.blockmessages import BlockOutline, fits_into_a_message
from engram.p2p.contentmessages import PIECE_BYTES
from engram.p2p.errors import DisconnectReason
from engram.p2p.messages import CompactForm
from engram.p2p.protocol import HeadSummary, Held, Identity, Peer
from engram.p2p.relayed import PartialBlock, RelayedBlock, ServedBlock
from engram.primitives.codec import encode
from engram.primitives.errors import NotReady
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.packing import pack
from engram.primitives.types import Hash
from tests.support.node_chain import SPEC
from tests.support.p2p_chain import WAIT_S
from tests.support.until import until

Body = Callable[[Hash], Awaitable[bytes | None]]


@dataclass
class ServedChain:
    """What a peer pretends to have: `ChainProtocol` over a list of blocks, genesis first."""

    blocks: list[Block]
    spec: ChainSpec = SPEC
    body: Body | None = None
    """What it answers to a request for a block, if not the block."""
    claimed_work: int | None = None
    """The work that it says its chain has, if not the true one."""
    transactions: dict[Hash, bytes] = field(default_factory=dict)
    """What it answers to requests for transactions."""
    content: dict[Hash, bytes] = field(default_factory=dict)
    """What it answers to requests for content."""
    archive: bool = False
    bodies_from: int = 1
    """From which height on it says that it has bodies."""
    partings: list[tuple[bytes, DisconnectReason]] = field(default_factory=list)
    _parted: asyncio.Event = field(default_factory=asyncio.Event)

    async def parting(self) -> DisconnectReason:
        """Why the first session ended, once it has."""
        async with asyncio.timeout(WAIT_S):
            while not self.partings:
                await self._parted.wait()
        return self.partings[0][1]

    def offer(self, raw: bytes) -> Hash:
        """Has something to answer with where a transaction is asked for; the id to announce."""
        name = tagged_hash(Tag.TRANSACTION_ID, raw)
        self.transactions[name] = raw
        return name

    @property
    def identity(self) -> Identity:
        return Identity(chain_id(self.spec), self.blocks[0].header.id, "served/1", block_bytes_of(self.spec))

    @property
    def head(self) -> HeadSummary:
        header = self.blocks[-1].header
        work = sum(work_of_header(block.header) for block in self.blocks)
        return HeadSummary(header.height, header.id, self.claimed_work or work)

    async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
        names = [block.header.id for block in self.blocks]
        start = max((names.index(name) for name in locator if name in names), default=0)
        return [encode(block.header) for block in self.blocks[start + 1 :][:limit]]

    async def block_bytes(self, block_id_: bytes) -> bytes | None:
        if self.body is not None:
            return await self.body(block_id_)
        return self.found(block_id_)

    async def stored_blocks(self, block_ids: Sequence[bytes], most_bytes: int) -> Sequence[bytes | None]:
        """One block at a time where a test decides about bodies; else all that were asked for."""
        asked = block_ids if self.body is None else block_ids[:1]
        return [await self.block_bytes(block_id) for block_id in asked]

    def found(self, name: Hash) -> bytes | None:
        """The packed bytes of a block that it has and that fits into a message."""
        block = self.block(name)
        if block is None or not fits_into_a_message(tx.size_bytes for tx in block.transactions):
            return None
        return pack(encode(block))

    def block(self, name: Hash) -> Block | None:
        """A block that it has."""
        return next((block for block in self.blocks if block.header.id == name), None)

    async def stored_outline(self, block_id: bytes) -> BlockOutline | None:
        block = self.block(block_id)
        return None if block is None else outline_of(block)

    async def stored_part(self, block_id: bytes, places: Sequence[int]) -> bytes | None:
        block = self.block(block_id)
        if block is None:
            return None
        return pack(encode(BodyPart(tuple(block.transactions[place] for place in places))))

    @property
    def holdings(self) -> Held:
        return Held(self.bodies_from, archive=self.archive)

    async def content_piece(self, name: bytes, piece: int) -> tuple[int, bytes] | None:
        raw = self.content.get(name, b"")
        data = raw[piece * PIECE_BYTES :][:PIECE_BYTES]
        return (len(raw), data) if data else None

    async def transaction_bytes(self, txid: bytes) -> bytes | None:
        raw = self.transactions.get(txid)
        return pack(raw) if raw is not None else None

    async def wanted_blocks(self, peer: Peer, block_ids: Sequence[bytes]) -> Sequence[bytes]:
        return ()

    def not_fetched(self, peer: Peer) -> None:
        pass

    async def wanted_transactions(self, txids: Sequence[bytes]) -> Sequence[bytes]:
        return ()

    def waiting_transactions(self) -> Sequence[bytes]:
        return ()

    async def caught_up(self, peer: Peer) -> None:
        pass

    async def unpack_transactions(self, packed: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]]:
        raise NotReady("it wants no transactions")

    async def check_block(self, peer: Peer, block_id: bytes, raw: bytes) -> RelayedBlock:
        raise NotReady("it wants no blocks")

    def leads(self, block: RelayedBlock) -> bool:
        return False

    def served(self, block: RelayedBlock) -> ServedBlock:
        raise NotReady("it wants no blocks")

    async def near_block(self, block_id: bytes) -> ServedBlock | None:
        return None

    async def open_compact(
        self, peer: Peer, block_id: bytes, form: CompactForm
    ) -> PartialBlock[RelayedBlock] | None:
        raise NotReady("it wants no blocks")

    async def on_block(self, peer: Peer, block: RelayedBlock) -> None:
        raise NotReady("it wants no blocks")

    async def on_transactions(self, peer: Peer, transactions: Sequence[bytes]) -> int:
        return 0

    def on_peer_connected(self, peer: Peer) -> None:
        pass

    def on_peer_disconnected(self, peer: Peer, reason: DisconnectReason) -> None:
        self.partings.append((peer.node_key, reason))
        self._parted.set()


class AskingChain(ServedChain):
    """A peer that asks."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__(blocks)
        self.sessions: list[Peer] = []

    def on_peer_connected(self, peer: Peer) -> None:
        self.sessions.append(peer)

    async def session(self) -> Peer:
        await until(lambda: self.sessions)
        return self.sessions[0]
