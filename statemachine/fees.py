"""The price of a transaction, from its bytes, multiply-accumulates and records. Looks at no balance."""

from __future__ import annotations

from dataclasses import replace

from engram.primitives import keys
from engram.statemachine.context import BlockContext
from engram.statemachine.rules import Fees
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Transaction, TxPayload


def fee_of(fees: Fees, cost: Cost) -> int:
    """Sparks: max(floor, bytes·per_byte + ⌈macs / macs_per_spark⌉ + records·per_record).

    Here `bytes` and `macs` include what the transaction books in a later block, used or not; MACs that an
    escrow has prepaid are left out.
    """
    work = price_of_macs(fees, cost.macs - cost.prepaid_macs + cost.booked_macs)
    size = cost.size_bytes + cost.booked_bytes
    return max(fees.floor, size * fees.per_byte + work + cost.records * fees.per_record)


def price_of_macs(fees: Fees, macs: int) -> int:
    """Sparks: ⌈macs / macs_per_spark⌉."""
    return -(-macs // fees.macs_per_spark)


def minimum_fee(state: State, ctx: BlockContext, tx: Transaction, payload: TxPayload) -> int:
    """The least fee with which this block, on this state, may hold the transaction.

    `state` is what `transition.begin_block` returned, with the transactions before this one applied. Raises
    leaves of `Invalid` if no fee would be enough.
    """
    cost = replace(payload.cost(state, ctx, keys.address(tx.sender)), size_bytes=tx.size_bytes)
    return fee_of(ctx.rules.fees, cost)
