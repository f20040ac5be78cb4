"""Amend model: the founder names other members and standing witnesses, or lets growths lose more.

This is possible at any time, so that a member cannot keep it off by one round after the other. A round that
is under way is not touched: it has its opener, and its own list of standing witnesses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.codec import encode
from engram.primitives.types import U32, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event
from engram.statemachine.records import Members, Model, Witnesses
from engram.statemachine.rounds.errors import LimitLowered
from engram.statemachine.rounds.judging import PPM
from engram.statemachine.rounds.models import own_model
from engram.statemachine.rounds.terms import check_names
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class AmendModel:
    """The complete new lists, and the new limit of what all growths together may lose."""

    KIND: ClassVar[int] = 25
    NAME: ClassVar[str] = "amend_model"
    model: Hash
    members: Members
    witnesses: Witnesses
    lost_cap_ppm: U32

    def check(self, rules: Rules) -> None:
        """Raises `TermsInvalid` for an address that is listed twice."""
        check_names("member", self.members)
        check_names("witness", [witness.address for witness in self.witnesses])

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The model's record. Raises what `own_model` raises, and `LimitLowered`."""
        model = own_model(state, self.model, sender)
        check_limit(model, self.lost_cap_ppm)
        return Cost(records=1, record_bytes=len(encode(self._amended(model))))

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Writes the lists and the limit. Raises what `cost` raises."""
        model = own_model(state, self.model, sender)
        check_limit(model, self.lost_cap_ppm)
        state.put(self._amended(model))
        values = (len(self.members), len(self.witnesses), self.lost_cap_ppm)
        return Outcome((Event("model_amended", self.model, values),))

    def _amended(self, model: Model) -> Model:
        return replace(model, members=self.members, witnesses=self.witnesses, lost_cap_ppm=self.lost_cap_ppm)


def check_limit(model: Model, lost_cap_ppm: int) -> None:
    """Raises `LimitLowered` unless the new limit is at least the old one and at most all rows."""
    if not model.lost_cap_ppm <= lost_cap_ppm <= PPM:
        raise LimitLowered(expected=f"{model.lost_cap_ppm}..{PPM}", got=lost_cap_ppm)
