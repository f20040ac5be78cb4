"""The interfaces between p2p and the node: what p2p asks of the chain, and what the node sees of a peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from engram.p2p.blockmessages import MAX_BLOCK_BYTES, BlockOutline
from engram.p2p.contentmessages import ContentPart, Holdings
from engram.p2p.errors import DisconnectReason
from engram.p2p.link import PeerAddress
from engram.p2p.messages import CompactForm
from engram.p2p.relayed import B, PartialBlock, PartsSource, ServedBlock
from engram.primitives.errors import ChainError


@dataclass(frozen=True)
class Identity:
    """Which chain a node follows; the same for all its life."""

    chain_id: int
    genesis: bytes
    """Id of the genesis block."""
    agent: str
    """Software and version, printable ASCII of at most 64 letters."""
    block_bytes: int = MAX_BLOCK_BYTES
    """The most plain bytes of a block of the chain."""

    @property
    def has_outlines(self) -> bool:
        """Whether blocks may be larger than a message; those that are travel by their outlines."""
        return self.block_bytes > MAX_BLOCK_BYTES


@dataclass(frozen=True)
class HeadSummary:
    """Where a best chain ends."""

    height: int
    head: bytes
    """Id of its last block."""
    total_work: int


class PeerOrigin(Enum):
    """Where a session came from."""

    INBOUND = "inbound"
    """The peer dialled."""
    NAMED = "named"
    """The operator named the address."""
    ANCHOR = "anchor"
    """The node has known this address for long, or had a session there when it stopped."""
    BOOK = "book"
    """The address was chosen at random from the address book."""
    SEED = "seed"
    """The address is a seed, asked because no other answered."""
    FEELER = "feeler"
    """It was dialled only to learn whether it answers."""


@dataclass(frozen=True)
class Held:
    """What a node has of the past."""

    bodies_from: int
    """From this height on it has the bodies of its best chain; 1 if it has all."""
    archive: bool
    """Whether it keeps everything that it has had."""


@dataclass(frozen=True)
class PeerInfo:
    """The facts about one session, for lists and logs."""

    node_key: bytes
    address: PeerAddress
    host: str
    """Its IP address, also where `address` has a name."""
    origin: PeerOrigin
    agent: str
    version: int
    """Version of the peer protocol that both sides speak."""
    head: HeadSummary
    """What the peer said in its handshake."""
    shown_blocks: tuple[bytes, ...]
    """Blocks that the peer has announced or fetched since, and so has; the latest few."""
    shown_s: float
    """Seconds since the last of these, or since the handshake. A peer that has got a block elsewhere after
    this node had announced it to the peer has not shown that block.
    """
    connected_s: float
    """Seconds since the handshake."""
    round_trip_s: float | None
    """Seconds that the last ping took; None before the first answer."""
    clock_ahead_s: float | None
    """Seconds by which its clock is ahead of this machine's, negative if it is behind; None if not known."""
    sent_bytes: int
    received_bytes: int
    queued_bytes: int
    """Bytes of frames that wait to be sent."""
    encrypted: bool
    """Whether the connection is encrypted, and bound to the node keys of both sides."""

    @property
    def inbound(self) -> bool:
        """Whether the peer dialled."""
        return self.origin is PeerOrigin.INBOUND


class Peer(PartsSource, Protocol):
    """One open session as the node sees it.

    The requests raise `PeerTimeout`, or another `PeerUnavailable` once the session has ended; both are
    `NotReady`. They return what the peer sent. Sizes and numbers of items are within their limits; nothing
    else has been checked.
    """

    @property
    def node_key(self) -> bytes:
        """The peer's public key; in the handshake the peer proved that it holds the private one."""
        ...

    @property
    def head(self) -> HeadSummary:
        """The head that the peer reported in its handshake."""
        ...

    @property
    def info(self) -> PeerInfo:
        """The facts about the session now."""
        ...

    async def get_headers(
        self, locator: Sequence[bytes], limit: int, timeout_s: float | None = None
    ) -> tuple[bytes, ...]:
        """Encoded headers of the peer's best chain after the first id of `locator`, at most `limit`.

        Without `timeout_s`, the session's own limit applies.
        """
        ...

    async def get_block(self, block_id: bytes, timeout_s: float | None = None) -> bytes | None:
        """A packed block; None if the peer lacks it. Without `timeout_s`, the session's limit applies."""
        ...

    async def get_blocks(self, block_ids: Sequence[bytes], timeout_s: float) -> Sequence[bytes | None]:
        """Packed blocks for the first of the ids, at least one; None for each that the peer lacks.

        A peer of a version before `BLOCKS_VERSION` is asked for the first one only.
        """
        ...

    async def get_content(self, name: bytes, piece: int, timeout_s: float) -> ContentPart | None:
        """A piece of content, from 0; None if the peer lacks it. For peers of `CONTENT_VERSION` or later."""
        ...

    async def get_holdings(self, timeout_s: float) -> Holdings:
        """What the peer says it has of the past. For peers of `CONTENT_VERSION` or later."""
        ...

    async def get_transactions(self, txids: Sequence[bytes]) -> tuple[bytes | None, ...]:
        """Packed transactions for the first of the ids, at least one; None for each that the peer lacks."""
        ...

    async def ping(self) -> float:
        """Seconds until the peer answered; by then it has read everything that was sent to it before."""
        ...

    def brought_block(self) -> None:
        """Notes that the peer has brought a wanted block whose work is done: a merit when places are few."""
        ...

    def disconnect(self, reason: DisconnectReason = DisconnectReason.REQUESTED) -> None:
        """Asks the session to end; it does so soon afterwards."""
        ...

    def misbehaved(self, error: ChainError) -> None:
        """Ends the session because of something that the peer sent; `Invalid` counts against the peer."""
        ...


