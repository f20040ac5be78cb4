"""Rewards that have matured, and the claims that bring them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.transactions.claim_rewards import MAX_HEIGHTS, ClaimRewards


@dataclass(frozen=True)
class Claimed:
    """What was claimed, and what cannot be yet; in sparks."""

    amount: int
    transactions: tuple[Hash, ...]
    maturing: int


async def claim_mature(wallet: Wallet) -> Claimed:
    """Sends the claims of every mature reward of the account; does not wait for their blocks.

    Raises as `Wallet.send` does.
    """
    rewards = (await wallet.account())["maturing"]
    claims = claims_of(reward["height"] for reward in rewards if reward["mature"])
    txids = [await wallet.send(claim) for claim in claims]
    mature = sum(reward["amount"] for reward in rewards if reward["mature"])
    return Claimed(mature, tuple(txids), sum(reward["amount"] for reward in rewards) - mature)


def claims_of(heights: Iterable[int]) -> list[ClaimRewards]:
    """The fewest claims that cover rewards of these heights, lowest first; none where there are none.

    Each pays for every height it looks at, so it begins and ends at a reward.
    """
    spans: list[tuple[int, int]] = []
    for height in sorted(set(heights)):
        if spans and height < spans[-1][0] + MAX_HEIGHTS:
            spans[-1] = (spans[-1][0], height)
        else:
            spans.append((height, height))
    return [ClaimRewards(first, last) for first, last in spans]
