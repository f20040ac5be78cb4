"""What an update costs its author, and whether he wants that. Formulas and comparisons; sends nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engram.nn.growth import grown_spec
from engram.participant.errors import BondAboveLimit, FeeAboveLimit
from engram.primitives.codec import encode
from engram.primitives.types import Address
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.fees import fee_of
from engram.statemachine.parameters import ParameterSources, sources_of
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.escrow import scoring_escrow
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.update import TrainUpdate, Update, reveal_macs, update_macs
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.transaction import Cost
from engram.statemachine.transactions.commit_update import CommitUpdate, reveal_share
from engram.statemachine.transactions.score_retention import ScoreRetention

_SIGNED_BYTES: Final = 256
"""More than what a transaction has besides its payload."""


@dataclass(frozen=True)
class Limits:
    """The most that an author will spend in one run, in sparks; None is no limit."""

    max_bond: int | None = None
    """Held as bonds at one time."""
    max_fee: int | None = None
    """Fees and prepaid scorings together."""


@dataclass(frozen=True)
class Price:
    """What an update takes from its author's balance."""

    bond: int
    """Comes back unless the claim is false or does not hold on the sealed parts."""
    fees: int
    """Of commit, reveal and retention scorings; gone."""
    escrow: int
    """Prepaid scorings."""

    @property
    def total(self) -> int:
        return self.bond + self.fees + self.escrow


def price_of(
    rules: Rules, round_: Round, model: Model, version: Version, whole: ParameterSources, update: Update
) -> Price:
    """The price of an update that makes `whole` of version t, tensors included, uploaded or not."""
    terms = round_.terms
    scored = update_macs(rules, version.spec, update, terms.rows)
    macs = reveal_macs(rules, round_, version, scored)
    tensors = sum(len(raw) for raw in update.tensors)
    size = ENVELOPE_BYTES + len(encode(replace(update, tensors=()))) + tensors
    reveal = fee_of(rules.fees, Cost(size_bytes=size, macs=macs, records=1 + len(update.tensors)))
    booked_bytes, booked_macs = reveal_share(rules, round_, version)
    booking = Cost(booked_bytes=booked_bytes, booked_macs=booked_macs, records=2)
    commit = _fee(rules, CommitUpdate(round_.id, 0, round_.id, round_.opened), booking)
    scoring = _fee(rules, ScoreRetention(round_.id, 0, round_.opener, round_.id), Cost())
    fees = commit + reveal + scoring * len(model.retention)
    return Price(terms.author_bond, fees, scoring_escrow(rules, round_, model, version, whole))


def whole_of(version: Version, update: Update) -> ParameterSources:
    """The sources of the network that the update makes of version t."""
    if isinstance(update, TrainUpdate):
        return ParameterSources(update.spec, update.hidden, update.outputs)
    grown = grown_spec(version.spec, update.growth)
    base = sources_of(version.spec, version.hidden, version.outputs)
    return ParameterSources(grown, (*base.hidden, *update.hidden), (*base.outputs, *update.outputs))


def check_price(limits: Limits, price: Price, *, held: int, spent: int, balance: int) -> None:
    """Whether the author can and will pay. `held`: bonds that are held already; `spent`: fees so far.

    Raises `BondAboveLimit`, `FeeAboveLimit`, `InsufficientBalance`.
    """
    if limits.max_bond is not None and held + price.bond > limits.max_bond:
        raise BondAboveLimit(expected=limits.max_bond, got=held + price.bond)
    fees = spent + price.fees + price.escrow
    if limits.max_fee is not None and fees > limits.max_fee:
        raise FeeAboveLimit(expected=limits.max_fee, got=fees)
    if price.total > balance:
        raise InsufficientBalance(expected=price.total, got=balance)


def bonds_held(round_: Round, author: Address) -> int:
    """What the round holds of an author's bonds."""
    standing = [item for item in round_.candidates if item.author == author]
    return round_.terms.author_bond * (len(standing) + round_.pending.count(author))


def _fee(rules: Rules, payload: CommitUpdate | ScoreRetention, cost: Cost) -> int:
    return fee_of(rules.fees, replace(cost, size_bytes=len(encode(payload)) + _SIGNED_BYTES))
