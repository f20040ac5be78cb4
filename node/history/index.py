"""The index of accounts in the database: the entries of all blocks between two on one branch.

The blocks of the index are those above `below` up to `top`. A new index begins at the head, with no block
between the two, and grows in both directions, one batch a block: upwards as the head moves, and downwards to
genesis. So it tells the latest first, and a crash leaves it as it was after some block. When the head moves
to another branch, the blocks of the old one are taken out first, down to where the branches part. If these
are deleted already, the index begins anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec
from engram.consensus.forkchoice import plan_reorg
from engram.node.errors import CorruptStore
from engram.node.history.entries import entries_of, genesis_entries
from engram.node.storage.db import Batch
from engram.node.storage.failpoints import FailPoint, hit
from engram.node.storage.rows import read_block
from engram.node.storage.schema import ACCOUNT, ACCOUNTS, AccountEntry, AccountIndexState
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.keys import ADDRESS_BYTES
from engram.primitives.types import Address
from engram.statemachine.receipt import Receipt

STEP_BLOCKS: Final = 64
STEP_ROWS: Final = 2_000
"""One step takes so many blocks, or entries, at most, so that stopping a node waits for few."""
DROPPED_ROWS: Final = 10_000
"""So many rows are deleted at once."""
_LAST: Final = 2**32 - 1
_HEIGHTS: Final = 2**64 - 1
_PLACE_BYTES: Final = 12


@dataclass(frozen=True)
class HistoryPlace:
    """Where an entry stands on the chain: a transaction's index in its block, or -1 for before the first.

    The index is None for the mining of the block, which comes last.
    """

    height: int
    index: int | None

    @property
    def key(self) -> bytes:
        """Its end of a key: the later the place, the smaller."""
        number = _LAST if self.index is None else self.index + 1
        return (_HEIGHTS - self.height).to_bytes(8, "big") + (_LAST - number).to_bytes(4, "big")

    @classmethod
    def of(cls, key: bytes) -> HistoryPlace:
        """The place of a key that ends with it."""
        height, number = key[-_PLACE_BYTES:-4], _LAST - int.from_bytes(key[-4:], "big")
        return cls(_HEIGHTS - int.from_bytes(height, "big"), None if number == _LAST else number - 1)


@dataclass(frozen=True)
class HistoryEntry:
    """One entry, its place, and the block in which it stands."""

    place: HistoryPlace
    block: BlockRef
    entry: AccountEntry


@dataclass(frozen=True)
class HistoryPage:
    """Some entries of one account, the latest first, and which blocks the index held then."""

    top: BlockRef
    below: BlockRef
    entries: tuple[HistoryEntry, ...]
    more: bool
    """Whether the index holds earlier ones."""


class AccountIndex:
    """The index of one store. One thread at a time changes it; any thread may read `page`."""

    def __init__(self, store: ChainStore, spec: ChainSpec) -> None:
        self._store = store
        self._spec = spec
        self._lock = threading.Lock()
        self._ends: tuple[BlockRef, BlockRef] | None = None

    @property
    def ends(self) -> tuple[BlockRef, BlockRef] | None:
        """The block up to which, and the one above which, blocks are indexed; None before `open`."""
        return self._ends

    def drop(self) -> bool:
        """Deletes some of the index, first what says that there is one; whether anything is left."""
        batch = Batch()
        with self._lock:
            self._ends = None
            if self._store.database.get(ACCOUNTS) is not None:
                batch.delete(ACCOUNTS)
            for key, _ in islice(self._store.database.iterate(ACCOUNT), DROPPED_ROWS):
                batch.delete(key)
            if batch.changes:
                self._store.write(batch, sync=False)
        return bool(batch.changes)

    def open(self) -> bool:
        """Takes up the index where it was left; False if there is none, and `begin` has to make one."""
        raw = self._store.database.get(ACCOUNTS)
        if raw is None:
            return False
        with suppress(CodecError):
            state = decode(AccountIndexState, raw)
            top, below = self._store.find_ref(state.top), self._store.find_ref(state.below)
            if top is not None and below is not None:
                self._ends = top, below
        return self._ends is not None

    def begin(self, head: BlockRef) -> None:
        """Makes an index without blocks, once `drop` has left nothing of another one."""
        self._write(Batch(), head, head)

    def step(self, head: BlockRef) -> bool:
        """Indexes some blocks, those that lead to the head first; False if there is nothing to do now.

        A body that is damaged, or not here yet, is waited for. If the branch of the index is deleted, so is
        the index: `ends` is None then.
        """
        rows = blocks = 0
        while rows < STEP_ROWS and blocks < STEP_BLOCKS and self._ends is not None:
            top, below = self._ends
            if top.id != head.id:
                done = self._towards(head, STEP_BLOCKS - blocks, STEP_ROWS - rows)
            else:
                done = self._deeper(below)
            if done is None:
                return blocks > 0
            rows, blocks = rows + done[0], blocks + done[1]
        return True

    def page(self, address: Address, limit: int, before: HistoryPlace | None) -> HistoryPage | None:
        """At most `limit` entries of an account from before a place, by default the latest.

        None while there is no index, or while it stands on a branch that is no longer the best.
        """
        prefix, start = ACCOUNT + address, b"" if before is None else before.key + b"\0"
        with self._lock:
            if self._ends is None:
                return None
            rows = list(islice(self._store.database.iterate(prefix, start=start), limit + 1))
            top, below = self._ends
        found: list[HistoryEntry] = []
        for key, raw in rows[:limit]:
            place = HistoryPlace.of(key)
            block = self._store.canonical_id(place.height)
            if block is None:
                return None
            found.append(HistoryEntry(place, self._store.get_ref(block), _entry(raw)))
        if not self._store.is_canonical(top):
            return None
        return HistoryPage(top, below, tuple(found), len(rows) > limit)

    def _towards(self, head: BlockRef, blocks: int, rows: int) -> tuple[int, int] | None:
        """Takes out what left the best chain, and adds some of what joined it: entries and blocks."""
        try:
            return self._moved(head, blocks, rows)
        except CorruptStore:
            if self._store.is_canonical(self._span()[0]):
                raise
            self.drop()  # the branch on which the index stands is deleted
            return 0, 1

    def _moved(self, head: BlockRef, blocks: int, rows: int) -> tuple[int, int] | None:
        top, target = self._span()[0], head
        if head.height > top.height + blocks:
            ahead = self._store.canonical_id(top.height + blocks)
            target = head if ahead is None else self._store.get_ref(ahead)
        plan = plan_reorg(top, target, self._store.parent_of)
        leaving = plan.disconnect[:blocks]
        for ref in leaving:
            self._take_out(ref)
        added, taken = 0, len(leaving)
        for ref in plan.connect if leaving == plan.disconnect else ():
            count = self._add(ref, upwards=True)
            if count is None:
                return (added, taken) if taken else None
            added, taken = added + count, taken + 1
            if added >= rows:
                break
        return added, taken

    def _span(self) -> tuple[BlockRef, BlockRef]:
        assert self._ends is not None, "`step` comes here only while there is an index, and nobody else does"
        return self._ends

    def _deeper(self, below: BlockRef) -> tuple[int, int] | None:
        if below.height == 0:
            return None
        count = self._add(below, upwards=False)
        return None if count is None else (count, 1)

    def _add(self, ref: BlockRef, *, upwards: bool) -> int | None:
        """Adds the entries of a block at one end; how many, or None if that has to wait."""
        top, below = self._span()
        found = self._read(ref)
        if found is None:
            return None
        batch = Batch()
        for address, index, entry in entries_of(*found, self._spec.rules):
            batch.put(ACCOUNT + address + HistoryPlace(ref.height, index).key, encode(entry))
        count = len(batch.changes)
        self._write(batch, ref if upwards else top, below if upwards else self._store.parent_of(ref))
        return count

    def _take_out(self, ref: BlockRef) -> None:
        """Takes the highest block out; one that was never in only moves the end of the index."""
        parent, below = self._store.parent_of(ref), self._span()[1]
        batch = Batch()
        if ref.height > below.height:
            for key in self._keys(ref):
                batch.delete(key)
        else:
            below = parent
        self._write(batch, parent, below)

    def _keys(self, ref: BlockRef) -> Iterable[bytes]:
        """The keys of a block's entries; if its body cannot be read, they are looked for."""
        try:
            body = read_block(self._store.files, self._store.body_location(ref), ref.header)
            found = entries_of(body, self._receipts(ref), self._spec.rules)
            return [ACCOUNT + address + HistoryPlace(ref.height, index).key for address, index, _ in found]
        except CorruptStore:
            place = 1 + ADDRESS_BYTES
            height = HistoryPlace(ref.height, None).key[:8]
            rows = self._store.database.iterate(ACCOUNT)
            return [key for key, _ in rows if key[place : place + 8] == height]

    def _read(self, ref: BlockRef) -> tuple[Block, Sequence[Receipt] | None] | None:
        """A block and its receipts; None if its body is not here, or another branch has become the best."""
        if not self._store.is_canonical(ref):
            return None
        if self._store.find_body(ref) is None and ref.height <= self._store.pruned().base:
            return None  # it came in a snapshot, and its body is still to be fetched
        block = self._store.new_block(ref)
        return None if block is None else (block, self._receipts(ref))

    def _receipts(self, ref: BlockRef) -> Sequence[Receipt] | None:
        return None if ref.height <= self._store.pruned().base else self._store.receipts(ref)

    def _write(self, batch: Batch, top: BlockRef, below: BlockRef) -> None:
        """Moves the ends. Genesis comes in with the lowest block, when there is nothing left below."""
        if below.height == 0 and (self._ends is None or self._ends[1].height > 0):
            for address, number, entry in genesis_entries(self._spec):
                batch.put(ACCOUNT + address + HistoryPlace(0, number).key, encode(entry))
        batch.put(ACCOUNTS, encode(AccountIndexState(top.id, below.id)))
        hit(FailPoint.HISTORY_BEFORE_COMMIT)
        with self._lock:
            self._store.write(batch, sync=False)
            self._ends = top, below
        hit(FailPoint.HISTORY_AFTER_COMMIT)


def _entry(raw: bytes) -> AccountEntry:
    try:
        return decode(AccountEntry, raw)
    except CodecError as error:
        raise CorruptStore(got=f"an entry of an account that cannot be read: {error}") from error
