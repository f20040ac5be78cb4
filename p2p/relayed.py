"""The interfaces between p2p and the node about blocks that are relayed: checked, served, and half there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from engram.p2p.blockmessages import BlockOutline


class RelayedBlock(Protocol):
    """A block whose header and work are good and whose transactions are those that the header commits to."""

    @property
    def id(self) -> bytes:
        """The block's id."""
        ...


B = TypeVar("B", bound=RelayedBlock)


class ServedBlock(Protocol):
    """A block in memory, as it is sent to peers. No method does CPU work in the event loop."""

    @property
    def id(self) -> bytes:
        """The block's id."""
        ...

    @property
    def header(self) -> bytes:
        """Its encoded header."""
        ...

    @property
    def txids(self) -> Sequence[bytes]:
        """Ids of its transactions, in its order."""
        ...

    @property
    def sizes(self) -> Sequence[int]:
        """Encoded bytes of each transaction."""
        ...

    async def packed(self) -> bytes:
        """The whole encoded block, packed."""
        ...

    async def body(self, places: Sequence[int]) -> bytes:
        """The transactions at these places, as `BlockTransactions` carries them."""
        ...

    async def short_ids(self) -> tuple[bytes, bytes]:
        """A random key, the same at every call, and the short ids of the transactions under it."""
        ...


class PartsSource(Protocol):
    """Who can supply a block that is larger than a message: a peer, as far as that is concerned.

    The requests raise as those of `protocol.Peer` do.
    """

    async def get_outline(self, block_id: bytes, timeout_s: float) -> BlockOutline | None:
        """The outline of a block, of which nothing but its form has been checked; None if the peer lacks the
        block. It is asked for on chains only whose blocks may be larger than a message.
        """
        ...

    async def get_block_transactions(
        self, block_id: bytes, places: Sequence[int], timeout_s: float
    ) -> bytes | None:
        """Packed transactions at these places of a block, which is nowhere checked; None if the peer does
        not have them at hand, or if they are more than a message holds.
        """
        ...


class PartialBlock(Protocol[B]):
    """A block whose header and work are good, and of whose transactions some are still missing."""

    @property
    def missing(self) -> Sequence[int]:
        """Places of the transactions that have to be asked for, in order."""
        ...

    async def complete(self, packed: bytes | None) -> B | None:
        """The block, once the missing transactions have come; `packed` is None if none were missing.

        None if the header commits to others: a short id may name another transaction by chance. Raises
        `Invalid` for transactions that no honest peer sends in answer.
        """
        ...

    def was_false(self, block: B) -> bool:
        """Whether the short ids were not those of this block, which has the same header."""
        ...

    async def fetch_parts(self, peer: PartsSource, answer_s: float) -> B | None:
        """The block, fetched by its outline from this peer, and from others for which the same is called
        meanwhile; None if the peer does not have it, or if too many such blocks are under way.

        The peer has `answer_s` seconds for each answer, and as many for each `MAX_BLOCK_BYTES` of the block.
        Raises `Invalid` for what no honest peer sends, and as the requests do.
        """
        ...
