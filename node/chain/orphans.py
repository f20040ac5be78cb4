"""Blocks that cannot be judged yet: their parent has not come, or their time has not. Bounded; oldest out
first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from engram.consensus.block import Block
from engram.primitives.types import Hash

MAX_BLOCKS: Final = 128
MAX_BYTES: Final = 32 << 20
_TRANSACTION_BYTES: Final = 200


@dataclass(frozen=True)
class Orphan:
    """A block that waits."""

    id: Hash
    block: Block
    code: str
    """Why it waits."""
    due_ms: int = 0
    """When its timestamp becomes acceptable; 0 if it waits for its parent."""


def memory_of(block: Block) -> int:
    """Bytes that a block's transactions take, roughly."""
    return sum(_TRANSACTION_BYTES + len(tx.payload) for tx in block.transactions)


class OrphanPool:
    """What the chain will retry: by parent once that arrives, by clock once the time has come."""

    def __init__(self, max_blocks: int = MAX_BLOCKS, max_bytes: int = MAX_BYTES) -> None:
        self._max_blocks = max_blocks
        self._max_bytes = max_bytes
        self._blocks: OrderedDict[Hash, Orphan] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def get(self, block: Hash) -> Orphan | None:
        """The entry of a block that waits."""
        return self._blocks.get(block)

    def add(self, parked: Orphan) -> None:
        """Keeps a block; the oldest ones go where the bounds are exceeded, this one if it alone exceeds
        them.
        """
        self.remove(parked.id)
        self._blocks[parked.id] = parked
        self._bytes += memory_of(parked.block)
        while len(self._blocks) > self._max_blocks or self._bytes > self._max_bytes:
            self.remove(next(iter(self._blocks)))

    def remove(self, block: Hash) -> None:
        """Forgets a block; one that is not here is ignored."""
        parked = self._blocks.pop(block, None)
        if parked is not None:
            self._bytes -= memory_of(parked.block)

    def take_children(self, parent: Hash) -> list[Orphan]:
        """Removes and returns the blocks whose parent this is."""
        return self._take(
            [parked for parked in self._blocks.values() if parked.block.header.parent == parent]
        )

    def take_due(self, now_ms: int) -> list[Orphan]:
        """Removes and returns the blocks whose time has come, oldest first."""
        return self._take([parked for parked in self._blocks.values() if 0 < parked.due_ms <= now_ms])

    def next_due_ms(self) -> int | None:
        """When the next block falls due; None if none waits for the clock."""
        return min((parked.due_ms for parked in self._blocks.values() if parked.due_ms), default=None)

    def _take(self, chosen: list[Orphan]) -> list[Orphan]:
        for parked in chosen:
            self.remove(parked.id)
        return chosen
