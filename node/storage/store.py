"""The chain on disk: typed reads of the database and the block files, and the write of one batch.

The store knows how data are laid out; `chain` decides which blocks are valid and which branch is best. Any
thread may read. Only the chain's one writer writes. The pure core reads the state tree and the content
through its protocols `NodeReader` and `BlobReader`, which `ChainStore` implements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from engram.consensus.block import Block, BlockHeader
from engram.node.errors import (
    BeforeSnapshot,
    CorruptStore,
    DamagedBody,
    ForeignData,
    SchemaMismatch,
    StatePruned,
)
from engram.node.files import make_folder
from engram.node.storage.blockfiles import MAX_FILE_BYTES, BlockFiles
from engram.node.storage.blocklog import BlockLog
from engram.node.storage.damage import DamagedBodies
from engram.node.storage.db import Batch, Database, LevelDatabase
from engram.node.storage.lru import ByteLru
from engram.node.storage.nodecache import NodeCache
from engram.node.storage.rows import decoded, opened_tip, read_block, unpacked
from engram.node.storage.schema import (
    BODY,
    CANONICAL,
    CONTENT,
    DIFF,
    HEADER,
    IDENTITY,
    INDEX,
    NODE,
    PRUNED,
    RECEIPTS,
    SCHEMA_VERSION,
    STAMP_BYTES,
    TIP,
    TRANSACTION,
    BlockLocation,
    BlockReceipts,
    DatabaseIdentity,
    IndexEntry,
    Position,
    Pruned,
    StateDiff,
    Tip,
    TxLocation,
    Verdict,
    canonical_key,
)
from engram.node.storage.swap import DATABASE_DIRECTORY, finish_swap
from engram.node.storage.written import WRITTEN_BYTES, Written, written_bytes
from engram.primitives.codec import decode
from engram.primitives.errors import CodecError, StorageError
from engram.primitives.types import Hash
from engram.statemachine.errors import MissingBlob
from engram.statemachine.receipt import Receipt

T = TypeVar("T")

BLOCKS_DIRECTORY: Final = "blocks"
_REF_BYTES: Final = 1_000
_REFS_CACHE_BYTES: Final = 2 << 20


@dataclass(frozen=True)
class BlockRef:
    """A judged block without its body: its header, its total work and its verdict."""

    id: Hash
    header: BlockHeader
    total_work: int
    """Work of the block and all its ancestors."""
    verdict: Verdict
    code: str = ""
    """Code of the rule that an invalid block breaks; empty if the block is valid."""
    order: int = 0
    """See `IndexEntry`."""

    @property
    def height(self) -> int:
        return self.header.height

    @property
    def parent(self) -> Hash:
        return self.header.parent

    @property
    def state_root(self) -> Hash:
        return self.header.state_root

    @property
    def is_valid(self) -> bool:
        return self.verdict is Verdict.VALID


class ChainStore:
    """Headers, bodies, receipts, diffs, index, best chain, transactions, state tree and content of one chain.

    A method `find_…` returns None if the store does not hold what is asked for. A method that promises a
    value raises `CorruptStore` if that value is missing, because then the store contradicts itself;
    `get_blob` alone raises `MissingBlob`. A body that cannot be read raises `DamagedBody` and is noted in
    `damaged`: the chain goes on without it, because no later block needs it, and peers have it too.
    """

    def __init__(self, database: Database, files: BlockLog) -> None:
        self.database = database
        self.files = files
        self.damaged = DamagedBodies()
        self._refs: ByteLru[BlockRef] = ByteLru(_REFS_CACHE_BYTES, lambda ref: _REF_BYTES)
        self._nodes = NodeCache()
        self._written: ByteLru[Written] = ByteLru(WRITTEN_BYTES, written_bytes)

    @property
    def failure(self) -> StorageError | None:
        """What kept a write from being done; from then on nothing is written."""
        return self.database.failure or self.files.failure

    def close(self) -> None:
        try:
            self.files.close()
        finally:
            self.database.close()

    def find_ref(self, block: Hash) -> BlockRef | None:
        """A block that has been judged, valid or not; None if the store does not know it."""
        ref = self._refs.get(block)
        if ref is not None:
            return ref
        raw = self.database.get(INDEX + block)
        if raw is None:
            return None
        entry = decoded(IndexEntry, raw, "index entry")
        header = decoded(BlockHeader, self._required(HEADER + block, "header"), "header")
        ref = BlockRef(block, header, entry.work, Verdict(entry.verdict), entry.code, entry.order)
        self._refs.put(block, ref)
        return ref

    def get_ref(self, block: Hash) -> BlockRef:
        """As `find_ref`, for a block that the store must know. Raises `CorruptStore` if it does not."""
        ref = self.find_ref(block)
        if ref is None:
            raise CorruptStore(got=f"no index entry of block {block.hex()}")
        return ref

    def parent_of(self, ref: BlockRef) -> BlockRef:
        """The parent of a block."""
        return self.get_ref(ref.parent)

    def find_block(self, block: Hash) -> Block | None:
        """A valid block with its transactions; None if it is unknown or invalid. Raises `DamagedBody`."""
        ref = self.find_ref(block)
        return self.get_block(ref) if ref is not None and ref.is_valid else None

    def get_block(self, ref: BlockRef) -> Block:
        """A valid block with its transactions. Raises `DamagedBody` if its body is missing or damaged."""
        if ref.height == 0:
            return Block(ref.header, ())
        with self._noted(ref):
            return read_block(self.files, self.body_location(ref), ref.header)

    def whole_block(self, ref: BlockRef) -> Block | None:
        """As `get_block`, but None if the body is damaged."""
        with suppress(DamagedBody):
            return self.get_block(ref)
        return None

    def new_block(self, ref: BlockRef) -> Block | None:
        """As `whole_block`, but from memory if the block was written just now."""
        written = self._written.get(ref.id)
        return self.whole_block(ref) if written is None else written.block

    def packed_body(self, ref: BlockRef) -> bytes:
        """A valid block above genesis as the block files hold it. Raises `DamagedBody`."""
        with self._noted(ref):
            return self.files.read(self.body_location(ref))

    def body_slice(self, ref: BlockRef, start: int, size_bytes: int) -> bytes:
        """Some of the bytes that `packed_body` gives, without a check. Raises `DamagedBody`."""
        with self._noted(ref):
            return self.files.read_slice(self.body_location(ref), start, size_bytes)

    @contextmanager
    def _noted(self, ref: BlockRef) -> Iterator[None]:
        try:
            yield
        except CorruptStore as error:
            if ref.height > self.pruned().base or self.find_body(ref) is not None:
                self.damaged.add(ref.id)  # else the block came in a snapshot, and its body is still to come
            raise DamagedBody(expected=ref.id, got=error.got) from error

    def body_location(self, ref: BlockRef) -> BlockLocation:
        """Where the body of a valid block above genesis stands in the block files."""
        return decoded(BlockLocation, self._required(BODY + ref.id, "body location"), "body location")

    def find_body(self, ref: BlockRef) -> BlockLocation | None:
        """Where a body stands; None if there is none. Raises `CorruptStore`."""
        raw = self.database.get(BODY + ref.id)
        return None if raw is None else decoded(BlockLocation, raw, "body location")

    def note_lost_bodies(self) -> None:
        """Notes in `damaged` whose bodies the block files have lost with their end. Reads all places."""
        for key, raw in self.database.iterate(BODY):
            if not self.files.is_there(decoded(BlockLocation, raw, "body location")):
                self.damaged.add(key[1:])

    def receipts(self, ref: BlockRef) -> tuple[Receipt, ...]:
        """The receipts of a valid block, in the order of its transactions. Raises `BeforeSnapshot`."""
        if (written := self._written.get(ref.id)) is not None:
            return written.receipts
        return decoded(BlockReceipts, self.require_receipts(ref), "receipts").receipts

    def require_receipts(self, ref: BlockRef) -> bytes:
        """The encoded receipts of a valid block. Raises `BeforeSnapshot` if the block came in a snapshot."""
        raw = self.database.get(RECEIPTS + ref.id)
        if raw is None and ref.height <= self.pruned().base:
            raise BeforeSnapshot(expected=self.pruned().base + 1, got=ref.height)
        return self._required(RECEIPTS + ref.id, "receipts") if raw is None else raw

    def diff(self, ref: BlockRef) -> StateDiff:
        """The records that a valid block changed. Raises `StatePruned` if the state before it is pruned."""
        written = self._written.get(ref.id)
        found = self.find_changes(DIFF, ref) if written is None else written.changes
        if found is None:
            self.require_state(ref.height)
            raise CorruptStore(got=f"no state diff of block {ref.id.hex()}")
        return found

    def find_changes(self, table: bytes, ref: BlockRef) -> StateDiff | None:
        """What a block changed (`DIFF`) or what undoes that (`UNDO`); None if it is not kept."""
        raw = self.database.get(table + ref.id)
        return None if raw is None else decoded(StateDiff, raw, "state diff")

    def canonical_id(self, height: int) -> Hash | None:
        """Id of the best chain's block at a height; None above the head and below 0."""
        return self.database.get(canonical_key(height)) if height >= 0 else None

    def canonical(self, start: int = 0) -> Iterator[tuple[int, Hash]]:
        """Height and id of each block of the best chain, from height `start` upwards."""
        for key, block in self.database.iterate(CANONICAL, start=start.to_bytes(8, "big")):
            yield int.from_bytes(key[1:], "big"), block

    def is_canonical(self, ref: BlockRef) -> bool:
        """Whether the block stands on the best chain."""
        return self.canonical_id(ref.height) == ref.id

    def find_transaction(self, txid: Hash) -> TxLocation | None:
        """Where a transaction stands on the best chain; None if it is not on it."""
        raw = self.database.get(TRANSACTION + txid)
        return None if raw is None else decoded(TxLocation, raw, "transaction location")

    def get_node(self, node_hash: Hash) -> bytes:
        """A node of the state tree. Raises `CorruptStore` if it is missing.

        Small nodes are kept in memory, because every lookup of a key reads the nodes at the top of the tree.
        """
        node = self._nodes.recent.get(node_hash)
        if node is None:
            node = self._nodes.get(node_hash)
            if node is None:
                raw = self.database.get(NODE + node_hash)  # without `stamped_node`: blocks read thousands
                if raw is None:
                    raise _no_node(node_hash)
                node = raw[:-STAMP_BYTES]
                self._nodes.keep(node_hash, node)
        return node

    def remember(self, ref: BlockRef, written: Written, nodes: Mapping[Hash, bytes]) -> None:
        """Keeps in memory what is read next of a block that was written: by the next block its entry and its
        nodes, by those who follow the head its transactions, receipts and changes.
        """
        self._refs.put(ref.id, ref)
        self._written.put(ref.id, written)
        self._nodes.keep_all(nodes)

    def stamped_node(self, node_hash: Hash) -> tuple[bytes, int]:
        """A node, and the order of the block that wrote it last. Raises `CorruptStore` if it is missing."""
        found = self.find_stamped_node(node_hash)
        if found is None:
            raise _no_node(node_hash)
        return found

    def find_stamped_node(self, node_hash: Hash) -> tuple[bytes, int] | None:
        """As `stamped_node`, but None if the node is missing."""
        raw = self.database.get(NODE + node_hash)
        return None if raw is None else (raw[:-STAMP_BYTES], int.from_bytes(raw[-STAMP_BYTES:], "big"))

    def forget_nodes(self, names: Iterable[Hash]) -> None:
        """Drops nodes from memory that were deleted."""
        self._nodes.forget(names)

    def forget_refs(self, blocks: Iterable[Hash]) -> None:
        """Drops blocks from memory whose rows were deleted."""
        gone = list(blocks)
        for block in gone:
            self._refs.drop(block)
        self.forget_written(gone)

    def forget_written(self, blocks: Iterable[Hash]) -> None:
        """Drops from memory what was kept of blocks that were written just now."""
        for block in blocks:
            self._written.drop(block)

    def pruned(self) -> Pruned:
        """From which heights on old states are there."""
        raw = self.database.get(PRUNED)
        return Pruned() if raw is None else decoded(Pruned, raw, "record of what was pruned")

    def require_state(self, height: int) -> None:
        """Raises `StatePruned` unless the state after the best chain's block at a height is there whole."""
        oldest = self.pruned().states
        if height < oldest:
            raise StatePruned(expected=oldest, got=height)

    def get_blob(self, blob_id: Hash) -> bytes:
        """A tensor, data part or chunk by its content id. Raises `MissingBlob`, `CorruptStore`."""
        packed = self.database.get(CONTENT + blob_id)
        if packed is None:
            raise MissingBlob(expected=blob_id)
        return unpacked(packed, "blob")

    def packed_content(self, name: Hash) -> bytes:
        """Content as the database holds it. Raises `CorruptStore` if it is missing."""
        packed = self.database.get(CONTENT + name)
        if packed is None:
            raise CorruptStore(got=f"no content {name.hex()}")
        return packed

    def tip(self) -> Tip | None:
        """The tip record; None if genesis was not written yet. Raises `CorruptStore` if it is damaged."""
        raw = self.database.get(TIP)
        return None if raw is None else opened_tip(raw)

    def executed(self) -> int:
        """How many blocks above genesis were executed."""
        return 0 if (tip := self.tip()) is None else tip.executed

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        """Stores a batch whole or not at all. Raises `StorageError`."""
        self.database.write(batch, sync=sync)

    def _required(self, key: bytes, what: str) -> bytes:
        raw = self.database.get(key)
        if raw is None:
            raise CorruptStore(got=f"no {what} of block {key[1:].hex()}")
        return raw


