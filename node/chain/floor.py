"""Which blocks are worth a body: those of a branch that leads, and a few that have just lost.

A block off an old block can cost almost nothing, because a late timestamp makes the targets of its children
easy. If every valid block were executed and kept, a stranger could fill a node's disk for the price of a few
digests, with transactions that he never pays for. So a block that nobody has asked for is executed only if it
would be the new head, or if it is what honest miners make: a rival of one of the last blocks that has cost as
much as they have. Of such rivals, no more bytes are kept than `SIDE_BYTES`, and `REGAINED_BYTES` more for
each new head; on a chain whose blocks may be larger than a message, both are more in proportion.

Nothing is lost by that. A branch whose headers have more work than the best chain is fetched whole, headers
first, and what is fetched so is never refused here.
"""

from __future__ import annotations

from typing import Final

from engram.consensus.block import Block, BlockHeader
from engram.consensus.forkchoice import HasWork, better
from engram.node.chain.headers import work_of_header
from engram.node.storage.store import BlockRef
from engram.p2p.blockmessages import in_proportion

SIDE_BLOCKS: Final = 3
"""A rival has at most so many blocks less work than the head."""
SIDE_BYTES: Final = 4 << 20
"""Bytes of rivals that are kept at once; the last of them may exceed it."""
REGAINED_BYTES: Final = 128 << 10
"""Bytes of rivals that each new head allows again."""


def body_bytes(block: Block) -> int:
    """Bytes of a block's transactions as they travel and are stored, before they are packed."""
    return sum(tx.size_bytes for tx in block.transactions)


def is_worth_a_body(block: HasWork, header: BlockHeader, head: BlockRef) -> bool:
    """Whether a block with this header and total work leads, or is a rival of one of the last blocks."""
    return better(block, head) or _is_rival(block, header, head)


def _is_rival(block: HasWork, header: BlockHeader, head: BlockRef) -> bool:
    """Whether the block has cost at least half of what the head has, and is not far behind it."""
    price = work_of_header(head.header)
    return 2 * work_of_header(header) >= price and block.total_work + SIDE_BLOCKS * price >= head.total_work


class SideRoom:
    """How many bytes of rivals may still be executed and kept. One thread at a time."""

    def __init__(self, block_bytes: int) -> None:
        """`block_bytes` is the most that a block of the chain has."""
        self._most_bytes = self._free_bytes = in_proportion(SIDE_BYTES, block_bytes)
        self._regained_bytes = in_proportion(REGAINED_BYTES, block_bytes)

    def admits(self, block: HasWork, header: BlockHeader, size_bytes: int, head: BlockRef) -> bool:
        """Whether a block that nobody has asked for may be executed. A rival takes room by that."""
        if better(block, head):
            return True
        if self._free_bytes <= 0 or not _is_rival(block, header, head):
            return False
        self._free_bytes -= size_bytes
        return True

    def regain(self) -> None:
        """There is a new head."""
        self._free_bytes = min(self._most_bytes, self._free_bytes + self._regained_bytes)
