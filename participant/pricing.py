"""Computes what an update costs its author, and checks it against the author's limits and balance.

Nothing is sent and no node is asked here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engram.nn.growth import grown_spec
from engram.node.offers import offer_for
from engram.participant.errors import BondAboveLimit, FeeAboveLimit
from engram.primitives.codec import encode
from engram.primitives.types import Address
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.parameters import ParameterSources, sources_of
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.escrow import retention_macs, scoring_escrow
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.update import TrainUpdate, Update, reveal_macs, update_macs
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.transaction import Cost
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.score_retention import ScoreRetention

_SIGNED_BYTES: Final = 256
"""Bytes that a transaction has besides its payload, rounded up."""


@dataclass(frozen=True)
class Limits:
    """The most that an author will spend in one round, in sparks; None is no limit."""

    max_bond: int | None = None
    """The most that the round may hold of the author's bonds at one time."""
    max_fee: int | None = None
    """The most for the fees of the round so far, and the fees and prepaid scorings of the next update."""


@dataclass(frozen=True)
class Price:
    """What an update takes from its author's balance, in sparks."""

    bond: int
    """It comes back, unless the author does not reveal, the claim is false, or the update does not improve on
    the sealed parts.
    """
    fees: int
    """The most that commit, reveal and retention scorings may be charged, by the caps that a wallet suggests.
    What is charged does not come back."""
    escrow: int
    """Prepaid: what it will cost to score the update on the sealed and the retention parts."""

    @property
    def total(self) -> int:
        """All of it together."""
        return self.bond + self.fees + self.escrow


def price_of(
    rules: Rules,
    exponent: int,
    round_: Round,
    model: Model,
    version: Version,
    whole: ParameterSources,
    update: Update,
) -> Price:
    """The price of an update that turns `version` into the network `whole`, at a base exponent.

    Every tensor counts with its size, whether it travels in the reveal or is uploaded before.
    """
    terms = round_.terms
    scored = update_macs(rules, version.spec, update, terms.rows)
    macs = reveal_macs(rules, round_, version, scored)
    tensors = sum(len(raw) for raw in update.tensors)
    size = ENVELOPE_BYTES + len(encode(replace(update, tensors=()))) + tensors
    cost = Cost(size_bytes=size, macs=macs, records=1 + len(update.tensors))
    reveal = offer_for(rules, cost, exponent).max_fee
    commit = _cap(rules, exponent, CommitUpdate(round_.id, 0, round_.id), Cost(records=1))
    request = ScoreRetention(round_.id, 0, round_.opener, round_.id)
    scored_again = [retention_macs(rules, round_, version, whole, part.rows) for part in model.retention]
    scorings = (_cap(rules, exponent, request, Cost(macs=macs, prepaid_macs=macs)) for macs in scored_again)
    fees = commit + reveal + sum(scorings)
    return Price(terms.author_bond, fees, scoring_escrow(rules, round_, model, version, whole))


def whole_of(version: Version, update: Update) -> ParameterSources:
    """The sources of the network into which the update turns `version`."""
    if isinstance(update, TrainUpdate):
        return ParameterSources(update.spec, update.hidden, update.outputs)
    grown = grown_spec(version.spec, update.growth)
    base = sources_of(version.spec, version.hidden, version.outputs)
    return ParameterSources(grown, (*base.hidden, *update.hidden), (*base.outputs, *update.outputs))


def check_price(limits: Limits, price: Price, *, held: int, spent: int, balance: int) -> None:
    """Checks that the author may and can pay a price.

    `held` is what the round holds of the author's bonds already, `spent` what the wallet has spent on fees in
    the round so far, `balance` the account's balance, all in sparks. Raises `BondAboveLimit`,
    `FeeAboveLimit`, `InsufficientBalance`.
    """
    if limits.max_bond is not None and held + price.bond > limits.max_bond:
        raise BondAboveLimit(expected=limits.max_bond, got=held + price.bond)
    fees = spent + price.fees + price.escrow
    if limits.max_fee is not None and fees > limits.max_fee:
        raise FeeAboveLimit(expected=limits.max_fee, got=fees)
    if price.total > balance:
        raise InsufficientBalance(expected=price.total, got=balance)


def bonds_held(round_: Round, author: Address) -> int:
    """The sparks that the round holds of an author's bonds, for commits and for candidates."""
    standing = [item for item in round_.candidates if item.author == author]
    return round_.terms.author_bond * (len(standing) + round_.pending.count(author))


def _cap(rules: Rules, exponent: int, payload: CommitUpdate | ScoreRetention, cost: Cost) -> int:
    size = len(encode(payload)) + _SIGNED_BYTES
    return offer_for(rules, replace(cost, size_bytes=size), exponent).max_fee
