"""Retire part: the founder removes a retention part, so that later growth may forget it.

A part can be wrong, or can hold what must not be learned any more. That it was retired stands for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.codec import encode
from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event
from engram.statemachine.records import Model, RetiredPart
from engram.statemachine.rounds.errors import PartNotRetained
from engram.statemachine.rounds.models import own_free_model
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class RetirePart:
    """Names the part by its commitment."""

    KIND: ClassVar[int] = 26
    NAME: ClassVar[str] = "retire_part"
    model: Hash
    part: Hash

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether the part is retained depends on the model."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """Two records. Raises what `own_free_model` raises, and `PartNotRetained`."""
        model, _ = self._enter(state.child(), ctx, sender)
        return Cost(records=2, record_bytes=len(encode(model)))

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Removes the part from the list and records that it was there. Raises what `cost` raises."""
        model, events = self._enter(state, ctx, sender)
        kept = tuple(part for part in model.retention if part.part != self.part)
        state.put(replace(model, retention=kept))
        state.put(RetiredPart(self.model, self.part, model.head, ctx.height))
        return Outcome((*events, Event("part_retired", self.model, (model.head,), (self.part.hex(),))))

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> tuple[Model, tuple[Event, ...]]:
        model, events = own_free_model(state, ctx, self.model, sender)
        if all(part.part != self.part for part in model.retention):
            raise PartNotRetained(got=self.part)
        return model, events
