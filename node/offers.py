"""What to offer for a transaction, unless its sender says otherwise: a policy of nodes and wallets, no rule.

Only the minimum fee and the tip are charged. So a generous cap costs nothing while the base stays low, and a
transaction with such a cap does not strand when it rises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.statemachine.fees import fee_of
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Cost

HEADROOM: Final = 16
"""How many more full blocks a suggested cap bears; the minimum fee is then 6.6 times higher."""

TIP_DIVISOR: Final = 64
"""A suggested tip is the minimum fee divided by this, about 1.6 %."""

_MOST: Final = 2**64 - 1


@dataclass(frozen=True)
class Offer:
    """What a transaction states about its fee, in sparks."""

    max_fee: int
    tip: int


def offer_for(rules: Rules, cost: Cost, exponent: int) -> Offer:
    """A small tip, and a cap above the minimum fee of `HEADROOM` more full blocks.

    The cap is also above the minimum fee at which the round clock still ticks. So as long as the clock moves
    with the base, a transaction with this cap can enter a block before its phase ends.
    """
    later = min(exponent + max(HEADROOM, rules.tick_exponent), rules.max_exponent)
    tip = -(-fee_of(rules.fees, cost, exponent) // TIP_DIVISOR)
    return Offer(min(fee_of(rules.fees, cost, max(exponent, later)) + tip, _MOST), min(tip, _MOST))
