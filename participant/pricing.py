"""Computes what an update costs its author, and checks it against the author's limits and balance.

Nothing is sent and no node is asked here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engram.node.offers import offer_for
from engram.participant.errors import BondAboveLimit, FeeAboveLimit
from engram.participant.scoring import scored_rows, scoring_price_macs
from engram.primitives.codec import encode
from engram.statemachine.additions import Update, halves_of
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.parameters import Composition
from engram.statemachine.records import Model
from engram.statemachine.rounds.claims import HEAD_BYTES, ROW_BYTES, audit_macs
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.terms import MAX_AUDITED, entry_of
from engram.statemachine.rounds.union import HALF_RECORDS
from engram.statemachine.rounds.update import base_macs, reading_macs, update_macs
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.transaction import Cost, TxPayload
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.withdraw import Withdraw

_SIGNED_BYTES: Final = 256
"""Bytes that a transaction has besides its payload, rounded up."""
_CHUNK_BYTES: Final = 2_048
"""Bytes that a claimed chunk takes with its proof, rounded up."""
_GROWING_BYTES: Final = 4_096
"""Bytes by which the records of a round and a candidate may still grow before it is scored."""


@dataclass(frozen=True)
class Limits:
    """The most that an author will spend in one round, in sparks; None is no limit."""

    max_bond: int | None = None
    """The most that the round may hold of the author's bonds at one time."""
    max_fee: int | None = None
    """The most for the fees of the round so far, and for entry and fees of the next update."""


@dataclass(frozen=True)
class Price:
    """What an update takes from its author's balance, in sparks."""

    bond: int
    """It comes back, unless the author does not reveal, the claim is false, or the update is not better on
    the unseen parts."""
    entry: int
    """What the commit burns."""
    fees: int
    """The most that commit, reveal, scoring and withdrawal may be charged, by the caps that a wallet
    suggests. What is charged does not come back."""

    @property
    def total(self) -> int:
        """All of it together."""
        return self.bond + self.entry + self.fees


def price_of(
    rules: Rules, exponent: int, round_: Round, model: Model, base: Composition, epoch: int, update: Update
) -> Price:
    """The price of an update of version t, which is `base`, in this epoch, at a base exponent.

    Of a union, the scoring of both halves is counted too: none of them costs more than the union.
    Every tensor counts with its size, whether it travels in the reveal or is uploaded before.
    """
    terms = round_.terms
    known = base_macs(rules, round_, base)
    macs = known + terms.validation * update_macs(rules, base.spec, update, terms.rows)
    claimed = 0
    if model.claims is not None:
        known, claimed = 0, HEAD_BYTES + ROW_BYTES * terms.rows * terms.validation
        macs = terms.validation * reading_macs(rules, model.inputs, terms.rows)
        macs += update_macs(rules, base.spec, update, 1)
    tensors = sum(len(raw) for raw in update.tensors)
    shape = len(encode(replace(update, tensors=())))
    records = len(encode(round_)) + shape + _GROWING_BYTES
    cost = Cost(
        size_bytes=ENVELOPE_BYTES + shape + tensors + claimed,
        macs=macs,
        paid_macs=known,
        records=1 + len(update.tensors) + HALF_RECORDS * len(halves_of(update)),
        record_bytes=records + shape,
    )
    reveal = offer_for(rules, cost, exponent).max_fee
    commit = _cap(rules, exponent, CommitUpdate(round_.id, 0, round_.id), Cost(records=1))
    withdrawal = _cap(rules, exponent, Withdraw(round_.id, 0, round_.opener), Cost(records=1))
    if model.claims is not None:
        scoring = _claiming(rules, exponent, round_, model, base, update, records)
    else:
        request = ScoreUpdate(round_.id, 0, round_.opener, (0,))
        scorings = (
            _cap(rules, exponent, request, Cost(macs=macs, records=1, record_bytes=records))
            for macs in scoring_price_macs(rules, round_, model, base, update)
        )
        scoring = (1 + len(halves_of(update))) * sum(scorings)
    fees = commit + reveal + scoring + withdrawal
    return Price(terms.author_bond, entry_of(rules, terms, epoch), fees)


def _claiming(
    rules: Rules,
    exponent: int,
    round_: Round,
    model: Model,
    base: Composition,
    update: Update,
    records: int,
) -> int:
    """The caps for claiming the scores of an update on every part, and for confirming them, in sparks."""
    parts = scored_rows(round_, model)
    caps = [
        _cap(
            *(
                rules,
                exponent,
                ScoreUpdate(round_.id, 0, round_.opener, (0,), bytes(HEAD_BYTES + ROW_BYTES * rows)),
            ),
            Cost(macs=reading_macs(rules, model.inputs, rows), records=1, record_bytes=records),
        )
        for rows in parts
    ]
    audit = Cost(
        size_bytes=_SIGNED_BYTES + _CHUNK_BYTES * MAX_AUDITED,
        macs=audit_macs(rules, base, round_, model, update),
        records=1,
        record_bytes=records,
    )
    return sum(caps) + offer_for(rules, audit, exponent).max_fee


def check_price(limits: Limits, price: Price, *, held: int, spent: int, balance: int) -> None:
    """Checks that the author may and can pay a price.

    `held` is what the round holds of the author's bonds already, `spent` what the wallet has spent on fees in
    the round so far, `balance` the account's balance, all in sparks. Raises `BondAboveLimit`,
    `FeeAboveLimit`, `InsufficientBalance`.
    """
    if limits.max_bond is not None and held + price.bond > limits.max_bond:
        raise BondAboveLimit(expected=limits.max_bond, got=held + price.bond)
    fees = spent + price.fees + price.entry
    if limits.max_fee is not None and fees > limits.max_fee:
        raise FeeAboveLimit(expected=limits.max_fee, got=fees)
    if price.total > balance:
        raise InsufficientBalance(expected=price.total, got=balance)


def _cap(rules: Rules, exponent: int, payload: TxPayload, cost: Cost) -> int:
    size = len(encode(payload)) + _SIGNED_BYTES
    return offer_for(rules, replace(cost, size_bytes=size), exponent).max_fee
