"""Advance round: anyone can have the due steps of a round applied, and end a round whose calendar is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.rounds.calendar import Calendar
from engram.statemachine.rounds.errors import NothingDue
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.settlement import settle
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class AdvanceRound:
    """Asks for all due steps of a round to be applied."""

    KIND: ClassVar[int] = 23
    NAME: ClassVar[str] = "advance_round"
    round: Hash

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether a step is due depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """No records: the opener has paid for those of settling. Raises `MissingRecord`, `NothingDue`."""
        round_ = state.get(Round, self.round)
        if Calendar.of(round_, ctx.rules).due(round_, ctx.tick) is None:
            raise NothingDue(got=self.round)
        return Cost()

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Settles the round. Raises `MissingRecord`."""
        _, events = settle(state, ctx, self.round)
        return Outcome(events)
