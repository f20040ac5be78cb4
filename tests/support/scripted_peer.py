"""A session with a peer, as the node's services see it, that answers from a `ServedChain` at once."""

from __future__ import annotations

from collections.abc import Sequence

from engram.p2p.blockmessages import BlockOutline
from engram.p2p.contentmessages import ContentPart, Holdings
from engram.p2p.errors import DisconnectReason
from engram.p2p.link import PeerAddress
from engram.p2p.messages import PROTOCOL_VERSION
from engram.p2p.protocol import HeadSummary, PeerInfo, PeerOrigin
from engram.primitives.errors import ChainError
from tests.support.served_chain import ServedChain


class ScriptedPeer:
    """Implements `p2p.protocol.Peer`; keeps what it was asked and how it was dismissed."""

    def __init__(self, chain: ServedChain, number: int = 1, *, inbound: bool = False) -> None:
        self.chain = chain
        self.inbound = inbound
        self.node_key = bytes([number]) * 32
        self.asked: list[bytes] = []
        """Ids of blocks, in order."""
        self.pieces: list[int] = []
        """Pieces of content that it was asked for, in order."""
        self.blocks_brought = 0
        self.answers = 0
        """Answers with headers."""
        self.requests = 0
        """How often it was asked for blocks."""
        self.at_once = 1
        """How many blocks it sends in one answer."""
        self.patience: list[tuple[int, float | None]] = []
        """How many headers it was asked for and in which time, in order."""
        self.dismissed = ""
        """Code of the error, or the reason, with which the node ended the session."""

    @property
    def head(self) -> HeadSummary:
        return self.chain.head

    @property
    def info(self) -> PeerInfo:
        address = PeerAddress("scripted", 1)
        origin = PeerOrigin.INBOUND if self.inbound else PeerOrigin.NAMED
        version, name, key = PROTOCOL_VERSION, "scripted", self.node_key
        place, seconds, traffic = (address, address.host, origin), (0.0, 0.0), (0, 0, 0)
        return PeerInfo(key, *place, name, version, self.head, (), *seconds, None, None, *traffic, False)

    def brought_block(self) -> None:
        self.blocks_brought += 1

    async def get_headers(
        self, locator: Sequence[bytes], limit: int, timeout_s: float | None = None
    ) -> tuple[bytes, ...]:
        self.patience.append((limit, timeout_s))
        self.answers += 1
        return tuple(await self.chain.headers_after(locator, limit))

    async def get_block(self, block_id: bytes, timeout_s: float | None = None) -> bytes | None:
        self.asked.append(block_id)
        return await self.chain.block_bytes(block_id)

    async def get_blocks(self, block_ids: Sequence[bytes], timeout_s: float) -> Sequence[bytes | None]:
        self.requests += 1
        asked = block_ids[: self.at_once]
        self.asked += asked
        return [await self.chain.block_bytes(block_id) for block_id in asked]

    async def get_outline(self, block_id: bytes, timeout_s: float) -> BlockOutline | None:
        return await self.chain.stored_outline(block_id)

    async def get_block_transactions(
        self, block_id: bytes, places: Sequence[int], timeout_s: float
    ) -> bytes | None:
        return await self.chain.stored_part(block_id, places)

    async def get_content(self, name: bytes, piece: int, timeout_s: float) -> ContentPart | None:
        self.pieces.append(piece)
        found = await self.chain.content_piece(name, piece)
        return None if found is None else ContentPart(*found)

    async def get_holdings(self, timeout_s: float) -> Holdings:
        held = self.chain.holdings
        return Holdings(0, held.bodies_from, held.archive)

    async def get_transactions(self, txids: Sequence[bytes]) -> tuple[bytes | None, ...]:
        return tuple([await self.chain.transaction_bytes(txid) for txid in txids])

    async def ping(self) -> float:
        return 0.0

    def disconnect(self, reason: DisconnectReason = DisconnectReason.REQUESTED) -> None:
        self.dismissed = reason.name.lower()

    def misbehaved(self, error: ChainError) -> None:
        self.dismissed = error.code
