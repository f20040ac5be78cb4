"""Seal part: a witness commits to a part of their own, under a bond.

It opens before the opener's sealed parts, and decides the round beside them. The witness's fee is held out of
the bounty from now on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.money import take
from engram.statemachine.receipt import Event
from engram.statemachine.records import NamedWitness, Part
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.errors import AlreadySealed, CommitmentRepeated, NotAWitness
from engram.statemachine.rounds.records import Round, RoundWitness
from engram.statemachine.rounds.terms import witness_bond
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class SealPart:
    """Carries the commitment of a witness's part, which has the rows, inputs and classes of the round."""

    KIND: ClassVar[int] = 17
    NAME: ClassVar[str] = "seal_part"
    round: Hash
    commitment: Hash

    def check(self, rules: Rules) -> None:
        """Checks nothing: any 32 bytes may be a commitment."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The bond and the round's record.

        Raises what `enter` raises, `NotAWitness`, `AlreadySealed`, `CommitmentRepeated`.
        """
        entry = self._enter(state.child(), ctx, sender)
        return Cost(record_bytes=entry.record_bytes, funds=witness_bond(ctx.rules, entry.round.terms))

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Takes the bond, which is held until the part opens. Raises what `cost` raises."""
        entry = self._enter(state, ctx, sender)
        round_, bond = entry.round, witness_bond(ctx.rules, entry.round.terms)
        take(state, sender, bond)
        fee = round_.terms.witness_fee
        named, standing = _place(round_, sender)
        chosen = not standing or round_.opener == entry.model.founder
        sealed = RoundWitness(sender, named.old_only, chosen, self.commitment, bond, fee)
        state.put(replace(round_, witnesses=(*round_.witnesses, sealed), pot=round_.pot - fee))
        event = Event("part_sealed", self.round, (), (sender.hex(), self.commitment.hex()))
        return Outcome((*entry.events, event))

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> EnteredRound:
        entry = enter(state, ctx, self.round, Phase.OPEN)
        check_witness(entry.round, sender)
        sealed = tuple(witness.commitment for witness in entry.round.witnesses)
        if self.commitment in (*entry.round.terms.commitments, *sealed):
            raise CommitmentRepeated(got=self.commitment)
        if state.find(Part, self.commitment) is not None:
            raise CommitmentRepeated("the part has been published before", got=self.commitment)
        return entry


def check_witness(round_: Round, sender: Address) -> None:
    """Checks that the sender is a witness of the round and has not sealed a part yet.

    Raises `NotAWitness`, `AlreadySealed`.
    """
    if all(witness.address != sender for witness in (*round_.standing, *round_.terms.witnesses)):
        raise NotAWitness(got=sender)
    if any(witness.author == sender for witness in round_.witnesses):
        raise AlreadySealed(got=sender)


def _place(round_: Round, sender: Address) -> tuple[NamedWitness, bool]:
    """The witness as named, and whether they are a standing one."""
    places = [(witness, True) for witness in round_.standing]
    places += [(witness, False) for witness in round_.terms.witnesses]
    return next(place for place in places if place[0].address == sender)
