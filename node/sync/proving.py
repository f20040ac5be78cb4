"""Computes the digests of headers on all processors, before the headers are checked one after the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec
from engram.consensus.validation import check_pow
from engram.node.chain.chain import Chain
from engram.node.concurrency import ReaderThreads
from engram.node.storage.store import ChainStore
from engram.p2p.inventory import KnownIds
from engram.primitives.errors import Invalid
from engram.primitives.types import Hash

PROVERS: Final = min(4, os.cpu_count() or 1)
"""So many threads compute digests of headers at once."""
PROVEN_TOGETHER: Final = 16
"""They do so for so many headers or more: fewer are not worth the visits of the threads."""


async def prove_ahead(
    threads: ReaderThreads, chain: Chain, headers: Sequence[BlockHeader], worked: KnownIds
) -> None:
    """Adds to `worked` the ids of those of the headers whose work is good, if they are many.

    What is wrong with another one is said by its own check, in its turn.
    """
    if len(headers) < PROVEN_TOGETHER:
        return
    parts = [headers[first::PROVERS] for first in range(PROVERS)]
    proofs = (threads.run(with_work, chain.spec, chain.store, part, worked) for part in parts)
    for proven in await asyncio.gather(*proofs):
        for name in proven:
            worked.add(name)


def with_work(
    spec: ChainSpec, store: ChainStore, headers: Sequence[BlockHeader], worked: KnownIds
) -> list[Hash]:
    """Ids of those of the headers that carry the work they claim and of which that was not known.

    OpenSSL computes digests without the interpreter's lock, so several threads check several headers at once.
    """
    found: list[Hash] = []
    for header in headers:
        if header.id not in worked and store.find_ref(header.id) is None:
            with suppress(Invalid):
                check_pow(spec, header)
                found.append(header.id)
    return found
