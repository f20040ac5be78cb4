"""Dispute claim: whoever has recomputed claimed rows makes every node recompute one chunk of them.

If the author has claimed something else than what every node computes now, the author loses the bond and the
candidate cannot win; half of the bond goes to the challenger. If the claim holds, the challenger loses a
deposit, beside the fee for what everyone has computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.primitives.types import U8, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import composition_of
from engram.statemachine.money import take
from engram.statemachine.rounds.audit import candidate_bytes, recompute, refute
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import find_candidate
from engram.statemachine.rounds.claims import (
    DISPUTE_KIND,
    ClaimedChunk,
    check_chunk,
    check_subject,
    claimed_parts,
    open_claim,
    recomputing_macs,
    rows_of,
    span,
)
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import ClaimHolds
from engram.statemachine.rounds.records import Candidate
from engram.statemachine.rounds.settlement import burn_bond
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class DisputeClaim:
    """Says that one chunk of a claim is false."""

    KIND: ClassVar[int] = DISPUTE_KIND
    NAME: ClassVar[str] = "dispute_claim"
    round: Hash
    epoch: U8
    author: Address
    """Author of the candidate; epoch and author together name it."""
    subject: Hash
    """What the challenger has recomputed, see docs/protocol/claims.md, dispute_claim."""
    chunk: ClaimedChunk

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether there is such a claim depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of version t and of the update on the rows of the chunk, and the challenger's deposit.

        Raises what `enter` raises, `MissingRecord`, `ClaimMisplaced`, `ClaimDecided`, `ChunkNotClaimed`,
        `OtherClaimDisputed`.
        """
        entry, candidate = self._enter(state.child(), ctx)
        base = composition_of(state, ctx, entry.version)
        part = claimed_parts(entry.round, entry.model)[self.chunk.part]
        rows = span(entry.round, part, self.chunk.number)
        macs = recomputing_macs(
            ctx.rules,
            base,
            entry.round,
            candidate.update,
            [rows_of(entry.round, part)],
            rows.stop - rows.start,
        )
        size = candidate_bytes(entry, candidate)
        return Cost(macs=macs, records=1, record_bytes=size, funds=ctx.rules.min_author_bond)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Refutes the claim, or burns the challenger's deposit: the receipt is FAILED then, `claim_holds`.

        Raises what `cost` raises, and `MissingBlob`.
        """
        entry, candidate = self._enter(state, ctx)
        (true,) = recompute(state, ctx, entry, candidate, [(self.chunk.part, self.chunk.number)])
        if true != self.chunk.rows:
            events = refute(state, entry.round, candidate, self.chunk, sender)
            return Outcome((*entry.events, *events))
        deposit = ctx.rules.min_author_bond
        take(state, sender, deposit)
        lost = burn_bond(state, entry.round, sender, deposit)
        return Outcome((*entry.events, *lost), failed=ClaimHolds.code)

    def _enter(self, state: State, ctx: BlockContext) -> tuple[EnteredRound, Candidate]:
        entry = enter(state, ctx, self.round, Phase.SCORE)
        candidate = find_candidate(state, entry.round, self.epoch, self.author)
        check_chunk(entry.round, entry.model, open_claim(candidate), self.chunk)
        check_subject(entry.round, entry.model, candidate, self.chunk.part, self.subject)
        return entry, candidate
