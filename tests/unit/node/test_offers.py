"""What wallets offer: enough for a base that rises, and never more than the fields can hold."""

from dataclasses import replace

import pytest

from engram.node.offers import HEADROOM, Offer, offer_for
from engram.statemachine.fees import fee_of, risen
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Cost

RULES = Rules()
FLOOR = RULES.fees.floor
PLAIN = Cost(size_bytes=200)


def test_a_cap_bears_sixteen_more_crowded_blocks_and_a_tip_is_small() -> None:
    offer = offer_for(RULES, PLAIN, 0)
    assert offer == Offer(risen(FLOOR, 16) + 160, 160)
    assert 6 * FLOOR < offer.max_fee < 7 * FLOOR


@pytest.mark.parametrize("exponent", [0, 1, 12, 30, 184, 199, 200])
def test_a_cap_is_enough_now_and_at_every_base_up_to_its_headroom(exponent: int) -> None:
    offer = offer_for(RULES, PLAIN, exponent)
    for later in range(exponent, min(exponent + HEADROOM, RULES.max_exponent) + 1):
        assert fee_of(RULES.fees, PLAIN, later) + offer.tip <= offer.max_fee


def test_a_cap_bears_the_base_at_which_the_clock_ticks() -> None:
    """Also on a chain whose clock ticks at a higher base than is usual."""
    patient = replace(RULES, tick_exponent=40)
    assert offer_for(patient, PLAIN, 0).max_fee >= fee_of(RULES.fees, PLAIN, 40)


def test_an_offer_fits_its_fields() -> None:
    dear = replace(RULES, fees=replace(RULES.fees, floor=2**64 - 1))
    assert offer_for(dear, PLAIN, 200) == Offer(2**64 - 1, 2**64 - 1)
