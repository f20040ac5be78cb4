"""A bounded pool of blocks that cannot be judged yet: the parent is missing, or the timestamp lies ahead.

Such blocks are kept because peers send blocks in any order, and the parent is often on its way. Their number
and their memory are bounded because nobody has executed them: a peer could otherwise fill the node's memory
with blocks whose parent never comes. When a bound is exceeded, the block goes that cost least: one that waits
for its parent before those that wait for the clock, whose whole branch has proved its work; of several, the
one with the least work; of equals, the one that came first. So whoever wants to push out an honest block has
to work for each place as much as its miner did. A dropped block is not lost: sync fetches it again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from engram.consensus.block import Block
from engram.node.chain.headers import work_of_header
from engram.primitives.types import Hash

MAX_BLOCKS: Final = 128
MAX_BYTES: Final = 32 << 20
_TRANSACTION_BYTES: Final = 900
"""What Python needs for a transaction without its payload, once its id is known."""


@dataclass(frozen=True)
class Orphan:
    """A block that waits."""

    id: Hash
    block: Block
    code: str
    """Code of the error for which it waits."""
    due_ms: int = 0
    """When its timestamp becomes acceptable, in milliseconds since 1970; 0 if it waits for its parent."""
    unasked: bool = False
    """Whether a peer has brought it by itself."""
    total_work: int = 0
    """Total work of its branch, if it waits for the clock: that much is proved."""


def memory_of(block: Block) -> int:
    """The bytes of memory that a block's transactions take, at most."""
    return sum(_TRANSACTION_BYTES + len(tx.payload) for tx in block.transactions)


class OrphanPool:
    """The parked blocks, found again by their parent or by the time at which they fall due."""

    def __init__(self, max_blocks: int = MAX_BLOCKS, max_bytes: int = MAX_BYTES) -> None:
        self._max_blocks = max_blocks
        self._max_bytes = max_bytes
        self._blocks: OrderedDict[Hash, Orphan] = OrderedDict()
        self._costs: dict[Hash, tuple[int, int]] = {}
        """What is proved of the work of each: of its branch, and its own."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def get(self, block: Hash) -> Orphan | None:
        """The entry of a parked block; None if it is not parked."""
        return self._blocks.get(block)

    def add(self, parked: Orphan) -> None:
        """Keeps a block, and drops those that cost least while a bound is exceeded, which may be itself."""
        self.remove(parked.id)
        self._blocks[parked.id] = parked
        self._costs[parked.id] = parked.total_work, work_of_header(parked.block.header)
        self._bytes += memory_of(parked.block)
        while len(self._blocks) > self._max_blocks or self._bytes > self._max_bytes:
            self.remove(min(self._blocks, key=self._costs.__getitem__))  # the first of equals

    def remove(self, block: Hash) -> None:
        """Forgets a block; does nothing if it is not parked."""
        parked = self._blocks.pop(block, None)
        if parked is not None:
            del self._costs[block]
            self._bytes -= memory_of(parked.block)

    def take_children(self, parent: Hash) -> list[Orphan]:
        """Removes and returns the parked blocks whose parent is `parent`."""
        return self._take(
            [parked for parked in self._blocks.values() if parked.block.header.parent == parent]
        )

    def take_due(self, now_ms: int) -> list[Orphan]:
        """Removes and returns the blocks that fall due by `now_ms`, in the order in which they came."""
        return self._take([parked for parked in self._blocks.values() if 0 < parked.due_ms <= now_ms])

    def next_due_ms(self) -> int | None:
        """When the next block falls due, in milliseconds since 1970; None if no block waits for the clock."""
        return min((parked.due_ms for parked in self._blocks.values() if parked.due_ms), default=None)

    def first_ahead_ms(self, work: int) -> int | None:
        """The earliest timestamp of the blocks that wait for the clock and have more total work than this."""
        stamps = (each.block.header.timestamp_ms for each in self._blocks.values() if each.total_work > work)
        return min(stamps, default=None)

    def _take(self, chosen: list[Orphan]) -> list[Orphan]:
        for parked in chosen:
            self.remove(parked.id)
        return chosen
