"""The best chain as RPC requests read it: the state, records and blocks as of one head.

A view belongs to the head at which it was made. While a request is being answered the head may move, but
everything that is read through one view fits together. The methods read the disk, so they are called in
worker threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from engram.consensus.chainspec import ChainSpec
from engram.consensus.context import block_context
from engram.consensus.genesis import NOBODY
from engram.node.chain.chain import Chain
from engram.node.concurrency import ReaderThreads
from engram.node.errors import BlockNotFound
from engram.node.rpc.slow import SlowCalls
from engram.node.storage.recordindex import records
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives.types import Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import MissingRecord
from engram.statemachine.record import Record, u32
from engram.statemachine.records import Model, RoundClock, Version
from engram.statemachine.roundclock import round_clock
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class HeadView:
    """The chain as of one head."""

    spec: ChainSpec
    store: ChainStore
    head: BlockRef
    state: State

    @property
    def clock(self) -> RoundClock:
        """The round clock and the base of fees after this head."""
        return round_clock(self.state)

    def records(self, cls: type[R], *key_parts: bytes, start: bytes = b"") -> Iterator[R]:
        """The same as `recordindex.records`, for the state of this head."""
        return records(self.store.database, self.state, cls, *key_parts, start=start)

    def version(self, model: Hash, number: int | None) -> Version:
        """A version of a model, by default the current one. Raises `MissingRecord`."""
        current = self.state.get(Model, model).head
        wanted = current if number is None else number
        if not 0 <= wanted <= current:
            raise MissingRecord("version", model)
        return self.state.get(Version, model, u32(wanted))

    def block(self, height: int | None, identity: Hash | None) -> BlockRef:
        """A valid block by its id, or a block of the best chain by its height; the head if both are None.

        Raises `BlockNotFound`.
        """
        if identity is None:
            identity = self.head.id if height is None else self.canonical_id(height)
        ref = self.store.find_ref(identity) if identity is not None else None
        if ref is None or not ref.is_valid:
            raise BlockNotFound(got=height if identity is None else identity)
        return ref

    def canonical_id(self, height: int) -> Hash | None:
        """Id of the best chain's block at a height; None below 0 and above the head of this view."""
        if height == self.head.height:
            return self.head.id
        return self.store.canonical_id(height) if 0 <= height < self.head.height else None


@dataclass(frozen=True)
class HeadViews:
    """Makes views of the present head of one chain."""

    chain: Chain
    scorer: Scorer
    threads: ReaderThreads
    """The threads in which blocking methods of a view are called."""
    slow: SlowCalls
    """Calls methods that compute for long."""

    def now(self) -> HeadView:
        """A view of the present head."""
        head = self.chain.head
        return HeadView(self.chain.spec, self.chain.store, head, State(self.chain.store, head.state_root))

    def next_block(self, view: HeadView) -> BlockContext:
        """The context of the block after a view's head, as far as it is known before that block is mined."""
        return block_context(view.spec, view.head.header, view.state, NOBODY, self.chain.store, self.scorer)
