"""What each event of a chain writes: functions that fill a batch. Nothing is stored until the batch is
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import google_crc32c

from engram.consensus.block import Block
from engram.node.storage.db import Batch
from engram.node.storage.recordindex import put_records
from engram.node.storage.schema import (
    BODY,
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
    DiffEntry,
    IndexEntry,
    Position,
    StateDiff,
    Tip,
    TxLocation,
    canonical_key,
    work_bytes,
)
from engram.node.storage.store import BlockRef
from engram.primitives.codec import encode
from engram.primitives.types import Hash
from engram.statemachine.receipt import Receipt


@dataclass(frozen=True)
class Execution:
    """What executing a block left to be stored."""

    receipts: tuple[Receipt, ...]
    nodes: Mapping[Hash, bytes]
    blobs: Mapping[Hash, bytes]
    changes: Mapping[Hash, bytes | None]
    """Tree key -> new leaf value, None where it was deleted."""


def put_identity(batch: Batch, spec: Hash, genesis: Hash) -> None:
    """The record that says which chain this is."""
    batch.put(IDENTITY, encode(DatabaseIdentity(SCHEMA_VERSION, spec, genesis)))


def put_ref(batch: Batch, ref: BlockRef) -> None:
    """Header and index entry of a judged block."""
    entry = IndexEntry(ref.height, ref.parent, work_bytes(ref.total_work), int(ref.verdict), ref.code)
    batch.put(HEADER + ref.id, encode(ref.header))
    batch.put(INDEX + ref.id, encode(entry))


def put_execution(batch: Batch, block: Hash, location: BlockLocation | None, execution: Execution) -> None:
    """Body location (none for genesis), receipts, diff, tree nodes, content and record keys of a block."""
    if location is not None:
        batch.put(BODY + block, encode(location))
    batch.put(RECEIPTS + block, encode(BlockReceipts(execution.receipts)))
    diff = tuple(DiffEntry(key, value) for key, value in sorted(execution.changes.items()))
    batch.put(DIFF + block, encode(StateDiff(diff)))
    for node_hash, node in execution.nodes.items():
        batch.put(NODE + node_hash, node)
    for content_hash, content in execution.blobs.items():
        batch.put(CONTENT + content_hash, content)
    put_records(batch, execution.changes)


def put_connected(batch: Batch, ref: BlockRef, txids: Iterable[Hash]) -> None:
    """A block joins the best chain."""
    batch.put(canonical_key(ref.height), ref.id)
    for index, txid in enumerate(txids):
        batch.put(TRANSACTION + txid, encode(TxLocation(ref.id, index)))


def put_disconnected(batch: Batch, ref: BlockRef, txids: Iterable[Hash]) -> None:
    """A block leaves the best chain. Blocks that join are written after those that leave."""
    batch.delete(canonical_key(ref.height))
    for txid in txids:
        batch.delete(TRANSACTION + txid)


def put_tip(batch: Batch, ref: BlockRef, files_end: Position) -> None:
    """The best block, and how far the block files are accounted for."""
    raw = encode(Tip(ref.height, ref.id, ref.state_root, files_end))
    batch.put(TIP, raw + google_crc32c.value(raw).to_bytes(4, "big"))


def encode_body(block: Block) -> bytes:
    """The record of a block in the block files."""
    return encode(block)
