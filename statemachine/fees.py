"""The price of a transaction: bytes, multiply-accumulates, records, and a floor. No balances."""

from __future__ import annotations

from dataclasses import replace

from engram.statemachine.rules import Fees, Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Transaction, TxPayload
from engram.primitives.codec import encode


def fee_of(fees: Fees, cost: Cost) -> int:
    """Sparks: max(floor, bytes·per_byte + ⌈macs / macs_per_spark⌉ + records·per_record)."""
    work = -(-cost.macs // fees.macs_per_spark)
    return max(fees.floor, cost.size_bytes * fees.per_byte + work + cost.records * fees.per_record)


def minimum_fee(rules: Rules, state: State, height: int, tx: Transaction, payload: TxPayload) -> int:
    """The least fee with which a block at this height, on this state, may hold the transaction.

    Raises leafs of `Invalid` when no fee would do.
    """
    cost = replace(payload.cost(rules, state, height), size_bytes=len(encode(tx)))
    return fee_of(rules.fees, cost)