def _no_node(node_hash: Hash) -> CorruptStore:
    return CorruptStore(got=f"no state tree node {node_hash.hex()}")


def open_store(
    directory: Path, spec: Hash, genesis: Hash, *, max_file_bytes: int = MAX_FILE_BYTES
) -> ChainStore:
    """The store of a data directory, made if there is none. A block file holds `max_file_bytes` at most.

    Raises `DataDirLocked`, `SchemaMismatch`, `ForeignData`, `CorruptStore`, `DiskFull`, `DiskFailure`.
    """
    make_folder(directory)
    finish_swap(directory)
    database = LevelDatabase(directory / DATABASE_DIRECTORY)
    try:
        check_identity(database, spec, genesis)
        raw = database.get(TIP)
        committed = Position(0, 0) if raw is None else opened_tip(raw).files_end
        files = BlockFiles(directory / BLOCKS_DIRECTORY, genesis, committed, max_file_bytes=max_file_bytes)
        return ChainStore(database, files)
    except BaseException:
        database.close()
        raise


def check_identity(database: Database, spec: Hash, genesis: Hash) -> None:
    """Checks that a database is empty or holds this chain in this layout.

    Raises `SchemaMismatch`, `ForeignData`, and `CorruptStore` if the database has rows but no identity.
    """
    raw = database.get(IDENTITY)
    if raw is None:
        if next(database.iterate(), None) is not None:
            raise CorruptStore(got="a database with rows but without the record that names its chain")
        return
    try:
        identity = decode(DatabaseIdentity, raw)
    except CodecError as error:
        raise SchemaMismatch(expected=SCHEMA_VERSION, got=f"an unknown layout ({error})") from error
    if identity.schema_version != SCHEMA_VERSION:
        raise SchemaMismatch(expected=SCHEMA_VERSION, got=identity.schema_version)
    if (identity.spec, identity.genesis) != (spec, genesis):
        raise ForeignData(expected=genesis, got=identity.genesis)
