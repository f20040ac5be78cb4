"""Brings a data directory to a checked head at every start: genesis, start-up check, roll-forward, reindex.

The body of a block is appended to the block files first; the database is written after that. A crash between
the two leaves blocks in the files that the database does not know. Roll-forward imports those blocks again.

LevelDB may also lose rows without an error, because it does not verify every byte of its own files (a flipped
bit in its MANIFEST is one example). The start-up check finds such gaps and stops the node with
`CorruptStore`. Then `engram db reindex` helps: it removes the database and rebuilds it from the block files,
which hold every body. A reindex is nothing but a roll-forward over all files, into an empty database.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.genesis import Genesis
from engram.node.chain.importer import Importer, ImportStatus
from engram.node.errors import CorruptStore, DataDirLocked
from engram.node.storage.batches import (
    Execution,
    put_connected,
    put_execution,
    put_identity,
    put_ref,
    put_tip,
)
from engram.node.storage.blockfiles import MAX_RECORD_BYTES, Damage, StoredRecord
from engram.node.storage.db import Batch
from engram.node.storage.failpoints import FailPoint, hit
from engram.node.storage.schema import INDEX, Position, Verdict
from engram.node.storage.store import DATABASE_DIRECTORY, BlockRef, ChainStore
from engram.primitives import smt
from engram.primitives.codec import decode
from engram.primitives.errors import CodecError
from engram.primitives.packing import unpack

CHECKED_BLOCKS: Final = 8
_REMOVED: Final = DATABASE_DIRECTORY + ".removed"

Progress = Callable[[int], None]
"""Called with the height of the head after each block that is read from the files."""


@dataclass(frozen=True)
class RollForward:
    """What was found in the block files behind the position that the database knows."""

    head: BlockRef
    imported: int = 0
    refused: int = 0
    """Records that were not imported: no block, a block without its parent, or a block that breaks a rule."""
    damage: tuple[Damage, ...] = ()
    """Stretches of the files that belong to no intact record."""


def open_chain(
    spec: ChainSpec, genesis: Genesis, store: ChainStore, importer: Importer, progress: Progress | None = None
) -> RollForward:
    """Makes the chain of a store ready for use; the head of the result can be trusted.

    Writes genesis if the store is empty, checks the newest blocks, and imports the blocks that only the files
    hold. It blocks: call it in a worker thread. Raises `CorruptStore` if stored data are missing or
    contradict each other.
    """
    if store.tip() is None:
        write_genesis(spec, genesis, store)
    head = check_end(store)
    hit(FailPoint.OPEN_AFTER_CHECK)
    return roll_forward(store, importer, head, progress)


def write_genesis(spec: ChainSpec, genesis: Genesis, store: ChainStore) -> None:
    """Writes the first batch of a database: the chain's identity, the genesis block and its state."""
    header = genesis.block.header
    ref = BlockRef(genesis.id, header, work_of(bits_to_target(header.target)), Verdict.VALID)
    batch = Batch()
    put_identity(batch, spec_id(spec), genesis.id)
    put_ref(batch, ref)
    put_execution(batch, ref.id, None, Execution((), genesis.nodes, {}, {}))
    put_connected(batch, ref, ())
    put_tip(batch, ref, Position(0, 0))
    hit(FailPoint.GENESIS_BEFORE_COMMIT)
    store.write(batch)
    hit(FailPoint.GENESIS_AFTER_COMMIT)


def check_end(store: ChainStore, blocks: int = CHECKED_BLOCKS) -> BlockRef:
    """The head of the best chain, after a check of its end.

    Checked are the tip record, that there is one id for every height up to the head, and everything that is
    stored of the last `blocks` blocks. Raises `CorruptStore`, which says what is wrong.
    """
    tip = store.tip()
    if tip is None:
        raise CorruptStore(got="no tip record")
    head = store.get_ref(tip.block)
    if (head.height, head.state_root, head.is_valid) != (tip.height, tip.state_root, True):
        raise CorruptStore(got=f"a tip record that contradicts the header of {tip.block.hex()}")
    _check_line(store, head)
    ref = head
    for _ in range(blocks):
        check_block(store, ref)
        if ref.height == 0:
            break
        ref = store.parent_of(ref)
    return head


