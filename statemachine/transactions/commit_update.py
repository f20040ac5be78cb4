"""Commit update: an author commits to an update and its loss by a hash, under a bond.

The reveal enters any block of the update window. Nothing is booked for it: while others fill the blocks, the
round clock stands still, and the window stays open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.types import U8, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import take
from engram.statemachine.receipt import Event
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import CommitRepeated, EpochFull, WrongPhase
from engram.statemachine.rounds.records import Commit
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class CommitUpdate:
    """Commits to one update; an author can send one in each epoch."""

    KIND: ClassVar[int] = 19
    NAME: ClassVar[str] = "commit_update"
    round: Hash
    epoch: U8
    digest: Hash
    """`commit_digest` of the claim, which stays secret until the reveal."""

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether the values are right depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The author's bond and one record.

        Raises what `enter` raises, `WrongPhase` for another epoch, `CommitRepeated`, `EpochFull`.
        """
        entry = self._enter(state.child(), ctx, sender)
        return Cost(records=1, funds=entry.round.terms.author_bond)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Takes the bond, which is held until the reveal. Raises what `cost` raises."""
        entry = self._enter(state, ctx, sender)
        round_, bond = entry.round, entry.round.terms.author_bond
        take(state, sender, bond)
        state.put(Commit(self.round, self.epoch, sender, self.digest, bond, ctx.height))
        state.put(replace(round_, pending=(*round_.pending, sender)))
        event = Event("update_committed", self.round, (self.epoch,), (sender.hex(),))
        return Outcome((*entry.events, event))

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> EnteredRound:
        entry = enter(state, ctx, self.round, Phase.COMMIT)
        if self.epoch != entry.epoch:
            raise WrongPhase("another epoch is running", expected=entry.epoch, got=self.epoch)
        if sender in entry.round.pending:
            raise CommitRepeated(got=sender)
        if len(entry.round.pending) >= ctx.rules.max_commits_per_epoch:
            raise EpochFull(expected=ctx.rules.max_commits_per_epoch)
        return entry
