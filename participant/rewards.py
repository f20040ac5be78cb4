"""Claims the rewards of an account that have matured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.transactions.claim_rewards import MAX_HEIGHTS, ClaimRewards


@dataclass(frozen=True)
class Claimed:
    """What was claimed, and what cannot be claimed yet."""

    amount: int
    """Sparks that the claims bring."""
    transactions: tuple[Hash, ...]
    """Ids of the claims, which may still wait for their blocks."""
    maturing: int
    """Sparks of rewards that have not matured."""


async def claim_mature(wallet: Wallet) -> Claimed:
    """Sends claims for every mature reward of the account. Does not wait for their blocks.

    Raises as `Wallet.send` does.
    """
    rewards = (await wallet.account())["maturing"]
    claims = claims_of(reward["height"] for reward in rewards if reward["mature"])
    txids = [await wallet.send(claim) for claim in claims]
    mature = sum(reward["amount"] for reward in rewards if reward["mature"])
    return Claimed(mature, tuple(txids), sum(reward["amount"] for reward in rewards) - mature)


def claims_of(heights: Iterable[int]) -> list[ClaimRewards]:
    """The fewest claims that cover the rewards of these heights, the lowest first.

    A claim covers a range of heights and pays for each of them, so each range begins and ends at a reward.
    """
    spans: list[tuple[int, int]] = []
    for height in sorted(set(heights)):
        if spans and height < spans[-1][0] + MAX_HEIGHTS:
            spans[-1] = (spans[-1][0], height)
        else:
            spans.append((height, height))
    return [ClaimRewards(first, last) for first, last in spans]
