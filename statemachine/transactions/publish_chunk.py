"""Publish chunk: brings a tensor or data part that is too large for one transaction, chunk by chunk.

The first chunk to arrive, whatever its index, begins the upload and takes a deposit from the uploader. The
last one completes it. If the joined bytes have the blob's id, the deposit returns, and the blob can be named
from the next block on. If not, the receipt is FAILED with `blob_hash_mismatch`, the upload ends, and the
deposit is burned. The next chunk of an expired upload begins it anew; its old deposit is burned.

Chunks are public, so somebody else can copy them and complete the same blob first. The uploader must not lose
the deposit by that: once the chain has the blob, the uploader's next chunk ends the upload and the deposit
returns, unless it has expired.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from engram.primitives.types import U16, U32, ZERO_HASH, Address, Hash, Size
from engram.statemachine import money
from engram.statemachine.content import blob_id, chunk_hash, expiry, is_dead, new_blob
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import (
    BlobHashMismatch,
    BlobKnown,
    BlobTooLarge,
    ChunkIndexOutOfRange,
    ChunkRepeated,
    ChunkSizeMismatch,
    UploadSizeMismatch,
)
from engram.statemachine.receipt import Event
from engram.statemachine.records import Blob, Upload
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class PublishChunk:
    """Brings one chunk of a blob. Every chunk but the last has exactly `chunk_bytes` bytes."""

    KIND: ClassVar[int] = 3
    NAME: ClassVar[str] = "publish_chunk"
    blob: Hash
    """Content id of the whole blob."""
    size_bytes: U32
    """Size of the whole blob."""
    index: U16
    """Which chunk this is, from 0."""
    data: Annotated[bytes, Size(1, 2**20)]

    def check(self, rules: Rules) -> None:
        """Raises `BlobTooLarge`, `ChunkIndexOutOfRange`, `ChunkSizeMismatch`."""
        if not 1 <= self.size_bytes <= rules.max_blob_bytes:
            raise BlobTooLarge(expected=f"1..{rules.max_blob_bytes}", got=self.size_bytes)
        count = self._chunk_count(rules)
        if self.index >= count:
            raise ChunkIndexOutOfRange(expected=f"0..{count - 1}", got=self.index)
        size = min(rules.chunk_bytes, self.size_bytes - self.index * rules.chunk_bytes)
        if len(self.data) != size:
            raise ChunkSizeMismatch(expected=size, got=len(self.data))

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """Two records and the deposit for a new upload; the MACs of loading the blob for its last chunk.

        Raises `BlobKnown`, `UploadSizeMismatch`, `ChunkRepeated`.
        """
        if self._superseded(state, ctx, sender) is not None:
            return Cost()
        upload = self._running(state, ctx, sender)
        if upload is None:
            completes, deposit = self._chunk_count(ctx.rules) == 1, ctx.rules.upload_deposit
        else:
            completes, deposit = upload.chunks.count(ZERO_HASH) == 1, 0
        macs = ctx.rules.macs_per_loaded_byte * self.size_bytes if completes else 0
        return Cost(macs=macs, records=2 if upload is None else 0, funds=deposit)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Stores the chunk, and completes the upload with the last one.

        Raises what `cost` raises, and `MissingBlob` if this node lacks an earlier chunk.
        """
        if (superseded := self._superseded(state, ctx, sender)) is not None:
            return _ended(state, ctx, superseded)
        upload = self._running(state, ctx, sender) or self._begin(state, ctx, sender)
        chunks = (*upload.chunks[: self.index], chunk_hash(self.data), *upload.chunks[self.index + 1 :])
        upload = replace(upload, chunks=chunks)
        if ZERO_HASH not in chunks:
            return self._complete(state, ctx, upload)
        state.put(upload)
        return Outcome(blobs={chunks[self.index]: self.data})

    def _chunk_count(self, rules: Rules) -> int:
        return -(-self.size_bytes // rules.chunk_bytes)

    def _superseded(self, state: State, ctx: BlockContext, sender: Address) -> Upload | None:
        """The sender's upload of a blob that the chain has meanwhile; None if the chain lacks the blob.

        Raises `BlobKnown` if the chain has it and the sender has no upload of it.
        """
        known = state.find(Blob, self.blob)
        if known is None or is_dead(known, ctx.tick):
            return None
        upload = state.find(Upload, sender, self.blob)
        if upload is None:
            raise BlobKnown(got=self.blob)
        return upload

    def _running(self, state: State, ctx: BlockContext, sender: Address) -> Upload | None:
        """The sender's upload, to which this chunk can be added; None if an upload has to begin."""
        upload = state.find(Upload, sender, self.blob)
        if upload is None or ctx.tick >= upload.expires:
            return None
        if upload.size_bytes != self.size_bytes:
            raise UploadSizeMismatch(expected=upload.size_bytes, got=self.size_bytes)
        if upload.chunks[self.index] != ZERO_HASH:
            raise ChunkRepeated(got=self.index)
        return upload

    def _begin(self, state: State, ctx: BlockContext, sender: Address) -> Upload:
        expired = state.find(Upload, sender, self.blob)
        if expired is not None:
            money.burn(state, expired.deposit)
        money.take(state, sender, ctx.rules.upload_deposit)
        return Upload(
            sender,
            self.blob,
            self.size_bytes,
            (ZERO_HASH,) * self._chunk_count(ctx.rules),
            ctx.rules.upload_deposit,
            expiry(ctx),
        )

    def _complete(self, state: State, ctx: BlockContext, upload: Upload) -> Outcome:
        state.delete(upload)
        mine = upload.chunks[self.index]
        raw = b"".join(self.data if chunk == mine else ctx.blobs.get_blob(chunk) for chunk in upload.chunks)
        if blob_id(raw) != self.blob:
            money.burn(state, upload.deposit)
            event = Event("upload_failed", self.blob, (upload.deposit,))
            return Outcome((event,), failed=BlobHashMismatch.code)
        money.give(state, upload.uploader, upload.deposit)
        state.put(new_blob(ctx, self.blob, self.size_bytes))
        return Outcome((Event("blob_completed", self.blob, (self.size_bytes,)),), blobs={self.blob: raw})


def _ended(state: State, ctx: BlockContext, upload: Upload) -> Outcome:
    """Ends an upload that nobody needs any more; the deposit returns, unless the upload has expired."""
    state.delete(upload)
    returned = upload.deposit if ctx.tick < upload.expires else 0
    money.give(state, upload.uploader, returned)
    money.burn(state, upload.deposit - returned)
    return Outcome((Event("upload_superseded", upload.blob, (returned,)),))
