"""Seal part: an auditor named in the terms commits to a part of their own, under a bond.

It is opened together with the opener's sealed parts, and decides the round beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import take
from engram.statemachine.receipt import Event
from engram.statemachine.records import Part
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import AlreadySealed, CommitmentRepeated, NotAnAuditor
from engram.statemachine.rounds.records import Round, SealedByOther
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class SealPart:
    """Carries the commitment of an auditor's part, which has the rows, inputs and classes of the round."""

    KIND: ClassVar[int] = 17
    NAME: ClassVar[str] = "seal_part"
    round: Hash
    commitment: Hash

    def check(self, rules: Rules) -> None:
        """Checks nothing: any 32 bytes may be a commitment."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The bond. Raises what `enter` raises, `NotAnAuditor`, `AlreadySealed`, `CommitmentRepeated`."""
        self._enter(state.child(), ctx, sender)
        return Cost(funds=ctx.rules.seal_bond)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Takes the bond, which is held until the part opens. Raises what `cost` raises."""
        entry = self._enter(state, ctx, sender)
        take(state, sender, ctx.rules.seal_bond)
        sealed = SealedByOther(sender, self.commitment, ctx.rules.seal_bond)
        state.put(replace(entry.round, third_party=(*entry.round.third_party, sealed)))
        event = Event("part_sealed", self.round, (), (sender.hex(), self.commitment.hex()))
        return Outcome((*entry.events, event))

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> EnteredRound:
        entry = enter(state, ctx, self.round, Phase.OPEN)
        check_auditor(entry.round, sender)
        sealed = tuple(part.commitment for part in entry.round.third_party)
        if self.commitment in (*entry.round.terms.commitments, *sealed):
            raise CommitmentRepeated(got=self.commitment)
        if state.find(Part, self.commitment) is not None:
            raise CommitmentRepeated("the part has been published before", got=self.commitment)
        return entry


def check_auditor(round_: Round, sender: Address) -> None:
    """Checks that the sender is an auditor of the round and has not sealed a part yet.

    Raises `NotAnAuditor`, `AlreadySealed`.
    """
    if sender not in round_.terms.auditors:
        raise NotAnAuditor(got=sender)
    if any(part.author == sender for part in round_.third_party):
        raise AlreadySealed(got=sender)
