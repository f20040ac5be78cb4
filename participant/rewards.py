"""From heights of mature rewards to the claims that bring them. No node, no money."""

from __future__ import annotations

from collections.abc import Iterable

from engram.statemachine.transactions.claim_rewards import MAX_HEIGHTS, ClaimRewards


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
