"""Finds out which blocks a peer has that this node lacks, by headers alone, each checked with its work.

Locators and what answers them; no bodies, no choice of peers. Functions that read the store or check proof of
work block: run them in worker threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec
from engram.consensus.errors import TimestampAhead
from engram.node.chain.headers import CheckedHeader, HeaderChain
from engram.node.errors import ForeignHeaders, InvalidAncestor
from engram.node.storage.schema import HEADER
from engram.node.storage.store import BlockRef, ChainStore
from engram.p2p.messages import MAX_HEADERS, MAX_LOCATOR
from engram.primitives.codec import decode
from engram.primitives.types import Hash

STEP_BY_STEP: Final = 10
"""Ids of a locator that stand one below the other; further down the steps double."""


def make_locator(store: ChainStore, head: BlockRef) -> tuple[Hash, ...]:
    """Ids of the best chain from the head down to genesis, thinning out."""
    ids = [head.id]
    height, step = head.height, 1
    while height > 0 and len(ids) < MAX_LOCATOR:
        if len(ids) >= STEP_BY_STEP:
            step *= 2
        height = max(0, height - step)
        identity = store.canonical_id(height)
        if identity is not None:
            ids.append(identity)
    return tuple(ids)


def headers_after(store: ChainStore, locator: Sequence[Hash], limit: int) -> list[bytes]:
    """Encoded headers of the best chain after the first id of the locator on it, or after genesis."""
    start = 0
    for identity in locator:
        ref = store.find_ref(identity)
        if ref is not None and ref.is_valid and store.is_canonical(ref):
            start = ref.height
            break
    found: list[bytes] = []
    for _, identity in store.canonical(start + 1):
        raw = store.database.get(HEADER + identity)
        if raw is None or len(found) >= min(limit, MAX_HEADERS):
            break
        found.append(raw)
    return found


@dataclass
class Branch:
    """A peer's headers beyond what is stored, checked one batch after another."""

    chain: HeaderChain
    wanted: list[CheckedHeader] = field(default_factory=list)
    """Headers accepted and not yet taken, lowest first."""
    is_complete: bool = False
    """The peer knows no further headers, or the next one is ahead of the clock."""
    ahead_ms: int = 0
    """Timestamp of the header that is ahead of the clock; 0 if none is."""


def open_branch(
    spec: ChainSpec, store: ChainStore, encoded: Sequence[bytes], now_ms: int, asked: int
) -> Branch | None:
    """The branch of a first answer of up to `asked` headers; None if all of them are stored already.

    Raises `ForeignHeaders` if it does not begin on a stored block, `InvalidAncestor` if that one is invalid,
    `CodecError`, leaves of `InvalidHeader`.
    """
    headers = [decode(BlockHeader, raw) for raw in encoded]
    known = 0
    base: BlockRef | None = None
    for header in headers:
        ref = store.find_ref(header.id)
        if ref is None:
            break
        base, known = ref, known + 1
    if known == len(headers) < asked:
        return None
    if base is None:
        base = store.find_ref(headers[0].parent)
        if base is None:
            raise ForeignHeaders("they begin nowhere on this node's chain", got=headers[0].parent)
    if not base.is_valid:
        raise InvalidAncestor(got=base.id)
    branch = Branch(HeaderChain(spec, store, base))
    _accept(branch, headers[known:], now_ms, len(encoded) < asked)
    return branch


def extend_branch(branch: Branch, encoded: Sequence[bytes], now_ms: int, asked: int) -> bool:
    """Adds the next answer to a branch; False, and nothing is added, if it does not follow: the peer has
    changed to another branch since. Raises `CodecError`, leaves of `InvalidHeader`.
    """
    headers = [decode(BlockHeader, raw) for raw in encoded]
    if headers and headers[0].parent != branch.chain.tip_id:
        return False
    _accept(branch, headers, now_ms, len(encoded) < asked)
    return True


def _accept(branch: Branch, headers: Sequence[BlockHeader], now_ms: int, is_last: bool) -> None:
    branch.is_complete = is_last
    for header in headers:
        try:
            branch.wanted.append(branch.chain.extend(header, now_ms))
        except TimestampAhead:
            branch.is_complete, branch.ahead_ms = True, header.timestamp_ms
            return
