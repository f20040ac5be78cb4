"""Bytes that a transaction brings along or names, their `Blob` records, and the references to them.

Every blob, a tensor or a data part, is named by its content id, `blob_id(raw)`. A `Blob` record says that the
bytes stand in this chain. Transactions can name the blob from the block after the one that brought it. If no
record refers to it, it can be named for less than `upload_expiry_ticks` more ticks. Then it is dead, until
someone brings the bytes again. So nodes need not keep bytes for ever that nobody uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash, Size
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import BlobExpired, BlobNotUsable, UnknownBlob
from engram.statemachine.records import Blob, PartBytes
from engram.statemachine.state import State


@dataclass(frozen=True)
class Inline:
    """Bytes that travel in this transaction."""

    TAG: ClassVar[int] = 1
    data: Annotated[bytes, Size(1, 2**20)]


@dataclass(frozen=True)
class Stored:
    """Bytes that an earlier block completed."""

    TAG: ClassVar[int] = 2
    blob: Hash


Content = Inline | Stored


def blob_id(raw: bytes) -> Hash:
    """The content id of a blob, be it a tensor or a data part."""
    return tagged_hash(Tag.BLOB, raw)


def chunk_hash(raw: bytes) -> Hash:
    """The hash that names a chunk while its upload is unfinished."""
    return tagged_hash(Tag.CHUNK, raw)


def usable_blob(state: State, ctx: BlockContext, blob: Hash) -> Blob:
    """The record of a blob that a transaction of this block may name.

    Raises `UnknownBlob`, `BlobNotUsable`, `BlobExpired`.
    """
    record = state.find(Blob, blob)
    if record is None:
        raise UnknownBlob(got=blob)
    if record.height >= ctx.height:
        raise BlobNotUsable(expected=record.height + 1, got=ctx.height)
    if is_dead(record, ctx.tick):
        raise BlobExpired(expected=record.expires - 1, got=ctx.tick)
    return record


def is_dead(blob: Blob, tick: int) -> bool:
    """Whether no record has held the blob for so long that nodes may have deleted its bytes."""
    return blob.refs == 0 and tick >= blob.expires


def new_blob(ctx: BlockContext, blob: Hash, size_bytes: int) -> Blob:
    """The record of bytes that this block brings, without a reference."""
    return Blob(blob, size_bytes, ctx.height, expiry(ctx), 0)


def expiry(ctx: BlockContext) -> int:
    """The first tick at which what begins to wait in this block has expired."""
    return ctx.tick + ctx.rules.upload_expiry_ticks


def content_size(state: State, ctx: BlockContext, content: Content) -> int:
    """Number of bytes that `resolve` will return, read from the record. Raises what `usable_blob` raises."""
    if isinstance(content, Inline):
        return len(content.data)
    return usable_blob(state, ctx, content.blob).size_bytes


def resolve(state: State, ctx: BlockContext, content: Content) -> bytes:
    """The bytes. Raises what `usable_blob` raises, and `MissingBlob` if this node does not have them."""
    if isinstance(content, Inline):
        return content.data
    usable_blob(state, ctx, content.blob)
    return ctx.blobs.get_blob(content.blob)


def carried_blobs(content: Content) -> dict[Hash, bytes]:
    """The bytes that this content brings to the chain, by content id: inline bytes, or nothing."""
    return {blob_id(content.data): content.data} if isinstance(content, Inline) else {}


def bring(state: State, ctx: BlockContext, raw: bytes) -> Hash:
    """Writes the record of bytes that this transaction brings, without a reference; returns their id.

    The caller must also return the bytes in its `Outcome.blobs`. If a living record exists, it stays as it
    is.
    """
    blob = blob_id(raw)
    known = state.find(Blob, blob)
    if known is None or is_dead(known, ctx.tick):
        state.put(new_blob(ctx, blob, len(raw)))
    return blob


def hold(state: State, blob: Hash) -> None:
    """Counts one more record that names the blob. Raises `MissingRecord`."""
    record = state.get(Blob, blob)
    state.put(replace(record, refs=record.refs + 1))


def release(state: State, ctx: BlockContext, blob: Hash) -> None:
    """Counts one record fewer that names the blob; without any, it will expire. Raises `MissingRecord`.

    A blob that was held up to the block before can still be named in this block. Otherwise a transaction that
    drops the last reference could make a reveal fail that stands later in the same block.
    """
    record = state.get(Blob, blob)
    assert record.refs > 0, "a record releases its blobs once, when it goes, and has held them since it came"
    if record.refs == 1:
        record = replace(record, height=max(record.height, ctx.height - 1), expires=expiry(ctx))
    state.put(replace(record, refs=record.refs - 1))


def note_part_bytes(state: State, ctx: BlockContext, blob: Hash) -> None:
    """Records that these bytes are public as a part from now on, unless they have been before."""
    if state.find(PartBytes, blob) is None:
        state.put(PartBytes(blob, ctx.tick))
