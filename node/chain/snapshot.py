"""The state at a height as a file, from which another node begins without judging the blocks before.

A snapshot holds all headers, the records of the state after one block, and the content that they name. Who
restores it believes none of it: each header is checked with its work, the root of the records must be the one
in the block's header, and each content must be what its hash says. What remains is whether the headers are
those of the chain that others follow. Anybody can append a header of their own to honest ones. So the one who
restores brings an anchor: the id of a block that stands at or after the state, or an amount of work that must
stand on the state from its block on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.errors import CheckpointMissing, InsufficientWork
from engram.consensus.genesis import Genesis, genesis
from engram.consensus.proof import check_has_work
from engram.node.chain.headers import HeaderChain, work_of_header
from engram.node.chain.pruning import replaced
from engram.node.chain.recovery import write_genesis
from engram.node.chain.statewriter import StateWriter
from engram.node.errors import (
    BlockNotFound,
    ChainExists,
    FileDamaged,
    ForeignData,
    SnapshotFalse,
    SnapshotNotAnchored,
)
from engram.node.files import make_folder
from engram.node.storage.batches import put_connected, put_ref, put_tip
from engram.node.storage.db import Batch, LevelDatabase
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.recordfile import RecordWriter, read_records
from engram.node.storage.rows import unpacked
from engram.node.storage.schema import CONTENT, NODE, PRUNED, Position, Pruned, Verdict
from engram.node.storage.store import BLOCKS_DIRECTORY, BlockRef, ChainStore
from engram.node.storage.swap import BUILDING, DATABASE_DIRECTORY, finish_swap, need_space, swap
from engram.primitives import smt
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError, InvalidHeader, StorageError
from engram.primitives.types import U64, ZERO_HASH, Hash
from engram.statemachine.content import blob_id, chunk_hash
from engram.statemachine.records import Blob, Part, Upload
from engram.statemachine.registry import parse_record

MAGIC: Final = b"engram snapshot1"
CONFIRMATIONS: Final = 100
"""So many blocks stand on the state, unless the caller names its height."""
LEAVES: Final = 2_000
"""Records of the state in one record of the file, and in one batch."""
_MANIFEST, _HEADER, _LEAVES, _CONTENT = b"m", b"h", b"l", b"x"


@dataclass(frozen=True)
class Manifest:
    """What a snapshot is of."""

    spec: Hash
    genesis: Hash
    height: U64
    block: Hash
    """The block after which the state is."""


@dataclass(frozen=True)
class SnapshotInfo:
    """What a snapshot holds that was taken or restored."""

    height: int
    block: Hash
    headers: int
    records: int
    content: int
    work: int
    """Expected digests of the headers from the state's block on."""
    size_bytes: int

    def to_json(self) -> dict[str, object]:
        """The same as JSON values."""
        return {**vars(self), "block": self.block.hex()}


