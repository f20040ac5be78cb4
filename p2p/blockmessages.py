"""How nodes ask for several small blocks at once, and for one that is larger than any message.

A block that is larger than any message travels by its outline: its header, and the id and the size of each
of its transactions. These ids make the root that the header names, so whoever has the outline can ask
several peers for transactions, and check each of them as it comes.

The lines of these messages in the registry stand in `messages`, with those of all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

from engram.primitives.packing import PACKING_BYTES
from engram.primitives.types import U32, Hash, Range, Size

BLOCKS_VERSION: Final = 4
"""The first version whose speakers answer `GetBlocks`."""
BLOCK_FRAME_BYTES: Final = 64 << 10
"""A block has no more plain bytes beside its transactions."""
MAX_BLOCK_BYTES: Final = (4 << 20) + BLOCK_FRAME_BYTES
"""The most plain bytes of a block, or of a part of one, in one message."""
MAX_BLOCKS: Final = 32
"""The most blocks in one `GetBlocks`."""
BLOCKS_REPLY_BYTES: Final = 1 << 20
"""An answer to `GetBlocks` holds no more plain bytes than so many, unless its first block alone has more."""
MAX_HEADER_BYTES: Final = 256
LIST_BYTES: Final = 16
"""What the encoding of a block, or of a part of one, has beside its header and its transactions, at most."""
TXID_BYTES: Final = 32
MAX_COMPACT: Final = 8_192
"""A block of more transactions is relayed whole only, and has no outline."""

HeaderBytes = Annotated[bytes, Size(1, MAX_HEADER_BYTES)]
Place = Annotated[int, Range(0, MAX_COMPACT - 1)]
"""Of a transaction in its block, from 0."""
PackedBlock = Annotated[bytes, Size(1, MAX_BLOCK_BYTES + PACKING_BYTES)]


@dataclass(frozen=True)
class GetBlocks:
    """Asks for several blocks that the receiver has executed, as a sync does where they are small."""

    request: U32
    block_ids: Annotated[tuple[Hash, ...], Size(1, MAX_BLOCKS)]


@dataclass(frozen=True)
class Blocks:
    """Answers `GetBlocks` for the first of its ids, at least one: encoded blocks, packed; nil for each that
    is not there.
    """

    request: U32
    blocks: Annotated[tuple[PackedBlock | None, ...], Size(1, MAX_BLOCKS)]


@dataclass(frozen=True)
class GetOutline:
    """Asks for the outline of a block, on a chain whose blocks may be larger than a message."""

    request: U32
    block_id: Hash


@dataclass(frozen=True)
class BlockOutline:
    """What a block is made of; its transactions are asked for by `GetBlockTransactions`."""

    header: HeaderBytes
    txids: Annotated[bytes, Size(0, TXID_BYTES * MAX_COMPACT)]
    """One id of `TXID_BYTES` for each transaction of the block, in its order."""
    sizes: Annotated[tuple[U32, ...], Size(0, MAX_COMPACT)]
    """Plain bytes of each transaction. Nothing proves them before the transaction is there."""


@dataclass(frozen=True)
class Outline:
    """Answers `GetOutline`; nil if the sender does not have the block."""

    request: U32
    outline: BlockOutline | None


def fits_into_a_message(sizes: Iterable[int]) -> bool:
    """Whether a block with transactions of so many plain bytes, or a part with them, fits into a message."""
    return sum(sizes) <= carried_bytes(MAX_BLOCK_BYTES)


def carried_bytes(block_bytes: int) -> int:
    """The most bytes of transactions of a block that has at most `block_bytes`."""
    return block_bytes - MAX_HEADER_BYTES - LIST_BYTES


def most_block_bytes(body_bytes: int) -> int:
    """The most plain bytes of a block on a chain whose bodies have at most `body_bytes`."""
    return max(MAX_BLOCK_BYTES, body_bytes + BLOCK_FRAME_BYTES)


def in_proportion(bound_bytes: int, block_bytes: int) -> int:
    """A bound on bytes of several blocks, which is meant for blocks of `MAX_BLOCK_BYTES`, on a chain whose
    largest has `block_bytes`.
    """
    return bound_bytes * block_bytes // MAX_BLOCK_BYTES
