"""Rewards that have matured, and the claims that bring them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.transactions.claim_rewards import MAX_HEIGHTS, ClaimRewards


@dataclass(frozen=True)
class Claimed:
    """What was claimed."""

    amount: int
    transactions: tuple[Hash, ...]


async def claim_mature(wallet: Wallet) -> Claimed:
    """Sends the claims of every mature reward of the account; does not wait for their blocks.

    Raises as `Wallet.send` does.
    """
    rewards = [reward for reward in (await wallet.account())["maturing"] if reward["mature"]]
    claims = claims_of(reward["height"] for reward in rewards)
    txids = [await wallet.send(claim) for claim in claims]
    return Claimed(sum(reward["amount"] for reward in rewards), tuple(txids))


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