def take_snapshot(
    store: ChainStore, head: BlockRef, spec: ChainSpec, path: Path, height: int | None = None
) -> SnapshotInfo:
    """Writes the state at a height of the best chain, by default `CONFIRMATIONS` blocks below the head.

    Raises `StatePruned` if that state is deleted, `SpaceMissing`, `DiskFull`, `DiskFailure`.
    """
    if height is None:
        height = max(store.pruned().states, head.height - min(CONFIRMATIONS, head.height // 2))
    line = [store.get_ref(block) for _, block in store.canonical(1)]
    if not 1 <= height <= head.height:
        raise BlockNotFound("the best chain has no such block", expected=f"1 to {head.height}", got=height)
    store.require_state(height)
    need_space(path.absolute().parent, store.database.size_bytes(), "the snapshot")
    base = line[height - 1]
    writer = RecordWriter(path, MAGIC)
    try:
        manifest = Manifest(spec_id(spec), genesis(spec).id, height, base.id)
        writer.add(_MANIFEST, encode(manifest))
        for ref in line:
            writer.add(_HEADER, encode(ref.header))
        records, named = 0, set[Hash]()
        for leaves in _chunks(smt.iterate(store, base.state_root)):
            writer.add(_LEAVES, b"".join(_packed_leaf(*leaf) for leaf in leaves))
            records += len(leaves)
            for _, value in leaves:
                named |= named_content(value)
        for name in sorted(named):
            writer.add(_CONTENT, name + store.packed_content(name))
        work = sum(work_of_header(ref.header) for ref in line[height - 1 :])
        return SnapshotInfo(height, base.id, len(line), records, len(named), work, writer.finish())
    finally:
        writer.drop()


def named_content(value: bytes) -> set[Hash]:
    """The content that a record of the state says to be there."""
    if value[0] not in (Blob.KIND, Upload.KIND, Part.KIND):
        return set()
    record = parse_record(value)
    if isinstance(record, Blob):
        return {record.id}
    if isinstance(record, Part):
        return {record.blob}
    assert isinstance(record, Upload), "the kind byte, which was looked at first, is that of an upload"
    return {chunk for chunk in record.chunks if chunk != ZERO_HASH}


def restore_snapshot(
    directory: Path,
    spec: ChainSpec,
    path: Path,
    now_ms: int,
    *,
    checkpoint: Hash | None = None,
    min_work: int = 0,
) -> SnapshotInfo:
    """Makes the database of a directory that holds no blocks yet from a snapshot.

    `checkpoint`: a block that the caller trusts, at or after the state's. `min_work`: the least work that
    must stand on the state, its block included. Nothing is changed before all is verified. Raises
    `NoWork`, `ChainExists`, `SnapshotNotAnchored`, `FileDamaged`, `SnapshotFalse`, `CheckpointMissing`,
    `InsufficientWork`, `TimestampAhead`, `ForeignData`, `SpaceMissing`, `DiskFull`, `DiskFailure`.
    """
    finish_swap(directory)
    blocks = directory / BLOCKS_DIRECTORY
    if (directory / DATABASE_DIRECTORY / "CURRENT").exists() or list(blocks.glob("*.dat")):
        raise ChainExists(f"{directory} holds blocks already: restore into a directory made by `engram init`")
    check_has_work(spec, min_work)
    if checkpoint is None and not min_work:
        raise SnapshotNotAnchored
    make_folder(directory)
    need_space(directory, 3 * path.stat().st_size, "the database")
    building = directory / BUILDING
    shutil.rmtree(building, ignore_errors=True)
    try:
        database = LevelDatabase(building)
        try:
            store = ChainStore(database, MemoryBlockFiles())
            info = _Restore(store, spec, path, now_ms).run(checkpoint, min_work)
        finally:
            database.close()
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    make_folder(blocks)
    make_folder(directory / DATABASE_DIRECTORY)
    swap(directory)
    return info


class _Restore:
    def __init__(self, store: ChainStore, spec: ChainSpec, path: Path, now_ms: int) -> None:
        self._store = store
        self._spec = spec
        self._path = path
        self._now_ms = now_ms
        self._first: Genesis = genesis(spec)
        self._base: BlockRef | None = None
        self._writer: StateWriter | None = None
        self._last = b""
        self._named: set[Hash] = set()

    def run(self, checkpoint: Hash | None, min_work: int) -> SnapshotInfo:
        records = read_records(self._path, MAGIC)
        try:
            return self._run(records, checkpoint, min_work)
        except (CodecError, ValueError, IndexError) as error:
            raise SnapshotFalse(f"the snapshot holds what no node writes: {error}") from error

    def _run(
        self, records: Iterator[tuple[bytes, bytes]], checkpoint: Hash | None, min_work: int
    ) -> SnapshotInfo:
        kind, raw = next(records, (b"", b""))
        if kind != _MANIFEST:
            raise SnapshotFalse("the snapshot does not say what it is of")
        manifest = decode(Manifest, raw)
        if (manifest.spec, manifest.genesis) != (spec_id(self._spec), self._first.id):
            raise ForeignData(expected=self._first.id, got=manifest.genesis)
        write_genesis(self._spec, self._first, self._store)
        line = HeaderChain(self._spec, self._store, self._store.get_ref(self._first.id))
        headers: list[BlockHeader] = []
        base: BlockRef | None = None
        content = 0
        for kind, raw in records:
            if kind == _HEADER and base is None:
                headers.append(decode(BlockHeader, raw))
                self._header(line, headers[-1], manifest)
                continue
            base = base or self._anchored(headers, manifest, checkpoint, min_work)
            if kind == _LEAVES:
                self._state(raw, base)
            elif kind == _CONTENT:
                content += self._content(raw)
            else:
                raise SnapshotFalse("the snapshot holds its records in another order than a node")
        base = base or self._anchored(headers, manifest, checkpoint, min_work)
        if (root := self._state_writer(base).root) != base.state_root:
            raise SnapshotFalse(
                "the records are not those of the block's state", expected=base.state_root, got=root
            )
        if self._named:
            raise SnapshotFalse("content is missing that the state names", expected=min(self._named))
        self._finish(base)
        work = sum(map(work_of_header, headers[manifest.height - 1 :]))
        size = self._path.stat().st_size
        records_read = self._state_writer(base).leaves
        return SnapshotInfo(base.height, base.id, len(headers), records_read, content, work, size)

    def _header(self, line: HeaderChain, header: BlockHeader, manifest: Manifest) -> None:
        try:
            checked = line.extend(header, self._now_ms)
        except InvalidHeader as error:
            raise SnapshotFalse(f"header {header.height} breaks a rule: {error}", got=error.code) from error
        if header.height <= manifest.height:
            ref = BlockRef(checked.id, header, checked.total_work, Verdict.VALID, order=header.height)
            self._base = ref
            batch = Batch()
            put_ref(batch, ref)
            put_connected(batch, ref, ())
            self._store.write(batch, sync=False)

    def _anchored(
        self, headers: list[BlockHeader], manifest: Manifest, checkpoint: Hash | None, min_work: int
    ) -> BlockRef:
        """The block of the state, once the headers are found to rest on the caller's anchor."""
        base = self._base
        if base is None or (base.height, base.id) != (manifest.height, manifest.block):
            raise SnapshotFalse("the state's block is not among the headers", expected=manifest.block)
        after = headers[manifest.height - 1 :]
        if checkpoint is not None and checkpoint not in {header.id for header in after}:
            raise CheckpointMissing(_no_anchor(headers, base, checkpoint), got=checkpoint)
        work = sum(map(work_of_header, after))
        if work < min_work:
            raise InsufficientWork(expected=min_work, got=work)
        return base

    def _state_writer(self, base: BlockRef) -> StateWriter:
        if self._writer is None:
            self._writer = StateWriter(self._store, base.order)
        return self._writer

    def _state(self, raw: bytes, base: BlockRef) -> None:
        leaves = dict(_leaves(raw))
        if not leaves or min(leaves) <= self._last or sorted(leaves) != list(leaves):
            raise SnapshotFalse("the records of the state are not in order")
        self._last = max(leaves)
        self._state_writer(base).add(leaves)
        for value in leaves.values():
            self._named |= named_content(value)

    def _content(self, raw: bytes) -> int:
        name, packed = raw[:32], raw[32:]
        try:
            plain = unpacked(packed, "content")
        except StorageError as error:
            raise SnapshotFalse(f"content {name.hex()} cannot be unpacked") from error
        if name not in (blob_id(plain), chunk_hash(plain)) or name not in self._named:
            raise SnapshotFalse("content is not what its hash says, or not named by the state", got=name)
        self._named.remove(name)
        self._store.write(Batch({CONTENT + name: packed}), sync=False)
        return 1

    def _finish(self, base: BlockRef) -> None:
        batch = Batch()
        for name, _, _ in replaced(self._store, self._first.block.header.state_root, base.state_root):
            batch.delete(NODE + name)
        put_tip(batch, base, Position(0, 0), base.order)
        batch.put(PRUNED, encode(Pruned(base.height, base.height, base.height)))
        self._store.write(batch)


def _no_anchor(headers: list[BlockHeader], base: BlockRef, checkpoint: Hash) -> str:
    """Why a checkpoint cannot vouch for the state, and which block can."""
    last = headers[-1].height
    good = f"one from block {base.height}, after which the snapshot's state is, to block {last}, its last"
    for header in headers:
        if header.id == checkpoint:
            return f"the checkpoint is block {header.height} of the snapshot, which is too early: name {good}"
    return (
        f"the checkpoint is not in the snapshot: name {good}, as the chain that you trust has it; if the "
        "checkpoint is younger, take a new snapshot"
    )


def _chunks(leaves: Iterator[tuple[Hash, bytes]]) -> Iterator[list[tuple[Hash, bytes]]]:
    chunk: list[tuple[Hash, bytes]] = []
    for leaf in leaves:
        chunk.append(leaf)
        if len(chunk) == LEAVES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _packed_leaf(key: Hash, value: bytes) -> bytes:
    return key + len(value).to_bytes(4, "big") + value


def _leaves(raw: bytes) -> Iterator[tuple[Hash, bytes]]:
    place = 0
    while place < len(raw):
        size = int.from_bytes(raw[place + 32 : place + 36], "big")
        value = raw[place + 36 : place + 36 + size]
        if len(value) != size or not value:
            raise FileDamaged(got="a list of records that ends in the middle of one")
        yield raw[place : place + 32], value
        place += 36 + size