def check_block(store: ChainStore, ref: BlockRef) -> None:
    """Checks that all that is stored of a block of the best chain is there and fits together.

    Raises `CorruptStore`.
    """
    if ref.header.id != ref.id or not store.is_canonical(ref):
        raise CorruptStore(got=f"a header or a best id that is not of block {ref.id.hex()}")
    block = store.get_block(ref)
    if [receipt.txid for receipt in store.receipts(ref)] != [tx.id for tx in block.transactions]:
        raise CorruptStore(got=f"receipts that are not of block {ref.id.hex()}")
    for entry in store.diff(ref).entries:
        if smt.get(store, ref.state_root, entry.key) != entry.value:
            raise CorruptStore(got=f"a state that is not of block {ref.id.hex()}")


def _check_line(store: ChainStore, head: BlockRef) -> None:
    """Checks that every height up to the head has an id and an index entry; a lost batch leaves a gap."""
    expected = 0
    for height, block in store.canonical():
        if height != expected or store.database.get(INDEX + block) is None:
            raise CorruptStore(
                expected=f"best block at height {expected}", got=f"none, or one at height {height}"
            )
        expected += 1
    if expected != head.height + 1 or store.canonical_id(head.height) != head.id:
        raise CorruptStore(expected=f"{head.height + 1} best ids", got=expected)


def roll_forward(
    store: ChainStore, importer: Importer, head: BlockRef, progress: Progress | None = None
) -> RollForward:
    """Imports the blocks of the files behind the position that the database has recorded.

    A crash during the roll-forward loses nothing: each imported block is one batch, and that batch also moves
    the recorded position.
    """
    tip = store.tip()
    assert tip is not None, "`open_chain` has written genesis or read the tip"
    imported = refused = 0
    damage: list[Damage] = []
    for item in store.files.scan(tip.files_end):
        if not isinstance(item, StoredRecord):
            damage.append(item)
            continue
        block = _block_of(item)
        if block is None:
            refused += 1
            continue
        hit(FailPoint.ROLL_FORWARD_BEFORE_BLOCK)
        result = importer.import_block(block, head, block.header.timestamp_ms, (item.location, item.end))
        hit(FailPoint.ROLL_FORWARD_AFTER_BLOCK)
        head = result.head
        imported += result.answer.outcome in (
            ImportStatus.EXTENDED,
            ImportStatus.REORGED,
            ImportStatus.SIDE,
        )
        refused += result.answer.outcome in (ImportStatus.PARKED, ImportStatus.INVALID)
        if progress is not None:
            progress(head.height)
    return RollForward(head, imported, refused, tuple(damage))


def _block_of(record: StoredRecord) -> Block | None:
    try:
        return decode(Block, unpack(record.payload, MAX_RECORD_BYTES))
    except CodecError:
        return None


def remove_database(directory: Path) -> None:
    """The first half of a reindex: removes the database, so that the next `open_chain` rebuilds it.

    The folder is renamed before it is deleted, so a crash leaves the whole database or none, never a part of
    one. Raises `DataDirLocked` while a node runs on the directory.
    """
    database, removed = directory / DATABASE_DIRECTORY, directory / _REMOVED
    if database.exists():
        _check_unused(database / "LOCK")
        hit(FailPoint.REINDEX_BEFORE_REMOVE)
        shutil.rmtree(removed, ignore_errors=True)
        database.rename(removed)
    hit(FailPoint.REINDEX_AFTER_REMOVE)
    shutil.rmtree(removed, ignore_errors=True)


def _check_unused(lock: Path) -> None:
    """Raises `DataDirLocked` if a process has the database open: LevelDB then locks this file."""
    try:
        with lock.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataDirLocked(got=str(lock.parent)) from error
