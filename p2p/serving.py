"""Answers to a peer's requests, from the node's chain and mempool. Nothing is checked or remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from engram.p2p.inventory import RecentBlocks
from engram.p2p.messages import (
    TRANSACTIONS_REPLY_BYTES,
    BlockData,
    DataRequest,
    GetBlock,
    GetHeaders,
    GetTransactions,
    Headers,
    Reply,
    Transactions,
)
from engram.p2p.protocol import B, ChainProtocol
from engram.primitives.packing import plain_size


async def answer(chain: ChainProtocol[B], recent: RecentBlocks, request: DataRequest) -> Reply:
    """The answer to one request. Blocks that are still being executed are served from `recent`."""
    match request:
        case GetHeaders():
            headers = await chain.headers_after(request.locator, request.limit)
            return Headers(request.request, tuple(headers[: request.limit]))
        case GetBlock():
            raw = recent.find(request.block_id) or await chain.block_bytes(request.block_id)
            return BlockData(request.request, raw)
        case GetTransactions():
            return Transactions(request.request, await _transactions(chain, request.txids))
        case _:
            assert_never(request)


async def _transactions(chain: ChainProtocol[B], txids: Sequence[bytes]) -> tuple[bytes | None, ...]:
    found: list[bytes | None] = []
    size_bytes = 0
    for txid in txids:
        raw = await chain.transaction_bytes(txid)
        found.append(raw)
        size_bytes += plain_size(raw) if raw is not None else 0
        if size_bytes >= TRANSACTIONS_REPLY_BYTES:
            break
    return tuple(found)
