"""The chain on disk: typed reads of the database and the block files, and the one batch of each block.

Knows layouts, not rules: who is valid and which branch is best is decided in `chain`. All reads are safe
from any thread; writes come from the chain's single writer. `NodeReader` and `BlobReader` of the pure core
are this object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import google_crc32c

from engram.consensus.block import Block, BlockHeader
from engram.node.errors import CorruptStore, ForeignData, SchemaMismatch
from engram.node.storage.blockfiles import MAX_FILE_BYTES, BlockFiles, BlockLog
from engram.node.storage.db import Batch, Database, LevelDatabase
from engram.node.storage.lru import ByteLru
from engram.node.storage.schema import (
    BODY,
    CANONICAL,
    CONTENT,
    DIFF,
    HEADER,
    IDENTITY,
    INDEX,
    NODE,
    RECEIPTS,
    SCHEMA_VERSION,
    TIP,
    TRANSACTION,
    BlockLocation,
    BlockReceipts,
    DatabaseIdentity,
    IndexEntry,
    Position,
    StateDiff,
    Tip,
    TxLocation,
    Verdict,
    canonical_key,
)
from engram.primitives.codec import decode
from engram.primitives.errors import CodecError
from engram.primitives.types import Hash
from engram.statemachine.errors import MissingBlob
from engram.statemachine.receipt import Receipt

T = TypeVar("T")

DATABASE_DIRECTORY: Final = "leveldb"
BLOCKS_DIRECTORY: Final = "blocks"
_REF_BYTES: Final = 1_000
_REFS_CACHE_BYTES: Final = 2 << 20
_KEPT_NODES: Final = 32_768
_KEPT_NODE_BYTES: Final = 128
"""Inner nodes and accounts: a kept node takes about 300 bytes with its key, all of them 10 MB."""


@dataclass(frozen=True)
class BlockRef:
    """A block of the index: its header, its place in the tree of blocks and its verdict."""

    id: Hash
    header: BlockHeader
    total_work: int
    """Work of the block and all its ancestors."""
    verdict: Verdict
    code: str = ""
    """Why it is invalid."""

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

    `find_*` return None where there is nothing; `get_*` raise `CorruptStore` for what the store itself
    vouches for.
    """

    def __init__(self, database: Database, files: BlockLog) -> None:
        self.database = database
        self.files = files
        self._refs: ByteLru[BlockRef] = ByteLru(_REFS_CACHE_BYTES, lambda ref: _REF_BYTES)
        self._nodes: dict[Hash, bytes] = {}

    def close(self) -> None:
        self.files.close()
        self.database.close()

    def find_ref(self, block: Hash) -> BlockRef | None:
        """The index entry of a block that has been judged, valid or not."""
        ref = self._refs.get(block)
        if ref is not None:
            return ref
        raw = self.database.get(INDEX + block)
        if raw is None:
            return None
        entry = _decoded(IndexEntry, raw, "index entry")
        header = _decoded(BlockHeader, self._required(HEADER + block, "header"), "header")
        ref = BlockRef(block, header, entry.work, Verdict(entry.verdict), entry.code)
        self._refs.put(block, ref)
        return ref

    def get_ref(self, block: Hash) -> BlockRef:
        """As `find_ref`, for a block that must be there."""
        ref = self.find_ref(block)
        if ref is None:
            raise CorruptStore(got=f"no index entry of block {block.hex()}")
        return ref

    def parent_of(self, ref: BlockRef) -> BlockRef:
        """The block below."""
        return self.get_ref(ref.parent)

    def find_block(self, block: Hash) -> Block | None:
        """Header and transactions of a valid block. Raises `CorruptStore` if its body is damaged."""
        ref = self.find_ref(block)
        return self.get_block(ref) if ref is not None and ref.is_valid else None

    def get_block(self, ref: BlockRef) -> Block:
        """Header and transactions of a valid block."""
        if ref.height == 0:
            return Block(ref.header, ())
        return read_block(self.files, self.body_location(ref), ref.header)

    def body_location(self, ref: BlockRef) -> BlockLocation:
        """Where the body of a valid block above genesis stands in the block files."""
        return _decoded(BlockLocation, self._required(BODY + ref.id, "body location"), "body location")

    def receipts(self, ref: BlockRef) -> tuple[Receipt, ...]:
        """The receipts of a valid block, in the order of its transactions."""
        return _decoded(BlockReceipts, self._required(RECEIPTS + ref.id, "receipts"), "receipts").receipts

    def diff(self, ref: BlockRef) -> StateDiff:
        """The records that a valid block changed."""
        return _decoded(StateDiff, self._required(DIFF + ref.id, "state diff"), "state diff")

    def canonical_id(self, height: int) -> Hash | None:
        """Id of the best chain's block at a height; None above the tip."""
        return self.database.get(canonical_key(height)) if height >= 0 else None

    def canonical(self, start: int = 0) -> Iterator[tuple[int, Hash]]:
        """(height, id) along the best chain from `start` on."""
        for key, block in self.database.iterate(CANONICAL, start=start.to_bytes(8, "big")):
            yield int.from_bytes(key[1:], "big"), block

    def is_canonical(self, ref: BlockRef) -> bool:
        """Whether the block stands on the best chain."""
        return self.canonical_id(ref.height) == ref.id

    def find_transaction(self, txid: Hash) -> TxLocation | None:
        """Where a transaction stands on the best chain."""
        raw = self.database.get(TRANSACTION + txid)
        return None if raw is None else _decoded(TxLocation, raw, "transaction location")

    def get_node(self, node_hash: Hash) -> bytes:
        """A node of the state tree. Small ones are kept: a block reads the top of the tree for every key."""
        node = self._nodes.get(node_hash)
        if node is not None:
            return node
        node = self.database.get(NODE + node_hash)
        if node is None:
            raise CorruptStore(got=f"no state tree node {node_hash.hex()}")
        if len(node) <= _KEPT_NODE_BYTES:
            if len(self._nodes) >= _KEPT_NODES:
                self._nodes.clear()  # an order of use would cost every read more than a rare refill does
            self._nodes[node_hash] = node
        return node

    def get_blob(self, blob_id: Hash) -> bytes:
        """Tensor, data part or chunk by content id. Raises `MissingBlob`."""
        blob = self.database.get(CONTENT + blob_id)
        if blob is None:
            raise MissingBlob(expected=blob_id)
        return blob

    def tip(self) -> Tip | None:
        """The tip record; None in a store without genesis. Raises `CorruptStore` if its checksum is wrong."""
        raw = self.database.get(TIP)
        return None if raw is None else _open_tip(raw)

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        """Stores a batch: all or nothing."""
        self.database.write(batch, sync=sync)

    def _required(self, key: bytes, what: str) -> bytes:
        raw = self.database.get(key)
        if raw is None:
            raise CorruptStore(got=f"no {what} of block {key[1:].hex()}")
        return raw