class ChainProtocol(Protocol[B]):
    """What p2p asks of the node; `B` is whatever the node makes of a checked block.

    No method may do CPU work in the event loop. If a method raises `Invalid` where its docstring allows it,
    the session ends and the error counts against the peer. It must therefore be raised only for data that no
    honest peer sends, whatever head that peer has. `NotReady` counts against nobody.
    """

    @property
    def identity(self) -> Identity:
        """Which chain this node follows."""
        ...

    @property
    def head(self) -> HeadSummary:
        """Where its best chain ends now."""
        ...

    async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
        """Encoded headers of the best chain, oldest first, after the first id of `locator` that is on it.

        If none of the ids is on the best chain, the headers after genesis. At most `limit`.
        """
        ...

    async def block_bytes(self, block_id: bytes) -> bytes | None:
        """An encoded block, packed; None if it is unknown, pruned or known to be invalid, or larger than a
        message.
        """
        ...

    async def stored_blocks(self, block_ids: Sequence[bytes], most_bytes: int) -> Sequence[bytes | None]:
        """As `block_bytes`, for the first of these ids, at least one.

        It covers no further id if the blocks would then have more plain bytes than `most_bytes`.
        """
        ...

    async def stored_outline(self, block_id: bytes) -> BlockOutline | None:
        """The outline of a block that this node has executed; None if it does not have the block.

        Like `stored_part`, it is asked for on chains only whose blocks may be larger than a message.
        """
        ...

    async def stored_part(self, block_id: bytes, places: Sequence[int]) -> bytes | None:
        """The transactions at these places of a block that has an outline here, as `BlockTransactions`
        carries them; None for places that are not those of the block, or if a message does not hold them.
        """
        ...

    @property
    def holdings(self) -> Held:
        """What this node has of the past."""
        ...

    async def content_piece(self, name: bytes, piece: int) -> tuple[int, bytes] | None:
        """The size of content and `PIECE_BYTES` of it, from this piece on; None if the node has no such."""
        ...

    async def transaction_bytes(self, txid: bytes) -> bytes | None:
        """An encoded transaction of the mempool, packed; None if it is not there."""
        ...

    async def wanted_blocks(self, peer: Peer, block_ids: Sequence[bytes]) -> Sequence[bytes]:
        """The ids, announced by `peer`, worth fetching now: blocks not held, not refused, not being synced,
        and none of a peer whose last blocks were not worth their bytes.

        What is not fetched now because of a sync must not be forgotten: no peer announces it again.
        """
        ...

    def not_fetched(self, peer: Peer) -> None:
        """A block that the peer has announced did not come. Must return without waiting.

        No peer announces it again, so the node has to ask the peer for headers.
        """
        ...

    async def wanted_transactions(self, txids: Sequence[bytes]) -> Sequence[bytes]:
        """The announced ids worth fetching now: neither in the mempool nor included nor refused lately."""
        ...

    def waiting_transactions(self) -> Sequence[bytes]:
        """Ids of the mempool's transactions, which a new peer is told about."""
        ...

    async def caught_up(self, peer: Peer) -> None:
        """Returns once this node knows the blocks that the peer knows, and so can judge its transactions."""
        ...

    async def unpack_transactions(self, packed: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]]:
        """The id and the plain bytes of each fetched transaction. Raises `CodecError` if one is badly packed.

        Nothing else is checked. The plain bytes are at most `MAX_REPLY_BYTES` together.
        """
        ...

    async def check_block(self, peer: Peer, block_id: bytes, raw: bytes) -> B:
        """Unpacks and decodes a fetched block; checks that it is the block of this id, then header and work,
        and that the header commits to its transactions.

        Raises `Invalid`, or `NotReady` if the block cannot be judged yet because its parent is unknown or its
        timestamp is ahead of the clock, or if its branch has too little work. Then the block is not relayed,
        and the node decides what to do, for example to sync with `peer`.
        """
        ...

    def leads(self, block: B) -> bool:
        """Whether a block that `check_block` has passed has more work than the head and than all blocks that
        are being imported now. Only such a block is relayed before it is executed.
        """
        ...

    def served(self, block: B) -> ServedBlock:
        """The same block as it is sent on to peers."""
        ...

    async def near_block(self, block_id: bytes) -> ServedBlock | None:
        """A valid block at the head of the best chain or close to it; None if it is another one."""
        ...

    async def open_compact(self, peer: Peer, block_id: bytes, form: CompactForm) -> PartialBlock[B] | None:
        """Checks header and work of a block in its compact form, and finds its transactions in the mempool.

        None if the whole block has to be fetched, because it cannot be judged yet and has to be kept. Raises
        `Invalid`, for example if the header is another block's; or `NotReady` if the block is not worth
        fetching.
        """
        ...

    async def on_block(self, peer: Peer, block: B) -> None:
        """Imports a block that `check_block` has passed, and that is being relayed at the same time if it
        leads.

        If it raises `Invalid`, that does not count against the peer. A peer, too, relays a block before it
        has executed it, so an honest one may have sent it.
        """
        ...

    async def on_transactions(self, peer: Peer, transactions: Sequence[bytes]) -> int:
        """Offers fetched and unpacked transactions to the mempool; how many it has taken.

        Raises `Invalid`, once all others have been offered, for a transaction that is wrong at every head:
        not canonical, badly signed or malformed. One that is wrong only at this node's head is dropped
        silently.
        """
        ...

    def on_peer_connected(self, peer: Peer) -> None:
        """A session is open, and other tasks may use `peer` from now on. Must return without waiting."""
        ...

    def on_peer_disconnected(self, peer: Peer, reason: DisconnectReason) -> None:
        """The session has ended; called once for each `on_peer_connected`."""
        ...
