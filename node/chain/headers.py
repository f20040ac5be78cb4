"""Checks headers against the headers before them: those of the store, and those that a sync holds in memory.

Bodies and states are nobody's business here. Runs in worker threads: each header costs one proof-of-work
digest.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

from engram.consensus.block import Block, BlockHeader
from engram.consensus.chainspec import ChainSpec
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.difficulty import next_bits
from engram.consensus.validation import (
    MEDIAN_BLOCKS,
    check_transactions_root,
    median_time_past,
    validate_header,
)
from engram.node.errors import ForeignHeaders
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives.types import Hash


@dataclass(frozen=True)
class CheckedHeader:
    """Says of the header with this id that it follows its parent and carries its work.

    Only `HeaderChain.extend` makes one, and `CheckedHeaders` gives back what that has made. So whoever holds
    it need not check the header again: what was checked depends on nothing but the header and its ancestors,
    and on a clock that goes forward.
    """

    id: Hash
    total_work: int
    """Digests that the branch up to this header stands for."""


class CheckedHeaders:
    """Checked headers of one branch, one on top of the other, in 36 bytes each."""

    def __init__(self, base_work: int) -> None:
        """`base_work`: total work of the block below the first."""
        self._base_work = base_work
        self._ids = bytearray()
        self._targets = array("I")

    def __len__(self) -> int:
        return len(self._targets)

    def append(self, checked: CheckedHeader, header: BlockHeader) -> None:
        """Keeps what the check of this header has given."""
        self._ids += checked.id
        self._targets.append(header.target)

    def take(self, count: int) -> list[CheckedHeader]:
        """Removes and returns the lowest `count` of them."""
        taken: list[CheckedHeader] = []
        for place, target in enumerate(self._targets[:count]):
            self._base_work += work_of(bits_to_target(target))
            taken.append(CheckedHeader(bytes(self._ids[32 * place : 32 * place + 32]), self._base_work))
        del self._ids[: 32 * len(taken)], self._targets[: len(taken)]
        return taken


@dataclass(frozen=True)
class CheckedBlock:
    """A block with a checked header, and with the transactions that the header commits to.

    Only `check_block` makes one. Signatures and effects of the transactions are not judged yet.
    """

    header: CheckedHeader
    block: Block

    @property
    def id(self) -> Hash:
        """Id of the block."""
        return self.header.id


def check_block(header: CheckedHeader, block: Block) -> CheckedBlock:
    """Raises `ForeignHeaders` for the block of another header, `WrongTransactionsRoot` for another body."""
    if block.header.id != header.id:
        raise ForeignHeaders("another block than asked for", expected=header.id, got=block.header.id)
    check_transactions_root(block)
    return CheckedBlock(header, block)


class HeaderChain:
    """A branch of headers on top of a stored block, extended one valid header after another.

    Keeps the last `MEDIAN_BLOCKS` headers only; a sync that needs the others keeps them itself.
    """

    def __init__(self, spec: ChainSpec, store: ChainStore, base: BlockRef) -> None:
        self._spec = spec
        self._recent = deque(ancestors(store, base, MEDIAN_BLOCKS), maxlen=MEDIAN_BLOCKS)
        self.tip_id = base.id
        self.total_work = base.total_work

    @property
    def tip(self) -> BlockHeader:
        """The last header accepted."""
        return self._recent[-1]

    def next_bits(self) -> int:
        """Compact bits that the next header must carry."""
        grandparent = self._recent[-2] if len(self._recent) > 1 else None
        return next_bits(self._spec, self.tip, grandparent)

    def median_time_ms(self) -> int:
        """The timestamp that the next header must exceed."""
        return median_time_past([header.timestamp_ms for header in self._recent])

    def extend(self, header: BlockHeader, now_ms: int, *, work_is_checked: bool = False) -> CheckedHeader:
        """Accepts the next header. Raises what `validate_header` raises, and stays as it was.

        `work_is_checked` says that this very header has been accepted before, on whatever branch.
        """
        validate_header(
            self._spec,
            header,
            self.tip,
            self.median_time_ms(),
            self.next_bits(),
            now_ms,
            work_is_checked=work_is_checked,
        )
        self._recent.append(header)
        self.tip_id = header.id
        self.total_work += work_of_header(header)
        return CheckedHeader(header.id, self.total_work)


def ancestors(store: ChainStore, ref: BlockRef, count: int) -> list[BlockHeader]:
    """The headers of up to `count` blocks that end with `ref`, oldest first."""
    headers = [ref.header]
    while len(headers) < count and ref.height > 0:
        ref = store.parent_of(ref)
        headers.append(ref.header)
    return headers[::-1]


def work_of_header(header: BlockHeader) -> int:
    """Digests that the header stands for."""
    return work_of(bits_to_target(header.target))
