"""Claim rewards: matured subsidies, fees and bounties of the sender become spendable.

The reward at the first height may pay the fee, so that whoever earned his first coins can reach them. One
record answers whether it does: what no block can hold is refused without looking at the other heights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from engram.primitives.types import U64, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import ClaimRangeInvalid, NothingToClaim
from engram.statemachine.money import give
from engram.statemachine.receipt import Event
from engram.statemachine.record import u64
from engram.statemachine.records import Maturing
from engram.statemachine.rules import LOOKUP_MACS, Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome

MAX_HEIGHTS: Final = 256
"""Heights that one claim may look at."""


@dataclass(frozen=True)
class ClaimRewards:
    """Every `Maturing` record of the sender with first ≤ height ≤ last ends and joins the balance."""

    KIND: ClassVar[int] = 2
    NAME: ClassVar[str] = "claim_rewards"
    first: U64
    last: U64

    def check(self, rules: Rules) -> None:
        """Raises `ClaimRangeInvalid` for reversed or more than `MAX_HEIGHTS` heights."""
        if not self.first <= self.last < self.first + MAX_HEIGHTS:
            raise ClaimRangeInvalid(expected=f"1 to {MAX_HEIGHTS} heights", got=(self.first, self.last))

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """A look for every height; the reward at `first` is certain to come.

        Raises `ClaimRangeInvalid` for heights to come.
        """
        if self.last > ctx.height:
            raise ClaimRangeInvalid(
                "rewards of these heights are not mature", expected=ctx.height, got=self.last
            )
        reward = state.find(Maturing, sender, u64(self.first))
        heights = self.last - self.first + 1
        return Cost(macs=LOOKUP_MACS * heights, brings=reward.amount if reward else 0)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Raises `NothingToClaim`."""
        found = [state.find(Maturing, sender, u64(height)) for height in range(self.first, self.last + 1)]
        rewards = [reward for reward in found if reward is not None]
        if not rewards:
            raise NothingToClaim(got=(self.first, self.last))
        for reward in rewards:
            state.delete(reward)
        amount = sum(reward.amount for reward in rewards)
        give(state, sender, amount)
        return Outcome((Event("rewards_claimed", sender, (amount, len(rewards))),))
