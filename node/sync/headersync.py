"""Finds out which blocks a peer has that this node lacks. Only headers are used, each checked with its work.

The node that asks sends a locator: ids of its best chain, close together near the head and ever farther apart
below. The other node looks for the first of them that is on its own best chain and answers with the headers
after it. So one request finds the place where two chains part, wherever that is.

All functions here block, because they read the store or check proofs of work: call them in worker threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec
from engram.consensus.errors import TimestampAhead
from engram.node.chain.headers import CheckedHeader, CheckedHeaders, HeaderChain
from engram.node.errors import ForeignHeaders, InvalidAncestor
from engram.node.storage.schema import HEADER
from engram.node.storage.store import BlockRef, ChainStore
from engram.p2p.inventory import KnownIds
from engram.p2p.messages import MAX_HEADERS, MAX_LOCATOR
from engram.primitives.codec import decode
from engram.primitives.types import Hash

STEP_BY_STEP: Final = 10
"""How many ids at the top of a locator have consecutive heights; below them, each step is twice the last."""


def make_locator(store: ChainStore, head: BlockRef) -> tuple[Hash, ...]:
    """Ids of the best chain from the head down towards genesis, ever farther apart; `MAX_LOCATOR` at most."""
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
    """Encoded headers of the best chain after the first block of the locator that is on it; `limit` at most.

    If none of the locator's blocks is on the best chain, they begin after genesis.
    """
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


class Branch:
    """The headers of a peer that this node does not have.

    Of a checked header, little is kept, because a peer may send many before they carry enough work.
    """

    def __init__(self, chain: HeaderChain, store: ChainStore) -> None:
        self.chain = chain
        self._store = store
        self.is_complete = False
        """True if the peer has no further headers, or if the next one is ahead of the clock."""
        self.ahead_ms = 0
        """Timestamp of the header that is ahead of the clock, in milliseconds since 1970; 0 if none is."""
        self._checked = CheckedHeaders(chain.total_work)
        self._unchecked: deque[BlockHeader] = deque()

    def __len__(self) -> int:
        """How many checked headers wait for their bodies."""
        return len(self._checked)

    @property
    def is_checked(self) -> bool:
        """Whether all headers that came are checked."""
        return not self._unchecked

    def came(self, headers: Iterable[BlockHeader], *, is_last: bool) -> None:
        """Takes in what a peer has answered."""
        self._unchecked.extend(headers)
        self.is_complete, self.ahead_ms = is_last, 0

    def coming(self, count: int) -> list[BlockHeader]:
        """The headers that the next `check` of so many looks at."""
        return list(islice(self._unchecked, count))

    def check(self, count: int, now_ms: int, worked: KnownIds) -> int:
        """Checks up to `count` of the headers that came; returns how many. Raises subclasses of
        `InvalidHeader`.

        `worked`: ids of headers whose proof of work is known to be good, from whomever they came.
        """
        checked = 0
        while self._unchecked and checked < count:
            header = self._unchecked.popleft()
            try:
                # A peer may go on with what this node has: nobody's work is checked twice for that.
                known = header.id in worked or self._store.find_ref(header.id) is not None
                made = self.chain.extend(header, now_ms, work_is_checked=known)
            except TimestampAhead:
                self.is_complete, self.ahead_ms = True, header.timestamp_ms
                self._unchecked.clear()
                break
            worked.add(made.id)
            self._checked.append(made, header)
            checked += 1
        return checked

    def take(self, count: int) -> list[CheckedHeader]:
        """Removes and returns the lowest `count` of the checked headers."""
        return self._checked.take(count)


def open_branch(spec: ChainSpec, store: ChainStore, encoded: Sequence[bytes], asked: int) -> Branch | None:
    """The branch that begins with a peer's first answer; None if the peer has nothing that this node lacks.

    `asked` is how many headers were asked for: a shorter answer means that the peer has no more. Raises
    `ForeignHeaders` if the headers do not begin on a stored block, `InvalidAncestor` if that block is
    invalid, and `CodecError`.
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
            raise ForeignHeaders("the headers do not begin on any block of this node", got=headers[0].parent)
    if not base.is_valid:
        raise InvalidAncestor(got=base.id)
    branch = Branch(HeaderChain(spec, store, base), store)
    branch.came(headers[known:], is_last=len(encoded) < asked)
    return branch


def extend_branch(branch: Branch, encoded: Sequence[bytes], asked: int) -> bool:
    """Adds a peer's next answer to a branch; False if the peer has changed to another branch since.

    In that case nothing is added. Raises `CodecError`.
    """
    headers = [decode(BlockHeader, raw) for raw in encoded]
    if headers and headers[0].parent != branch.chain.tip_id:
        return False
    branch.came(headers, is_last=len(encoded) < asked)
    return True


def not_stored(store: ChainStore, headers: Sequence[CheckedHeader]) -> list[CheckedHeader]:
    """Those headers whose blocks this node does not have yet. Raises `InvalidAncestor` if one is invalid."""
    missing: list[CheckedHeader] = []
    for header in headers:
        ref = store.find_ref(header.id)
        if ref is None:
            missing.append(header)
        elif not ref.is_valid:
            raise InvalidAncestor(got=ref.id)
    return missing
