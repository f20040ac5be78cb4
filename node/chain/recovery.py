"""Brings a data directory to a checked head at every start: genesis, start-up check, roll-forward, reindex.

The body of a block is appended to the block files first; the database is written after that. A crash between
the two leaves blocks in the files that the database does not know. Roll-forward imports those blocks again.

LevelDB may also lose rows without an error, because it does not verify every byte of its own files (a flipped
bit in its MANIFEST is one example). The start-up check finds such gaps and stops the node with
`CorruptStore`. Then `engram db reindex` helps (see `rebuild`): it makes a new database from the block files,
which is nothing but a roll-forward over all files into an empty database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.errors import UnknownParent
from engram.consensus.genesis import Genesis
from engram.node.chain.errors import OriginMissing
from engram.node.chain.importer import Importer, ImportStatus
from engram.node.errors import CorruptStore, DamagedBody
from engram.node.storage.batches import (
    Execution,
    put_connected,
    put_execution,
    put_identity,
    put_ref,
    put_tip,
)
from engram.node.storage.blockfiles import MAX_RECORD_BYTES, Damage
from engram.node.storage.db import Batch
from engram.node.storage.failpoints import FailPoint, hit
from engram.node.storage.schema import DIFF, INDEX, BlockLocation, Position, Verdict
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives import smt
from engram.primitives.codec import decode
from engram.primitives.errors import CodecError
from engram.primitives.packing import unpack
from engram.primitives.types import Hash

CHECKED_BLOCKS: Final = 8
CHECKED_RECORDS: Final = 2_000
ALL_RECORDS: Final = 2**32

Progress = Callable[[int], None]
"""Called with the height after each block."""
Reached = Callable[[int, Position], None]
"""Called with the height of the head, and the end of the last record that was read from the files."""


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
    spec: ChainSpec, genesis: Genesis, store: ChainStore, importer: Importer, reached: Reached | None = None
) -> RollForward:
    """Makes the chain of a store ready for use; the head of the result can be trusted.

    Writes genesis if the store is empty, checks the newest blocks, and imports the blocks that only the files
    hold. It blocks: call it in a worker thread. Raises `CorruptStore` if stored data are missing or
    contradict each other.
    """
    if store.tip() is None:
        write_genesis(spec, genesis, store)
    if store.files.lost is not None:
        store.note_lost_bodies()
    head = check_end(store)
    hit(FailPoint.OPEN_AFTER_CHECK)
    return roll_forward(store, importer, head, reached)


def write_genesis(spec: ChainSpec, genesis: Genesis, store: ChainStore) -> None:
    """Writes the first batch of a database: the chain's identity, the genesis block and its state.

    Raises `OriginMissing` if the state is that of another chain, and is not in the store.
    """
    header = genesis.block.header
    if spec.origin is not None and store.find_stamped_node(header.state_root) is None:
        raise OriginMissing(expected=header.state_root)
    ref = BlockRef(genesis.id, header, work_of(bits_to_target(header.target)), Verdict.VALID)
    batch = Batch()
    put_identity(batch, spec_id(spec), genesis.id)
    put_ref(batch, ref)
    put_execution(batch, ref.id, None, Execution((), genesis.nodes, {}, {}), 0)
    put_connected(batch, ref, ())
    put_tip(batch, ref, Position(0, 0), 0)
    hit(FailPoint.GENESIS_BEFORE_COMMIT)
    store.write(batch)
    hit(FailPoint.GENESIS_AFTER_COMMIT)


def check_end(store: ChainStore, blocks: int = CHECKED_BLOCKS, records: int = CHECKED_RECORDS) -> BlockRef:
    """The head of the best chain, after a check of its end.

    Checked are the tip record, that there is one id for every height up to the head, and everything that is
    stored of the last `blocks` blocks; of full ones only `records` records, so that a start after them takes
    no longer. Raises `CorruptStore`, which says what is wrong. A damaged body does not keep a node from
    starting: it is noted in `store.damaged`.
    """
    tip = store.tip()
    if tip is None:
        raise CorruptStore(got="no tip record")
    head = store.get_ref(tip.block)
    if (head.height, head.state_root, head.is_valid) != (tip.height, tip.state_root, True):
        raise CorruptStore(got=f"a tip record that contradicts the header of {tip.block.hex()}")
    _check_line(store, head)
    ref, left = head, records
    for _ in range(blocks):
        with suppress(DamagedBody):
            left -= check_block(store, ref, left)
        if ref.height <= store.pruned().base:
            break
        ref = store.parent_of(ref)
    return head


def check_block(store: ChainStore, ref: BlockRef, most: int = ALL_RECORDS) -> int:
    """Checks that what is stored of a block of the best chain is there and fits together.

    Of a block that has changed more than `most` records, so many of them are looked at, and the body is read
    but not decoded. Returns how many records it has looked at. Raises `CorruptStore`, and `DamagedBody` if
    nothing but the body is damaged.
    """
    if ref.header.id != ref.id or not store.is_canonical(ref):
        raise CorruptStore(got=f"a header or a best id that is not of block {ref.id.hex()}")
    if ref.height and ref.height <= store.pruned().base:
        return 0
    looked = check_state(store, ref, most)
    if looked == most and ref.height:
        store.require_receipts(ref)
        store.packed_body(ref)
        return looked
    receipts = store.receipts(ref)
    if [receipt.txid for receipt in receipts] != [tx.id for tx in store.get_block(ref).transactions]:
        raise CorruptStore(got=f"receipts that are not of block {ref.id.hex()}")
    return looked


def check_state(store: ChainStore, ref: BlockRef, most: int = ALL_RECORDS) -> int:
    """Checks that the state after a block holds what the block changed, if the node keeps that.

    Looks at `most` records at the most, evenly over all, and says at how many. Raises `CorruptStore`.
    """
    diff = store.find_changes(DIFF, ref)
    if diff is None:
        if ref.height > store.pruned().states:
            raise CorruptStore(got=f"no changes of the state by block {ref.id.hex()}")
        return 0
    changed = len(diff.entries)
    looked = min(most, changed)
    for place in range(looked):
        entry = diff.entries[place * changed // looked]
        if smt.get(store, ref.state_root, entry.key) != entry.value:
            raise CorruptStore(got=f"a state that is not of block {ref.id.hex()}")
    return looked


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
    store: ChainStore, importer: Importer, head: BlockRef, reached: Reached | None = None
) -> RollForward:
    """Imports the blocks of the files behind the position that the database has recorded.

    A block that stands before its parent is imported after it: a body that was damaged and fetched again
    stands behind the blocks that need it. A crash during the roll-forward loses nothing: each imported block
    is one batch, which also moves the recorded position, but never past a block that still waits.
    """
    return _RollForward(store, importer, head, reached).run()


class _RollForward:
    """One roll-forward: the head, what was counted, and the blocks whose parents have not come yet."""

    def __init__(
        self, store: ChainStore, importer: Importer, head: BlockRef, reached: Reached | None
    ) -> None:
        self._store = store
        self._importer = importer
        self._head = head
        self._told = reached
        self._imported = self._refused = 0
        self._waiting: dict[Hash, list[BlockLocation]] = {}
        """Places of blocks by the id of their missing parent."""

    def run(self) -> RollForward:
        tip = self._store.tip()
        assert tip is not None, "`open_chain` has written genesis or read the tip"
        damage: list[Damage] = []
        end = reached = tip.files_end
        for item in self._store.files.scan(tip.files_end):
            if isinstance(item, Damage):
                damage.append(item)
                continue
            reached = item.end
            block = _block_of(item.payload)
            if block is None:
                self._refused += 1
            else:
                self._take(block, item.location, end if self._waiting else reached)
            if not self._waiting:
                end = reached
            if self._told is not None:
                self._told(self._head.height, reached)
        if self._waiting:
            self._refused += sum(map(len, self._waiting.values()))
            batch = Batch()
            put_tip(batch, self._head, reached, self._store.executed())
            self._store.write(batch)
        return RollForward(self._head, self._imported, self._refused, tuple(damage))

    def _take(self, block: Block, location: BlockLocation, end: Position) -> None:
        """Imports a block, and then those that have waited for it."""
        pending = [(block, location)]
        while pending:
            block, location = pending.pop()
            hit(FailPoint.ROLL_FORWARD_BEFORE_BLOCK)
            result = self._importer.import_block(
                block, self._head, block.header.timestamp_ms, (location, end)
            )
            hit(FailPoint.ROLL_FORWARD_AFTER_BLOCK)
            self._head = result.head
            self._importer.prune(self._head.height)
            status = result.answer.outcome
            self._imported += status in (ImportStatus.EXTENDED, ImportStatus.REORGED, ImportStatus.SIDE)
            if result.answer.code == UnknownParent.code:
                self._waiting.setdefault(block.header.parent, []).append(location)
            elif status in (ImportStatus.PARKED, ImportStatus.INVALID):
                self._refused += 1
            else:
                pending += self._children(result.answer.block)

    def _children(self, parent: Hash) -> Iterator[tuple[Block, BlockLocation]]:
        for location in self._waiting.pop(parent, ()):
            block = _block_of(self._store.files.read(location))
            assert block is not None, "it was decoded when it was met first"
            yield block, location


def _block_of(payload: bytes) -> Block | None:
    try:
        return decode(Block, unpack(payload, MAX_RECORD_BYTES))
    except CodecError:
        return None
