"""Score retention: anyone can have a GROW candidate scored on a part that the model must not forget.

The candidate's escrow pays. A candidate that has not been scored on all retention parts cannot win.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.types import U8, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import open_network, open_part, version_network
from engram.statemachine.receipt import Event
from engram.statemachine.records import Part
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import charge_scoring, find_candidate
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import PartNotRetained, RetentionScored
from engram.statemachine.rounds.escrow import retention_macs
from engram.statemachine.rounds.records import Candidate, CandidateId, PartScore, RetentionScore
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class ScoreRetention:
    """Asks for the score of one candidate on one retention part."""

    KIND: ClassVar[int] = 22
    NAME: ClassVar[str] = "score_retention"
    round: Hash
    epoch: U8
    author: Address
    """Author of the candidate; epoch and author together name it."""
    part: Hash

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether the values are right depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of version t and of the candidate on the part, all prepaid by the escrow.

        Raises what `enter` raises, `MissingRecord`, `PartNotRetained`, `RetentionScored`.
        """
        entry, candidate = self._enter(state.child(), ctx)
        macs = self._macs(ctx.rules, entry, candidate)
        return Cost(macs=macs, prepaid_macs=macs)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Adds the score to the candidate. Raises what `cost` raises, and `MissingBlob`."""
        entry, candidate = self._enter(state, ctx)
        score = self._score(state, ctx, entry, candidate)
        paid = charge_scoring(state, ctx, candidate, self._macs(ctx.rules, entry, candidate))
        state.put(replace(paid, retention=(*paid.retention, score)))
        values = (self.epoch, score.score.loss, score.score.correct, score.null_increase)
        event = Event("retention_scored", self.round, values, (self.author.hex(), self.part.hex()))
        return Outcome((*entry.events, event))

    def _enter(self, state: State, ctx: BlockContext) -> tuple[EnteredRound, Candidate]:
        entry = enter(state, ctx, self.round, Phase.RETENTION)
        candidate = find_candidate(state, entry.round, CandidateId(self.epoch, self.author))
        if all(part.part != self.part for part in entry.model.retention):
            raise PartNotRetained(got=self.part)
        if any(score.part == self.part for score in candidate.retention):
            raise RetentionScored(got=self.part)
        return entry, candidate

    def _macs(self, rules: Rules, entry: EnteredRound, candidate: Candidate) -> int:
        rows = next(part.rows for part in entry.model.retention if part.part == self.part)
        return retention_macs(rules, entry.round, entry.base, candidate, rows)

    def _score(
        self, state: State, ctx: BlockContext, entry: EnteredRound, candidate: Candidate
    ) -> RetentionScore:
        model, classes = entry.model, entry.round.classes
        part = open_part(state, ctx, state.get(Part, self.part))
        base = version_network(state, ctx, entry.base)
        grown = open_network(state, ctx, candidate.spec, candidate.hidden, candidate.outputs)
        before = ctx.scorer.score_network(base, part, model.classes, model.loss_function, keep=True)
        null = ctx.scorer.score_network(base, part, classes, model.loss_function, keep=True)
        after = ctx.scorer.score_growth(base, grown, part, classes, model.loss_function)
        increase = max(0, null.loss - before.loss)
        return RetentionScore(self.part, PartScore(after.loss, after.correct), increase)
