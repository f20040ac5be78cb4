"""Bytes that a transaction brings or names: inline or stored, their records, and who holds them.

Every blob (a tensor, a data part) is named by one content id, `blob_id(raw)`. A `Blob` record says that the
bytes stand in this chain. It can be named from the block after the one that brought it; without a reference
it can be named for `upload_expiry_blocks` more, after which it is dead until someone brings the bytes again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash, Size
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import BlobExpired, BlobNotUsable, UnknownBlob
from engram.statemachine.records import Blob
from engram.statemachine.rules import Rules
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
    """The content id of every blob, tensors and data parts alike."""
    return tagged_hash(Tag.BLOB, raw)


def chunk_hash(raw: bytes) -> Hash:
    """The name of a chunk while its upload is unfinished."""
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
    if is_dead(ctx.rules, record, ctx.height):
        raise BlobExpired(expected=record.height + ctx.rules.upload_expiry_blocks, got=ctx.height)
    return record


def is_dead(rules: Rules, blob: Blob, height: int) -> bool:
    """Whether nothing has held the blob for too long: its bytes may be gone, and may be brought again."""
    return blob.refs == 0 and height > blob.height + rules.upload_expiry_blocks


def content_size(state: State, ctx: BlockContext, content: Content) -> int:
    """Number of bytes that `resolve` will give, known from records. Raises what `usable_blob` raises."""
    if isinstance(content, Inline):
        return len(content.data)
    return usable_blob(state, ctx, content.blob).size_bytes


def resolve(state: State, ctx: BlockContext, content: Content) -> bytes:
    """The bytes. Raises what `usable_blob` raises, and `MissingBlob` where this node does not hold them."""
    if isinstance(content, Inline):
        return content.data
    usable_blob(state, ctx, content.blob)
    return ctx.blobs.get_blob(content.blob)


def carried_blobs(content: Content) -> dict[Hash, bytes]:
    """What a block that holds the content brings to the chain: inline bytes, by their id."""
    return {blob_id(content.data): content.data} if isinstance(content, Inline) else {}


def bring(state: State, ctx: BlockContext, raw: bytes) -> Hash:
    """Records bytes that this transaction brings, without a reference; returns their id.

    The caller also gives the bytes in its `Outcome.blobs`. Bytes already alive keep their record.
    """
    blob = blob_id(raw)
    known = state.find(Blob, blob)
    if known is None or is_dead(ctx.rules, known, ctx.height):
        state.put(Blob(blob, len(raw), ctx.height, 0))
    return blob


def hold(state: State, blob: Hash) -> None:
    """One more live record names the blob. Raises `MissingRecord`."""
    record = state.get(Blob, blob)
    state.put(replace(record, refs=record.refs + 1))


def release(state: State, ctx: BlockContext, blob: Hash) -> None:
    """One record fewer names the blob; the last one starts its expiry. Raises `MissingRecord`.

    What was held up to the last block stays nameable in this one: else whoever drops the last reference could
    make another's reveal fail.
    """
    record = state.get(Blob, blob)
    assert record.refs > 0, "a blob is released as often as it was held"
    height = record.height if record.refs > 1 else max(record.height, ctx.height - 1)
    state.put(replace(record, refs=record.refs - 1, height=height))
