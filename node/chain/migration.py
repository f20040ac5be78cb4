"""Brings a database of layout 2 to the present one: a new database is made from it and takes its place.

Layout 2 kept every state and did not say which block had written a node last. So the newest states are copied
block by block, and each node gets the stamp of the block that it came with. Side branches are left behind: a
node that needs one fetches it again. The old database is deleted once the new one has taken its place.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import google_crc32c

from engram.consensus.block import BlockHeader
from engram.node.chain.pruning import Depths, replaced
from engram.node.errors import CorruptStore, ForeignData
from engram.node.files import folder_bytes
from engram.node.storage.batches import put_identity, put_ref, put_tip, state_diff
from engram.node.storage.db import Batch, Database, LevelDatabase
from engram.node.storage.schema import (
    BODY,
    CANONICAL,
    CONTENT,
    DIFF,
    HEADER,
    IDENTITY,
    INDEX,
    NODE,
    PEER,
    PRUNED,
    RECEIPTS,
    RECORD,
    TIP,
    TRANSACTION,
    UNDO,
    DatabaseIdentity,
    Position,
    Pruned,
    StateDiff,
    Verdict,
    canonical_key,
    stamp,
)
from engram.node.storage.store import BlockRef
from engram.node.storage.swap import BUILDING, DATABASE_DIRECTORY, finish_swap, need_space, swap
from engram.primitives import smt
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.types import U8, U64, ZERO_HASH, Hash, Size, Text

OLD_VERSION: Final = 2
BATCH_ROWS: Final = 10_000
_AS_THEY_ARE: Final = (CANONICAL, TRANSACTION, RECORD, CONTENT, PEER)


@dataclass(frozen=True)
class _Tip:
    """The tip record of layout 2."""

    height: U64
    block: Hash
    state_root: Hash
    files_end: Position


@dataclass(frozen=True)
class _IndexEntry:
    """The index entry of layout 2."""

    height: U64
    parent: Hash
    total_work: Annotated[bytes, Size(1, 40)]
    verdict: U8
    code: Text


def migrate(directory: Path, spec: Hash, genesis: Hash, depths: Depths | None) -> bool:
    """Brings the database of a data directory to the present layout; False if there was nothing to do.

    A crash leaves the old database or the new one. Raises `CorruptStore` if the old one is damaged,
    `ForeignData`, `DataDirLocked`, `SpaceMissing`, `DiskFull`, `DiskFailure`.
    """
    finish_swap(directory)
    if not (directory / DATABASE_DIRECTORY / "CURRENT").exists():
        return False
    old = LevelDatabase(directory / DATABASE_DIRECTORY)
    try:
        if not _is_old(old, spec, genesis):
            return False
        need_space(directory, folder_bytes(directory / DATABASE_DIRECTORY), "a database of the new layout")
        shutil.rmtree(directory / BUILDING, ignore_errors=True)
        new = LevelDatabase(directory / BUILDING)
        try:
            _Migration(old, new, depths).run(spec, genesis)
        finally:
            new.close()
    except CodecError as error:
        raise CorruptStore(got=f"a record of layout {OLD_VERSION} that cannot be read: {error}") from error
    finally:
        old.close()
    replaced_by = swap(directory)
    if replaced_by is not None:
        shutil.rmtree(replaced_by)
    return True


def _is_old(database: Database, spec: Hash, genesis: Hash) -> bool:
    raw = database.get(IDENTITY)
    if raw is None:
        return False
    identity = decode(DatabaseIdentity, raw)
    if identity.schema_version != OLD_VERSION:
        return False
    if (identity.spec, identity.genesis) != (spec, genesis):
        raise ForeignData(expected=genesis, got=identity.genesis)
    return True


class _OldNodes:
    """The state tree of layout 2, as `replaced` reads it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_node(self, node_hash: Hash) -> bytes:
        node = self._database.get(NODE + node_hash)
        if node is None:
            raise CorruptStore(got=f"no state tree node {node_hash.hex()}")
        return node

    def find_stamped_node(self, node_hash: Hash) -> tuple[bytes, int] | None:
        return self.get_node(node_hash), 0


class _Migration:
    def __init__(self, old: Database, new: Database, depths: Depths | None) -> None:
        self._old = old
        self._new = new
        self._nodes = _OldNodes(old)
        self._depths = depths
        self._batch = Batch()

    def run(self, spec: Hash, genesis: Hash) -> None:
        tip = self._tip()
        for table in _AS_THEY_ARE:
            for key, value in self._old.iterate(table):
                self._put(key, value)
        pruned = Pruned()
        if self._depths is not None:
            states = max(0, tip.height - self._depths.states)
            pruned = Pruned(states, max(0, tip.height - self._depths.changes))
        parent: BlockRef | None = None
        for height in range(tip.height + 1):
            parent = self._block(height, parent, pruned)
        assert parent is not None, "a height is never below 0, so the loop ran for genesis at least"
        if parent.id != tip.block:
            raise CorruptStore(got="a tip record that contradicts the best chain")
        self._invalid_blocks()
        self._flush()
        put_identity(self._batch, spec, genesis)
        put_tip(self._batch, parent, tip.files_end, parent.order)
        self._batch.put(PRUNED, encode(pruned))
        self._new.write(self._batch)

    def _tip(self) -> _Tip:
        raw = self._required(TIP)
        if google_crc32c.value(raw[:-4]).to_bytes(4, "big") != raw[-4:]:
            raise CorruptStore(got="a tip record with a wrong checksum")
        return decode(_Tip, raw[:-4])

    def _block(self, height: int, parent: BlockRef | None, pruned: Pruned) -> BlockRef:
        block = self._required(canonical_key(height))
        entry = decode(_IndexEntry, self._required(INDEX + block))
        header = decode(BlockHeader, self._required(HEADER + block))
        work = int.from_bytes(entry.total_work, "big")
        ref = BlockRef(block, header, work, Verdict(entry.verdict), entry.code, order=height)
        put_ref(self._batch, ref)
        self._put(RECEIPTS + block, self._required(RECEIPTS + block))
        if parent is not None:
            self._put(BODY + block, self._required(BODY + block))
        if height >= pruned.states:
            known = ZERO_HASH if parent is None or height == pruned.states else parent.state_root
            for name, node, _ in replaced(self._nodes, header.state_root, known):
                self._put(NODE + name, node + stamp(height))
        diff = self._required(DIFF + block)
        if height > pruned.states or parent is None:
            self._put(DIFF + block, diff)
        elif height > pruned.changes:
            keys = [entry.key for entry in decode(StateDiff, diff).entries]
            undo = {key: smt.get(self._nodes, parent.state_root, key) for key in keys}
            self._put(UNDO + block, encode(state_diff(undo)))
        return ref

    def _invalid_blocks(self) -> None:
        """Keeps the verdicts on blocks that break a rule."""
        for key, raw in self._old.iterate(INDEX):
            entry = decode(_IndexEntry, raw)
            if Verdict(entry.verdict) is Verdict.INVALID:
                header = decode(BlockHeader, self._required(HEADER + key[1:]))
                work = int.from_bytes(entry.total_work, "big")
                put_ref(self._batch, BlockRef(key[1:], header, work, Verdict.INVALID, entry.code))

    def _required(self, key: bytes) -> bytes:
        raw = self._old.get(key)
        if raw is None:
            raise CorruptStore(got=f"no row {key.hex()}")
        return raw

    def _put(self, key: bytes, value: bytes) -> None:
        self._batch.put(key, value)
        if len(self._batch.changes) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._new.write(self._batch, sync=False)
        self._batch = Batch()
