"""Functions that fill a batch with what has to be written for a block. They store nothing themselves.

The caller collects everything that belongs to one block, the new head included, in one batch and then writes
that batch with `ChainStore.write`. So the database never holds a part of a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

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
    SIDE,
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
    stamp,
    work_bytes,
)
from engram.node.storage.store import BlockRef
from engram.p2p.blockmessages import MAX_BLOCK_BYTES
from engram.primitives.codec import encode
from engram.primitives.packing import pack, pack_plain
from engram.primitives.types import Hash
from engram.statemachine.receipt import Receipt

BLOB_PERCENT: Final = 30
"""A blob is kept deflated if that leaves at most so many percent of it. Networks and rows are read again and
again for a charge for each byte, and what becomes hardly smaller takes longest to inflate.
"""


@dataclass(frozen=True)
class Execution:
    """What the execution of a block produced and the node must store."""

    receipts: tuple[Receipt, ...]
    nodes: Mapping[Hash, bytes]
    blobs: Mapping[Hash, bytes]
    changes: Mapping[Hash, bytes | None]
    """Tree key -> new leaf value, or None if the record was deleted."""

    @cached_property
    def diff(self) -> StateDiff:
        """The changes in their canonical order."""
        return state_diff(self.changes)


def put_identity(batch: Batch, spec: Hash, genesis: Hash) -> None:
    """Adds the record that says which chain and which layout the database holds."""
    batch.put(IDENTITY, encode(DatabaseIdentity(SCHEMA_VERSION, spec, genesis)))


def put_ref(batch: Batch, ref: BlockRef) -> None:
    """Adds the header and the index entry of a judged block."""
    work = work_bytes(ref.total_work)
    entry = IndexEntry(ref.height, work, int(ref.verdict), ref.code, ref.order)
    batch.put(HEADER + ref.id, encode(ref.header))
    batch.put(INDEX + ref.id, encode(entry))


def put_body(batch: Batch, block: Hash, location: BlockLocation) -> None:
    """Adds where the body of a block stands in the block files."""
    batch.put(BODY + block, encode(location))


def put_execution(
    batch: Batch, block: Hash, location: BlockLocation | None, execution: Execution, order: int
) -> None:
    """Adds what executing a block produced, and where its body stands (None for genesis).

    `order` is the block's: the node of a state says which block has written it last.
    """
    if location is not None:
        put_body(batch, block, location)
    batch.put(RECEIPTS + block, encode(BlockReceipts(execution.receipts)))
    batch.put(DIFF + block, encode(execution.diff))
    mark = stamp(order)
    for node_hash, node in execution.nodes.items():
        batch.put(NODE + node_hash, node + mark)
    for content_hash, content in execution.blobs.items():
        batch.put(CONTENT + content_hash, pack(content, most_percent=BLOB_PERCENT))
    put_records(batch, execution.changes)


def state_diff(changes: Mapping[Hash, bytes | None]) -> StateDiff:
    """Changes of records in their canonical order."""
    return StateDiff(tuple(DiffEntry(key, value) for key, value in sorted(changes.items())))


def put_connected(batch: Batch, ref: BlockRef, txids: Iterable[Hash]) -> None:
    """Adds the references to a block that joins the best chain: its height and its transactions."""
    batch.put(canonical_key(ref.height), ref.id)
    for index, txid in enumerate(txids):
        batch.put(TRANSACTION + txid, encode(TxLocation(ref.id, index)))


def put_side(batch: Batch, ref: BlockRef) -> None:
    """Adds the reference to a valid block that does not stand on the best chain."""
    batch.put(side_key(ref), ref.parent)


def side_key(ref: BlockRef) -> bytes:
    """Key of the reference to a block beside the best chain."""
    return SIDE + ref.height.to_bytes(8, "big") + ref.id


def put_disconnected(batch: Batch, ref: BlockRef, txids: Iterable[Hash]) -> None:
    """Removes the references to a block that leaves the best chain.

    Call it before `put_connected` for the blocks that join: they may have the same heights and transactions,
    and in a batch the later call wins.
    """
    batch.delete(canonical_key(ref.height))
    put_side(batch, ref)
    for txid in txids:
        batch.delete(TRANSACTION + txid)


def put_tip(batch: Batch, ref: BlockRef, files_end: Position, executed: int) -> None:
    """Adds the tip record: the head, how far the database has taken in the block files, and how many blocks
    it has executed.
    """
    raw = encode(Tip(ref.height, ref.id, ref.state_root, files_end, executed))
    batch.put(TIP, raw + google_crc32c.value(raw).to_bytes(4, "big"))


def pack_body(block: Block) -> bytes:
    """The bytes of a block as the block files hold them.

    Peers are sent them, too, unless the block is larger than a message. Such a one is kept plain, so that
    some of its transactions can be read without the others.
    """
    raw = encode(block)
    return pack(raw) if len(raw) <= MAX_BLOCK_BYTES else pack_plain(raw)
