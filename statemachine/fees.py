"""The price of a transaction, from its bytes, multiply-accumulates and records. Looks at no balance.

Every price rises and falls with the base exponent x of the chain, which full blocks raise: it is (9/8)^x of
what it is at x = 0. What another transaction has paid for already is taken off, at its price at x = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from engram.primitives import keys
from engram.statemachine.context import BlockContext
from engram.statemachine.rules import Fees
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Transaction, TxPayload


@dataclass(frozen=True)
class BasePrice:
    """What a transaction is charged at each base exponent, in sparks at exponent 0."""

    whole: int
    """For all that it uses."""
    paid: int = 0
    """The part of `whole` that another transaction has paid for. It does not rise with the exponent: whoever
    fills blocks pays for all the room that the transaction takes.
    """
    floor: int = 0

    def at(self, exponent: int) -> int:
        """The least that it is charged: never less than the floor of this exponent."""
        return max(risen(self.floor, exponent), risen(self.whole, exponent) - self.paid)


def fee_of(fees: Fees, cost: Cost, exponent: int) -> int:
    """The least that a transaction is charged."""
    return price_of(fees, cost).at(exponent)


def price_of(fees: Fees, cost: Cost) -> BasePrice:
    """The price follows from max(floor, bytes·per_byte + ⌈macs / macs_per_spark⌉ + records·per_record).

    Bytes are those of the transaction and those of the large records that it writes.
    """
    size = (cost.size_bytes + cost.record_bytes) * fees.per_byte
    whole = size + price_of_macs(fees, cost.macs) + cost.records * fees.per_record
    return BasePrice(max(fees.floor, whole), price_of_macs(fees, cost.paid_macs), fees.floor)


def risen(price: int, exponent: int) -> int:
    """⌈price · 9^exponent / 8^exponent⌉."""
    up: int = 9**exponent
    down: int = 8**exponent
    return -(-price * up // down)


def price_of_macs(fees: Fees, macs: int) -> int:
    """Sparks: ⌈macs / macs_per_spark⌉."""
    return -(-macs // fees.macs_per_spark)


def minimum_fee(state: State, ctx: BlockContext, tx: Transaction, payload: TxPayload) -> int:
    """The least that this block, on this state, charges for the transaction, without a tip.

    `state` is what `transition.begin_block` returned, with the transactions before this one applied. Raises
    leaves of `Invalid` if no fee would be enough.
    """
    cost = payload.cost(state, ctx, keys.address(tx.sender)).of_size(tx.size_bytes)
    return fee_of(ctx.rules.fees, cost, ctx.exponent)
