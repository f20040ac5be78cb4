"""Claim rewards: the sender's subsidies, fees and bounties that have matured become spendable.

The reward at the first height of the claim may pay the fee. Otherwise somebody whose balance is empty could
not claim the first coins they earned. Only the first height counts, so that one lookup decides whether a
block may hold the transaction; the other heights are looked up when it is applied, after the fee is paid.
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
"""The most heights of one claim."""


@dataclass(frozen=True)
class ClaimRewards:
    """Adds every `Maturing` record of the sender with first ≤ height ≤ last to the balance."""

    KIND: ClassVar[int] = 2
    NAME: ClassVar[str] = "claim_rewards"
    first: U64
    last: U64

    def check(self, rules: Rules) -> None:
        """Raises `ClaimRangeInvalid` for reversed or more than `MAX_HEIGHTS` heights."""
        if not self.first <= self.last < self.first + MAX_HEIGHTS:
            raise ClaimRangeInvalid(expected=f"1 to {MAX_HEIGHTS} heights", got=(self.first, self.last))

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of one lookup for each height; the reward at `first` is certain and may pay the fee.

        Raises `ClaimRangeInvalid` if `last` is above the height of the block.
        """
        if self.last > ctx.height:
            raise ClaimRangeInvalid(
                "rewards of these heights are not mature", expected=ctx.height, got=self.last
            )
        reward = state.find(Maturing, sender, u64(self.first))
        heights = self.last - self.first + 1
        return Cost(macs=LOOKUP_MACS * heights, brings=reward.amount if reward else 0)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Moves the rewards to the balance. Raises `NothingToClaim` if there are none."""
        found = [state.find(Maturing, sender, u64(height)) for height in range(self.first, self.last + 1)]
        rewards = [reward for reward in found if reward is not None]
        if not rewards:
            raise NothingToClaim(got=(self.first, self.last))
        for reward in rewards:
            state.delete(reward)
        amount = sum(reward.amount for reward in rewards)
        give(state, sender, amount)
        return Outcome((Event("rewards_claimed", sender, (amount, len(rewards))),))
