"""What p2p needs from the node and gives to it, as Protocols; the node passes objects that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from engram.p2p.errors import DisconnectReason
from engram.p2p.link import PeerAddress
from engram.primitives.errors import ChainError


@dataclass(frozen=True)
class Identity:
    """Which chain a node follows; the same for all its life."""

    chain_id: int
    genesis: bytes
    """Id of the genesis block."""
    agent: str
    """Software and version, printable ASCII of at most 64 letters."""


@dataclass(frozen=True)
class HeadSummary:
    """Where a best chain ends."""

    height: int
    head: bytes
    """Id of its last block."""
    total_work: int


@dataclass(frozen=True)
class PeerInfo:
    """A session as it can be listed."""

    node_key: bytes
    address: PeerAddress
    inbound: bool
    agent: str
    version: int
    """Version of the peer protocol that both sides speak."""
    head: HeadSummary
    """As told in the handshake."""
    connected_s: float
    """Seconds since the handshake."""
    round_trip_s: float | None
    """Of the last ping."""
    sent_bytes: int
    received_bytes: int
    queued_bytes: int
    """Waiting to be sent."""


class Peer(Protocol):
    """One open session as the node sees it.

    The requests raise `PeerTimeout`, or `PeerUnavailable` once the session has ended; both are `NotReady`.
    What they return is what the peer said: sizes and number hold, nothing else was checked.
    """

    @property
    def node_key(self) -> bytes:
        """The key that the peer proved to hold."""
        ...

    @property
    def head(self) -> HeadSummary:
        """The peer's head as of the handshake."""
        ...

    @property
    def info(self) -> PeerInfo:
        """The session in figures."""
        ...

    async def get_headers(
        self, locator: Sequence[bytes], limit: int, timeout_s: float | None = None
    ) -> tuple[bytes, ...]:
        """Encoded headers of the peer's best chain after the first id of `locator`, at most `limit`.

        None of `timeout_s` is the session's own bound.
        """
        ...

    async def get_block(self, block_id: bytes, timeout_s: float | None = None) -> bytes | None:
        """An encoded block; None if the peer has it not. None of `timeout_s` is the session's own bound."""
        ...

    async def get_transactions(self, txids: Sequence[bytes]) -> tuple[bytes | None, ...]:
        """Encoded transactions for the first ids, at least one of them; None where the peer has it not."""
        ...

    async def ping(self) -> float:
        """Seconds until the peer answered; by then it has read everything it was sent before."""
        ...

    def disconnect(self, reason: DisconnectReason = DisconnectReason.REQUESTED) -> None:
        """Ends the session, soon."""
        ...

    def misbehaved(self, error: ChainError) -> None:
        """Ends the session for what the peer sent; an `Invalid` error counts against the peer."""
        ...


class RelayedBlock(Protocol):
    """A block that may be passed on: its id commits to its bytes, and its header carries its work."""

    @property
    def id(self) -> bytes:
        """The block's id."""
        ...


B = TypeVar("B", bound=RelayedBlock)


class ChainProtocol(Protocol[B]):
    """What p2p asks of the node; `B` is whatever the node makes of a checked block.

    A call may do CPU work only outside the event loop.
    Where a docstring says that a method raises `Invalid`, that ends the session and counts against the peer;
    so it must mean what no honest peer sends, whatever its head. `NotReady` counts against nobody.
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

        After genesis if no id of the locator stands on the best chain.
        """
        ...

    async def block_bytes(self, block_id: bytes) -> bytes | None:
        """An encoded block; None if it is unknown, pruned or known to be invalid."""
        ...

    async def transaction_bytes(self, txid: bytes) -> bytes | None:
        """An encoded transaction of the mempool; None if it is not there."""
        ...

    async def wanted_blocks(self, block_ids: Sequence[bytes]) -> Sequence[bytes]:
        """Those of the announced ids to fetch now: not held, not refused, not being synced."""
        ...

    async def wanted_transactions(self, txids: Sequence[bytes]) -> Sequence[bytes]:
        """Those of the announced ids to fetch now: neither in the mempool nor included nor refused lately."""
        ...

    def waiting_transactions(self) -> Sequence[bytes]:
        """Ids of the mempool's transactions: what a new peer is told of."""
        ...

    async def caught_up(self, peer: Peer) -> None:
        """Returns once this node has what the peer has, so that the peer's transactions can be judged."""
        ...

    def transaction_id(self, raw: bytes) -> bytes:
        """The id that these bytes would have; no check is made."""
        ...

    async def check_block(self, peer: Peer, raw: bytes) -> B:
        """Decodes a fetched block; checks header and work, and that the header commits to these transactions.

        Raises `Invalid`; `NotReady` if it cannot be judged yet (unknown parent, ahead of the clock): what to
        do then, such as syncing with `peer`, is the node's business, and the block is not relayed.
        """
        ...

    async def on_block(self, peer: Peer, block: B) -> None:
        """Imports a block that `check_block` passed and that is being relayed meanwhile.

        May raise `Invalid`, which does not count against the peer: it too relayed before executing.
        """
        ...

    async def on_transactions(self, peer: Peer, transactions: Sequence[bytes]) -> None:
        """Offers fetched transactions to the mempool.

        Raises `Invalid`, after it has offered the others, for one that is wrong whatever the head: not
        canonical, badly signed, malformed. One that is wrong only at this node's head is dropped in silence.
        """
        ...

    def on_peer_connected(self, peer: Peer) -> None:
        """A session is open. Must not wait; `peer` can be used from now on, by other tasks."""
        ...

    def on_peer_disconnected(self, peer: Peer, reason: DisconnectReason) -> None:
        """The session has ended; called once for each `on_peer_connected`."""
        ...
