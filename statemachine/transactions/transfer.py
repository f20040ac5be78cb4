"""Transfer: the sender sends sparks to an address, which can spend them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.primitives.types import U64, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import AmountZero
from engram.statemachine.money import move
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome

_DONE = Outcome()


@dataclass(frozen=True)
class Transfer:
    """Moves `amount` to `target`, which may be any 20 bytes: an address needs no account to receive."""

    KIND: ClassVar[int] = 1
    NAME: ClassVar[str] = "transfer"
    target: Address
    amount: U64
    """Sparks, at least 1."""

    def check(self, rules: Rules) -> None:
        """Raises `AmountZero`."""
        if not self.amount:
            raise AmountZero(expected="1 or more", got=0)

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """One record, and the amount, which the balance must cover."""
        return Cost(records=1, funds=self.amount)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Moves the amount. Raises `InsufficientBalance`."""
        move(state, sender, self.target, self.amount)
        return _DONE
