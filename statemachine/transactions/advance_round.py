"""Advance round: anyone applies the defaults that are due, and ends a round whose calendar is over."""

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
    """Settles a round up to this height."""

    KIND: ClassVar[int] = 23
    NAME: ClassVar[str] = "advance_round"
    round: Hash

    def check(self, rules: Rules) -> None:
        """Every round may be named."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """What settling makes was paid for when the round opened. Raises `MissingRecord`, `NothingDue`."""
        round_ = state.get(Round, self.round)
        if Calendar.of(round_, ctx.rules).due(round_, ctx.height) is None:
            raise NothingDue(got=self.round)
        return Cost()

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Raises `MissingRecord`."""
        _, events = settle(state, ctx, self.round)
        return Outcome(events)
