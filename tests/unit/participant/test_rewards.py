"""Claims cover every reward, once, and look at no more heights than they must."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engram.participant.rewards import claims_of
from engram.statemachine.rules import Rules
from engram.statemachine.transactions.claim_rewards import MAX_HEIGHTS, ClaimRewards

HEIGHTS = st.lists(st.integers(0, 5_000), max_size=60)


@given(HEIGHTS)
def test_every_reward_is_claimed_once(heights: list[int]) -> None:
    claims = claims_of(heights)
    for height in heights:
        assert sum(claim.first <= height <= claim.last for claim in claims) == 1


@given(HEIGHTS)
def test_claims_are_valid_begin_and_end_at_a_reward_and_could_not_be_joined(heights: list[int]) -> None:
    claims = claims_of(heights)
    for claim in claims:
        claim.check(Rules())
        assert {claim.first, claim.last} <= set(heights)
    for one, other in pairwise(claims):
        assert other.last >= other.first >= one.first + MAX_HEIGHTS


def test_known_spans() -> None:
    assert claims_of([]) == []
    assert claims_of([9, 7, 7]) == [ClaimRewards(7, 9)]
    assert claims_of([0, 255, 256]) == [ClaimRewards(0, 255), ClaimRewards(256, 256)]
