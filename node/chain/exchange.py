"""Blocks of the best chain as a file, to carry them to another node, or to keep them.

Nothing in the file is believed: the node that reads it judges every block as if a peer had sent it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.genesis import genesis
from engram.node.chain.importer import Importer, ImportStatus
from engram.node.errors import BlockNotFound, BlockRefused, FileDamaged, ForeignData
from engram.node.storage.recordfile import RecordWriter, read_records
from engram.node.storage.store import BlockRef, ChainStore
from engram.node.storage.swap import need_space
from engram.p2p.blockmessages import most_block_bytes
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.packing import unpack
from engram.primitives.types import Hash

MAGIC: Final = b"engram blocks 3\n"
_SPACE_AT_ONCE: Final = 1_000
_MANIFEST, _BLOCK = b"m", b"b"


@dataclass(frozen=True)
class _Manifest:
    spec: Hash
    genesis: Hash


@dataclass(frozen=True)
class ExportedBlocks:
    """What was written."""

    first: int
    last: int
    size_bytes: int


@dataclass(frozen=True)
class ImportedBlocks:
    """What became of the blocks of a file."""

    head: BlockRef
    imported: int
    known: int
    """Blocks that this node had already."""

    def to_json(self) -> dict[str, object]:
        """The same as JSON values."""
        head = {"height": self.head.height, "head": self.head.id.hex()}
        return {"imported": self.imported, "known": self.known, **head}


def export_blocks(
    store: ChainStore, head: BlockRef, spec: ChainSpec, path: Path, first: int = 1, last: int | None = None
) -> ExportedBlocks:
    """Writes the blocks from height `first` to `last`, by default to the head.

    Raises `BlockNotFound`, `DamagedBody` for a body that this node lacks, `SpaceMissing`, `DiskFull`,
    `DiskFailure`.
    """
    last = head.height if last is None else last
    if not 1 <= first <= last <= head.height:
        raise BlockNotFound(expected=f"heights from 1 to {head.height}", got=f"{first} to {last}")
    writer = RecordWriter(path, MAGIC)
    try:
        writer.add(_MANIFEST, encode(_Manifest(spec_id(spec), genesis(spec).id)))
        sizes: list[int] = []
        for height, block in store.canonical(first):
            if height > last:
                break
            ref = store.get_ref(block)
            if len(sizes) % _SPACE_AT_ONCE == 0:
                need_space(path.absolute().parent, _SPACE_AT_ONCE * max(sizes, default=0), "the blocks")
            body = store.packed_body(ref)
            sizes.append(len(body))
            writer.add(_BLOCK, body)
        return ExportedBlocks(first, last, writer.finish())
    finally:
        writer.drop()


def import_blocks(
    importer: Importer,
    head: BlockRef,
    spec: ChainSpec,
    path: Path,
    now_ms: int,
    progress: Callable[[int], None],
) -> ImportedBlocks:
    """Judges the blocks of a file in their order. `progress` is called with the height after each.

    Raises `ForeignData`, `FileDamaged`, and `BlockRefused` for a block that breaks a rule or whose parent is
    unknown. Blocks before that one stay imported.
    """
    imported = known = 0
    records = read_records(path, MAGIC)
    kind, raw = next(records, (b"", b""))
    try:
        if kind != _MANIFEST or (manifest := decode(_Manifest, raw)).genesis != genesis(spec).id:
            raise ForeignData(expected=genesis(spec).id, got=manifest.genesis if kind == _MANIFEST else kind)
        for kind, raw in records:
            if kind != _BLOCK:
                raise FileDamaged(got=f"{path}: a record of an unknown kind")
            block = decode(Block, unpack(raw, most_block_bytes(spec.rules.max_body_bytes)))
            result = importer.import_block(block, head, now_ms)
            answer, head = result.answer, result.head
            if answer.outcome in (ImportStatus.INVALID, ImportStatus.PARKED):
                height = block.header.height
                raise BlockRefused(f"block {height} of {path}: {answer.detail}", got=answer.code)
            known += answer.outcome is ImportStatus.DUPLICATE
            imported += answer.outcome is not ImportStatus.DUPLICATE
            importer.prune(head.height)
            progress(head.height)
    except CodecError as error:
        raise FileDamaged(f"{path} holds what is no block: {error}") from error
    return ImportedBlocks(head, imported, known)
