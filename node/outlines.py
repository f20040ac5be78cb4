"""Serves blocks that are larger than a message from the disk: their outlines, and parts of them.

To make the outline of a block, the block is read and decoded. That takes a tenth of a second for the largest,
so it is done for one block at a time, whoever asks, and the outlines that were asked for last are kept. With
an outline, a part is read without the rest of the block. So peers that keep asking for parts of many blocks
cost little more than what they are sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from engram.consensus.block import Block
from engram.node.concurrency import ReaderThreads
from engram.node.errors import DamagedBody
from engram.node.largebody import BodyPart
from engram.node.storage.lru import ByteLru
from engram.node.storage.rows import unpacked
from engram.node.storage.store import BlockRef, ChainStore
from engram.p2p.blockmessages import MAX_COMPACT, TXID_BYTES, BlockOutline, fits_into_a_message
from engram.p2p.compact import is_ascending
from engram.primitives.codec import encode
from engram.primitives.errors import CodecError
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.packing import PACKING_BYTES, pack_plain
from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction, decode_transaction

KEPT_BYTES: Final = 16 << 20
"""Memory for the outlines that were asked for last: more of them than a node has peers."""
_SIZE_BYTES: Final = 40
"""Memory for one of an outline's sizes."""


class StoredOutlines:
    """What peers are given of large blocks that this node has executed. Methods run on the event loop."""

    def __init__(self, store: ChainStore, threads: ReaderThreads) -> None:
        self._store = store
        self._threads = threads
        self._kept: ByteLru[BlockOutline] = ByteLru(KEPT_BYTES, _memory_of)
        self._making = asyncio.Lock()

    async def outline(self, block_id: Hash) -> BlockOutline | None:
        """See `p2p.protocol.ChainProtocol.stored_outline`; None also if the body is damaged."""
        if (kept := self._kept.get(block_id)) is not None:
            return kept
        async with self._making:
            if (kept := self._kept.get(block_id)) is None:
                kept = await self._threads.run(self._made, block_id)
        if kept is not None:
            self._kept.put(block_id, kept)
        return kept

    async def part(self, block_id: Hash, places: Sequence[int]) -> bytes | None:
        """See `p2p.protocol.ChainProtocol.stored_part`; None also if the body is damaged."""
        outline = await self.outline(block_id)
        if outline is None or not is_ascending(places, len(outline.sizes)):
            return None
        if not fits_into_a_message(outline.sizes[place] for place in places):
            return None
        return await self._threads.run(self._read_part, block_id, outline, places)

    def _made(self, block_id: Hash) -> BlockOutline | None:
        ref = self._store.find_ref(block_id)
        block = None if ref is None or not ref.is_valid else self._store.whole_block(ref)
        if block is None or len(block.transactions) > MAX_COMPACT:
            return None
        return outline_of(block)

    def _read_part(self, block_id: Hash, outline: BlockOutline, places: Sequence[int]) -> bytes | None:
        """Checks what it reads by the ids in the outline, because no checksum covers a part of a record."""
        ref = self._store.get_ref(block_id)
        try:
            transactions = self._read(ref, outline, places)
        except (DamagedBody, CodecError):
            self._store.whole_block(ref)  # which notes the damage, so that it is mended
            return None
        return pack_plain(encode(BodyPart(tuple(transactions))))

    def _read(self, ref: BlockRef, outline: BlockOutline, places: Sequence[int]) -> list[Transaction]:
        """Raises `DamagedBody`; `CodecError` for bytes that are no transaction."""
        size_bytes = self._store.body_location(ref).size_bytes
        is_plain = self._store.body_slice(ref, 0, PACKING_BYTES) == pack_plain(b"")
        whole = None if is_plain else pack_plain(unpacked(self._store.packed_body(ref), "block record"))
        ends = list(accumulate(outline.sizes))
        first = (size_bytes if whole is None else len(whole)) - (ends[-1] if ends else 0)
        found: list[Transaction] = []
        for place in places:
            start = first + ends[place] - outline.sizes[place]
            if whole is None:
                raw = self._store.body_slice(ref, start, outline.sizes[place])
            else:
                raw = whole[start : start + outline.sizes[place]]
            if tagged_hash(Tag.TRANSACTION_ID, raw) != outline.txids[TXID_BYTES * place :][:TXID_BYTES]:
                raise DamagedBody(expected=ref.id, got=f"transaction {place} of its body is another one")
            found.append(decode_transaction(raw))
        return found


def outline_of(block: Block) -> BlockOutline:
    """The outline of a block. It hashes the whole block: call it in a worker thread."""
    txids = b"".join(tx.id for tx in block.transactions)
    return BlockOutline(encode(block.header), txids, tuple(tx.size_bytes for tx in block.transactions))


def _memory_of(outline: BlockOutline) -> int:
    return len(outline.header) + len(outline.txids) + _SIZE_BYTES * len(outline.sizes)
