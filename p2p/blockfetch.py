"""Fetches one announced block from one peer: in its compact form if that is enough, else whole.

Nothing but the header is believed of a compact form, and nothing but the header is asked for before its work
has been checked. Whatever else goes wrong with the form, the peer is asked for the whole block: it announced
the block, so it has it. All steps together have the time that one request for the whole block has, and other
announcers are asked after that. So a peer that withholds, halves or falsifies answers gains nothing over one
that never answers; and it loses its session where the answer itself proves the lie.

On a chain whose blocks may be larger than a message, the peer is asked for the block by its outline instead,
which has more time the more of it comes. Every announcer that is asked meanwhile supplies other parts of it.
If the header could not be judged, such a block is not fetched here at all, but by its headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from engram.p2p.clock import MonotonicClock
from engram.p2p.errors import PeerTimeout, WrongReply
from engram.p2p.messages import COMPACT_VERSION
from engram.p2p.protocol import ChainProtocol
from engram.p2p.relayed import B, PartialBlock
from engram.p2p.session import Session


@dataclass(frozen=True)
class Fetched(Generic[B]):
    """A block that has come."""

    block: B
    packed: bytes | None
    """The whole block as it travelled; None if it came in parts."""
    lie: WrongReply | None = None
    """What the peer sent before, if that is proved wrong by the block."""


class _Budget:
    """Seconds that are left for all steps together."""

    def __init__(self, clock: MonotonicClock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._began_s = clock.monotonic()

    def left_s(self) -> float:
        """Raises `PeerTimeout` if nothing is left."""
        left_s = self._seconds - (self._clock.monotonic() - self._began_s)
        if left_s <= 0.0:
            raise PeerTimeout("the block did not come in time")
        return left_s


class BlockFetch(Generic[B]):
    """How this node fetches announced blocks."""

    def __init__(self, chain: ChainProtocol[B], clock: MonotonicClock, block_s: float) -> None:
        """`block_s`: seconds that one peer has for one block."""
        self._chain = chain
        self._clock = clock
        self._block_s = block_s

    async def fetch(self, session: Session, block_id: bytes) -> Fetched[B] | None:
        """The block, checked by `check_block` or by `open_compact`; None if the peer does not have it.

        Raises `PeerTimeout`; and what the checks raise, of which every `Invalid` counts against the peer.
        """
        budget = _Budget(self._clock, self._block_s)
        partial = await self._open(session, block_id, budget)
        if partial is not None:
            block = await self._complete(session, block_id, partial, budget)
            if block is not None:
                return Fetched(block, None)
            if self._chain.identity.has_outlines:
                block = await partial.fetch_parts(session, self._block_s)
                return None if block is None else Fetched(block, None, _lie(block_id, partial, block))
        packed = await session.get_block(block_id, budget.left_s())
        if packed is None:
            return None
        block = await self._chain.check_block(session, block_id, packed)
        return Fetched(block, packed, None if partial is None else _lie(block_id, partial, block))

    async def _open(self, session: Session, block_id: bytes, budget: _Budget) -> PartialBlock[B] | None:
        if session.identity.version < COMPACT_VERSION:
            return None
        form = await session.get_compact(block_id, budget.left_s())
        if form is None:
            return None
        return await self._chain.open_compact(session, block_id, form)

    async def _complete(
        self, session: Session, block_id: bytes, partial: PartialBlock[B], budget: _Budget
    ) -> B | None:
        missing = partial.missing
        packed = None
        if missing:
            packed = await session.get_block_transactions(block_id, missing, budget.left_s())
            if packed is None:
                return None
        return await partial.complete(packed)


def _lie(block_id: bytes, partial: PartialBlock[B], block: B) -> WrongReply | None:
    """What a compact form has said falsely of this block."""
    if not partial.was_false(block):
        return None
    return WrongReply("the short ids were not those of the block", expected=block_id)
