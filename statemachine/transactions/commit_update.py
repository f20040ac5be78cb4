"""Commit update: an author commits to an update and its loss by a hash, under a bond.

The commit burns an entry, so names without an update behind them cost something. It writes nothing but its
own record. The reveal enters any block of the update window. Nothing is booked for it: while others fill the
blocks, the round clock stands still, and the window stays open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.primitives.types import U8, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import burn, take
from engram.statemachine.receipt import Event
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.entry import EnteredRound, check_epoch, enter
from engram.statemachine.rounds.errors import CommitRepeated
from engram.statemachine.rounds.records import Commit
from engram.statemachine.rounds.terms import entry_of
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
        """The author's bond, the entry and one record.

        Raises what `enter` raises, `WrongPhase` for another epoch, `CommitRepeated`.
        """
        terms = self._enter(state.child(), ctx, sender).round.terms
        return Cost(records=1, funds=terms.author_bond + entry_of(ctx.rules, terms, self.epoch))

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Takes the bond, which is held until the update is withdrawn, and burns the entry.

        Raises what `cost` raises.
        """
        entry = self._enter(state, ctx, sender)
        bond, price = entry.round.terms.author_bond, entry_of(ctx.rules, entry.round.terms, self.epoch)
        take(state, sender, bond + price)
        burn(state, price)
        state.put(Commit(self.round, self.epoch, sender, self.digest, bond, ctx.height))
        event = Event("update_committed", self.round, (self.epoch, price), (sender.hex(),))
        return Outcome((*entry.events, event))

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> EnteredRound:
        entry = enter(state, ctx, self.round, Phase.COMMIT)
        check_epoch(entry, self.epoch)
        if state.find(Commit, self.round, bytes([self.epoch]), sender) is not None:
            raise CommitRepeated(got=sender)
        return entry
