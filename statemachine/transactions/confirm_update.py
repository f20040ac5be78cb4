"""Confirm update: once its window has passed, the claim of a candidate is audited and then counts.

The ids of blocks after the last claim draw chunks, which every node recomputes. If one of them is not what
the author has claimed, the claim is refuted as by a dispute. If all are, the candidate is judged, and nobody
can dispute its claim any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from engram.primitives.types import U8, Address, Hash, Size
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import composition_of
from engram.statemachine.receipt import Event
from engram.statemachine.rounds.audit import audit_seed, candidate_bytes, check_confirmable, recompute, refute
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import find_candidate
from engram.statemachine.rounds.claims import (
    CONFIRM_KIND,
    ClaimedChunk,
    audited_chunks,
    check_chunk,
    claimed_parts,
    open_claim,
    recomputing_macs,
    rows_of,
    span,
)
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import AuditMismatch
from engram.statemachine.rounds.leading import judge
from engram.statemachine.rounds.records import Candidate, ClaimStatus
from engram.statemachine.rounds.terms import MAX_AUDITED
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class ConfirmUpdate:
    """Brings the chunks of a claim that the audit has drawn; anyone may send it."""

    KIND: ClassVar[int] = CONFIRM_KIND
    NAME: ClassVar[str] = "confirm_update"
    round: Hash
    epoch: U8
    author: Address
    """Author of the candidate; epoch and author together name it."""
    chunks: Annotated[tuple[ClaimedChunk, ...], Size(1, MAX_AUDITED)]
    """The drawn chunks, by part and place, ascending."""

    def check(self, rules: Rules) -> None:
        """Checks nothing: which chunks are drawn depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of version t and of the update on the rows of the chunks.

        Raises what `enter` raises, `MissingRecord`, `ClaimMisplaced`, `ClaimDecided`, `ClaimUnfinished`,
        `WindowOpen`, `HalfNotScored`, `AuditMismatch`, `ChunkNotClaimed`.
        """
        entry, candidate = self._enter(state.child(), ctx)
        round_, parts = entry.round, claimed_parts(entry.round, entry.model)
        base = composition_of(state, ctx, entry.version)
        spans = [span(round_, parts[chunk.part], chunk.number) for chunk in self.chunks]
        read = [
            rows_of(round_, parts[number]) for number in dict.fromkeys(chunk.part for chunk in self.chunks)
        ]
        rows = sum(each.stop - each.start for each in spans)
        macs = recomputing_macs(ctx.rules, base, round_, candidate.update, read, rows)
        size = entry.record_bytes + candidate_bytes(entry, candidate)
        return Cost(macs=macs, records=1, record_bytes=size)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Confirms the claim and judges the candidate, or refutes the claim.

        Raises what `cost` raises, and `MissingBlob`.
        """
        entry, candidate = self._enter(state, ctx)
        drawn = [(chunk.part, chunk.number) for chunk in self.chunks]
        for chunk, true in zip(self.chunks, recompute(state, ctx, entry, candidate, drawn), strict=True):
            if true != chunk.rows:
                return Outcome((*entry.events, *refute(state, entry.round, candidate, chunk, sender)))
        claim = replace(open_claim(candidate), status=int(ClaimStatus.CONFIRMED))
        candidate = replace(candidate, claim=claim)
        state.put(candidate)
        noted, judged = judge(state, ctx.rules, entry.round, entry.model, candidate)
        if noted is not entry.round:
            state.put(noted)
        values = (self.epoch, len(self.chunks))
        confirmed = Event("claim_confirmed", self.round, values, (self.author.hex(),))
        return Outcome((*entry.events, confirmed, judged))

    def _enter(self, state: State, ctx: BlockContext) -> tuple[EnteredRound, Candidate]:
        entry = enter(state, ctx, self.round, Phase.SCORE)
        candidate = find_candidate(state, entry.round, self.epoch, self.author)
        claim = open_claim(candidate)
        check_confirmable(state, ctx, entry, candidate)
        drawn = audited_chunks(entry.round, entry.model, audit_seed(state, ctx, candidate))
        if (got := tuple((chunk.part, chunk.number) for chunk in self.chunks)) != drawn:
            raise AuditMismatch(expected=drawn, got=got)
        for chunk in self.chunks:
            check_chunk(entry.round, entry.model, claim, chunk)
        return entry, candidate
