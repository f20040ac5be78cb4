"""What the chain's writer holds of a block that it has just written, for those who follow the head.

The event feed, the mempool and the index of accounts read each new block a moment later. They get what was
judged, instead of reading it from the disk and decoding it once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.consensus.block import Block
from engram.node.storage.schema import StateDiff
from engram.statemachine.receipt import Receipt

WRITTEN_BLOCKS: Final = 64
"""Of so many blocks at most it is kept."""
WRITTEN_BYTES: Final = 16 << 20
_OBJECT_BYTES: Final = 1_000
"""What a decoded transaction with its receipt takes besides its bytes, and a changed record a third of it."""


@dataclass(frozen=True)
class Written:
    """A valid block, and what executing it has brought."""

    block: Block
    receipts: tuple[Receipt, ...]
    changes: StateDiff


def written_bytes(written: Written) -> int:
    """What it counts for: at least so much that no more than `WRITTEN_BLOCKS` are kept."""
    transactions = sum(tx.size_bytes + _OBJECT_BYTES for tx in written.block.transactions)
    records = sum(len(entry.value or b"") + _OBJECT_BYTES // 3 for entry in written.changes.entries)
    return max(transactions + records, WRITTEN_BYTES // WRITTEN_BLOCKS)
