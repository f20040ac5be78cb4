"""Answers to a peer's requests, from the node's chain and mempool. Nothing of a peer is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from typing import Generic, assert_never

from engram.p2p.blockmessages import (
    BLOCKS_REPLY_BYTES,
    MAX_COMPACT,
    BlockOutline,
    Blocks,
    GetBlocks,
    GetOutline,
    Outline,
    fits_into_a_message,
)
from engram.p2p.compact import PREFILL_BYTES, is_ascending
from engram.p2p.contentmessages import Content, ContentPart, GetContent, GetHoldings, Holdings
from engram.p2p.inventory import RecentBlocks
from engram.p2p.messages import (
    MAX_PREFILLED,
    TRANSACTIONS_REPLY_BYTES,
    BlockData,
    BlockTransactions,
    ChainRequest,
    CompactBlock,
    CompactForm,
    GetBlock,
    GetBlockTransactions,
    GetCompact,
    GetHeaders,
    GetTransactions,
    Headers,
    Reply,
    Transactions,
)
from engram.p2p.protocol import ChainProtocol
from engram.p2p.relayed import B, ServedBlock
from engram.primitives.packing import plain_size


class Serving(Generic[B]):
    """What peers can ask for. Blocks that are still being executed are served from `recent`."""

    def __init__(self, chain: ChainProtocol[B], recent: RecentBlocks) -> None:
        self._chain = chain
        self._recent = recent
        self._reading = asyncio.Lock()
        self._reading_content = asyncio.Lock()
        """Each piece may cost the reading of the whole, so that is done once at a time for all peers."""
        self._listing = asyncio.Lock()
        """Headers are read for one peer after another: that takes long, and blocks must not wait for many."""

    async def answer(self, request: ChainRequest, known: Container[bytes]) -> Reply:
        """The answer to one request; `known` are ids of transactions that the peer has seen."""
        match request:
            case GetHeaders():
                async with self._listing:
                    headers = await self._chain.headers_after(request.locator, request.limit)
                return Headers(request.request, tuple(headers[: request.limit]))
            case GetBlock():
                return BlockData(request.request, await self._block(request.block_id))
            case GetBlocks():
                stored = await self._chain.stored_blocks(request.block_ids, BLOCKS_REPLY_BYTES)
                return Blocks(request.request, tuple(stored))
            case GetOutline():
                return Outline(request.request, await self._outline(request.block_id))
            case GetTransactions():
                return Transactions(request.request, await self._transactions(request.txids))
            case GetCompact():
                return CompactBlock(request.request, await self._compact(request.block_id, known))
            case GetBlockTransactions():
                return BlockTransactions(request.request, await self._part(request.block_id, request.places))
            case GetContent():
                return Content(request.request, await self._content(request.name, request.piece))
            case GetHoldings():
                held = self._chain.holdings
                return Holdings(request.request, held.bodies_from, held.archive)
            case _:
                assert_never(request)

    async def _block(self, block_id: bytes) -> bytes | None:
        raw = self._recent.packed(block_id) or await self._chain.block_bytes(block_id)
        if raw is None and (block := self._recent.find(block_id)) is not None:
            if not fits_into_a_message(block.sizes):
                return None
            raw = await block.packed()
            self._recent.keep_packed(block_id, raw)
        return raw

    async def _outline(self, block_id: bytes) -> BlockOutline | None:
        if not self._chain.identity.has_outlines:
            return None
        block = self._recent.find(block_id)
        if block is None:
            return await self._chain.stored_outline(block_id)
        if len(block.txids) > MAX_COMPACT:
            return None
        return BlockOutline(block.header, b"".join(block.txids), tuple(block.sizes))

    async def _transactions(self, txids: Sequence[bytes]) -> tuple[bytes | None, ...]:
        found: list[bytes | None] = []
        size_bytes = 0
        for txid in txids:
            raw = await self._chain.transaction_bytes(txid)
            found.append(raw)
            size_bytes += plain_size(raw) if raw is not None else 0
            if size_bytes >= TRANSACTIONS_REPLY_BYTES:
                break
        return tuple(found)

    async def _compact(self, block_id: bytes, known: Container[bytes]) -> CompactForm | None:
        block = await self._in_memory(block_id)
        if block is None or len(block.txids) > MAX_COMPACT:
            return None
        key, short_ids = await block.short_ids()
        places = _to_prefill(block, known)
        return CompactForm(block.header, key, short_ids, places, await block.body(places))

    async def _part(self, block_id: bytes, places: Sequence[int]) -> bytes | None:
        block = await self._in_memory(block_id)
        if block is None and self._chain.identity.has_outlines:
            return await self._chain.stored_part(block_id, places)
        if block is None or not is_ascending(places, len(block.txids)):
            return None
        if not fits_into_a_message(block.sizes[place] for place in places):
            return None
        return await block.body(places)

    async def _content(self, name: bytes, piece: int) -> ContentPart | None:
        async with self._reading_content:
            found = await self._chain.content_piece(name, piece)
        return None if found is None else ContentPart(*found)

    async def _in_memory(self, block_id: bytes) -> ServedBlock | None:
        """A block that was relayed lately, or one close to the head, which is read once for all peers."""
        async with self._reading:
            block = self._recent.find(block_id)
            if block is None:
                block = await self._chain.near_block(block_id)
                if block is not None:
                    self._recent.add(block)
            return block


def _to_prefill(block: ServedBlock, known: Container[bytes]) -> tuple[int, ...]:
    """Places of transactions that a peer has probably not seen, as far as they are small."""
    places: list[int] = []
    left = PREFILL_BYTES
    for place, (txid, size) in enumerate(zip(block.txids, block.sizes, strict=True)):
        if txid not in known and size <= left and len(places) < MAX_PREFILLED:
            places.append(place)
            left -= size
    return tuple(places)
