"""Checks headers against the headers before them: those of the store, and those that a sync holds in memory.

Bodies and states are nobody's business here. Runs in worker threads: each header costs one proof-of-work
digest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from engram.consensus.block import BlockHeader, block_id
from engram.consensus.chainspec import ChainSpec
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.difficulty import next_bits
from engram.consensus.validation import MEDIAN_BLOCKS, median_time_past, validate_header
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives.types import Hash


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

    def extend(self, headers: Sequence[BlockHeader], now_ms: int) -> list[Hash]:
        """Accepts headers in order and returns their ids. Raises what `validate_header` raises at the first
        bad one,
        those before it being accepted."""
        ids: list[Hash] = []
        for header in headers:
            validate_header(self._spec, header, self.tip, self.median_time_ms(), self.next_bits(), now_ms)
            self._recent.append(header)
            self.tip_id = block_id(header)
            self.total_work += work_of_header(header)
            ids.append(self.tip_id)
        return ids


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
