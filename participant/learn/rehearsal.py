"""Tries a growth before anything is paid: what it does with rows cut off, its bytes, MACs and price.

Nothing is sent and no node is asked here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engram.nn.growth import forward_frozen, forward_growth
from engram.nn.network import forward, predict
from engram.participant.learn.errors import GrowthWouldFail
from engram.participant.learn.opening import CutOff
from engram.participant.memory.playing import Lesson, Memory, grown
from engram.participant.memory.slow import VerifiedVersion
from engram.participant.pricing import Price, price_of
from engram.primitives.types import ZERO_HASH, Address
from engram.statemachine.additions import GrowUpdate
from engram.statemachine.rounds.judging import may_forget
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.update import update_macs
from engram.statemachine.rules import Rules
from engram.statemachine.transactions.open_round import OpenRound

LEAST_RIGHT: Final = 0.5
"""The share of new rows that a growth must answer rightly before a round is opened for it."""


@dataclass(frozen=True)
class Rehearsal:
    """What a growth did on rows that it was not made from."""

    update: GrowUpdate
    new_classes: int
    old_rows: int
    """Rows of old classes that the version before answers rightly."""
    old_lost: int
    """How many of them the grown network answers wrongly."""
    new_rows: int
    new_right: int

    def allowed(self, epsilon_ppm: int, rows: int) -> int:
        """How many of `rows` unseen old rows such a growth may lose on the chain."""
        return may_forget(epsilon_ppm, rows)

    def odds(self, epsilon_ppm: int, rows: int) -> float:
        """The chance that of so many unseen old rows no more are lost than the chain allows.

        The share that is lost is estimated by Laplace's rule, (lost + 1) / (rows + 2), and each row is
        taken as independent of the others.
        """
        share = (self.old_lost + 1) / (self.old_rows + 2)
        most = min(self.allowed(epsilon_ppm, rows), rows)
        terms = (
            math.comb(rows, lost) * share**lost * (1 - share) ** (rows - lost) for lost in range(most + 1)
        )
        return min(1.0, sum(terms))

    def check(self, epsilon_ppm: int) -> None:
        """Raises `GrowthWouldFail` if the growth learned too little, or loses more than the chain allows."""
        if self.new_right < LEAST_RIGHT * self.new_rows:
            raise GrowthWouldFail(
                "a growth made from these rows answers too few new rows rightly: feed more, or better ones",
                expected=f"{LEAST_RIGHT:.0%} of {self.new_rows}",
                got=self.new_right,
            )
        if self.old_lost > self.allowed(epsilon_ppm, self.old_rows):
            raise GrowthWouldFail(
                "a growth made from these rows forgets more old rows than the model allows: feed more rows, "
                "or get sums of the old classes",
                expected=f"{self.allowed(epsilon_ppm, self.old_rows)} of {self.old_rows}",
                got=self.old_lost,
            )

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return {
            "old_rows": self.old_rows,
            "old_lost": self.old_lost,
            "new_rows": self.new_rows,
            "new_right": self.new_right,
        }


def rehearse(memory: Memory, lesson: Lesson, version: VerifiedVersion, cut: CutOff) -> Rehearsal:
    """Makes the growth that the lesson gives, and asks it about the rows cut off. Raises as `grown` does."""
    spec, parameters = version.report.network.spec, version.parameters
    new = int(cut.data.labels.max()) + 1 - spec.classes
    policy = version.report.model.growth_policy
    update, numbers = grown(memory, lesson, spec, parameters, policy, new)
    rows, labels = cut.data.features, cut.data.labels
    before = predict(forward(spec, parameters, rows, version.bounds))
    frozen = forward_frozen(spec, parameters, rows, version.bounds)
    after = predict(forward_growth(spec, frozen, update.growth, numbers))
    old = (labels < spec.classes) & (before == labels)
    fresh = labels >= spec.classes
    return Rehearsal(
        *(update, new, int(np.count_nonzero(old)), int(np.count_nonzero(old & (after != labels)))),
        *(int(np.count_nonzero(fresh)), int(np.count_nonzero(fresh & (after == labels)))),
    )


@dataclass(frozen=True)
class RoundPrice:
    """What a round of one's own costs its opener who is also an author, in sparks."""

    opening_fee: int
    opener_bond: int
    bounty: int
    author: Price
    update_bytes: int
    update_macs: int
    """Charged for the growth on one part."""

    @property
    def bonds(self) -> int:
        """At stake; they come back unless a duty is missed or the growth is not better."""
        return self.opener_bond + self.author.bond

    @property
    def costs(self) -> int:
        """The most that does not come back, if all of the bounty goes to others."""
        return self.opening_fee + self.bounty + self.author.fees + self.author.entry

    def to_json(self) -> dict[str, int]:
        """The price as JSON values."""
        return {
            "opening_fee": self.opening_fee,
            "opener_bond": self.opener_bond,
            "bounty": self.bounty,
            "author_bond": self.author.bond,
            "entry": self.author.entry,
            "author_fees": self.author.fees,
            "update_bytes": self.update_bytes,
            "update_macs": self.update_macs,
        }


def round_price(
    rules: Rules,
    exponent: int,
    payload: OpenRound,
    opener: Address,
    version: VerifiedVersion,
    update: GrowUpdate,
    opening_fee: int,
) -> RoundPrice:
    """The price of the round that `payload` opens, for an opener who brings this growth to it."""
    model, terms = version.report.model, payload.terms
    classes = model.classes + terms.new_classes
    round_ = Round(
        *(ZERO_HASH, model.id, opener, terms, 0, model.head, model.root, classes, model.classes),
        standing=model.witnesses,
    )
    base = version.report.network
    return RoundPrice(
        *(opening_fee, terms.opener_bond, terms.bounty),
        price_of(rules, exponent, round_, model, base, 0, update),
        sum(len(raw) for raw in update.tensors),
        update_macs(rules, base.spec, update, terms.rows),
    )