def open_store(
    directory: Path, spec: Hash, genesis: Hash, *, max_file_bytes: int = MAX_FILE_BYTES
) -> ChainStore:
    """The store in a data directory, made if absent; `max_file_bytes` bounds each block file.

    Raises `DataDirLocked`, `SchemaMismatch`, `ForeignData`, `CorruptStore`, `DiskFull`, `DiskFailure`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    database = LevelDatabase(directory / DATABASE_DIRECTORY)
    try:
        check_identity(database, spec, genesis)
        raw = database.get(TIP)
        committed = Position(0, 0) if raw is None else _open_tip(raw).files_end
        files = BlockFiles(directory / BLOCKS_DIRECTORY, genesis, committed, max_file_bytes=max_file_bytes)
        return ChainStore(database, files)
    except BaseException:
        database.close()
        raise


def check_identity(database: Database, spec: Hash, genesis: Hash) -> None:
    """Refuses a database of another layout or chain, and one that lost its identity."""
    raw = database.get(IDENTITY)
    if raw is None:
        if next(database.iterate(), None) is not None:
            raise CorruptStore(got="rows, but no record of the chain they belong to")
        return
    try:
        identity = decode(DatabaseIdentity, raw)
    except CodecError as error:
        raise SchemaMismatch(expected=SCHEMA_VERSION, got=f"an unknown layout ({error})") from error
    if identity.schema_version != SCHEMA_VERSION:
        raise SchemaMismatch(expected=SCHEMA_VERSION, got=identity.schema_version)
    if (identity.spec, identity.genesis) != (spec, genesis):
        raise ForeignData(expected=genesis, got=identity.genesis)


def read_block(files: BlockLog, location: BlockLocation, header: BlockHeader) -> Block:
    """The block at a location. Raises `CorruptStore` if the record there is damaged or of another header."""
    block = _decoded(Block, files.read(location), "block record")
    if block.header != header:
        raise CorruptStore("the block files hold another block than the index says", got=f"{location}")
    return block


def _open_tip(raw: bytes) -> Tip:
    body, checksum = raw[:-4], raw[-4:]
    if google_crc32c.value(body).to_bytes(4, "big") != checksum:
        raise CorruptStore(got="a tip record with a wrong checksum")
    return _decoded(Tip, body, "tip record")


def _decoded(cls: type[T], raw: bytes, what: str) -> T:
    try:
        return decode(cls, raw)
    except CodecError as error:
        raise CorruptStore(got=f"a {what} that cannot be read: {error}") from error
