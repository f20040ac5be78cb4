"""The gate between the memories: which of them answers a row.

It is trained from the same kind of source on both sides, integer sums of the activations of bank neurons:
those that owners of the old classes have handed over, and those of the fast memory's examples. Real rows
against drawn ones would teach it to tell real from drawn. Where not sums but mixtures were handed over, both
sides are drawn from mixtures.

One ridge regression has a target for all old classes as one, and one for each class of the fast memory. Both
sides weigh the same, however many rows they have, because nobody knows what will be asked. The fast memory
answers a row if the largest score of its classes exceeds that of the old ones.

On MNIST with eight digits in the slow memory and 50 examples of each other digit in the fast one, both
together answer 97.5 % of the test rows, and 98.9 % if an oracle chooses the memory; with 500 examples it is
98.6 and 99.3 % (nearest neighbour, 2,000 bank neurons, sums on both sides; drawn rows reach 97.5 and 98.2 %).

Fitting again when examples have arrived costs a sum over these examples and one Cholesky factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from engram.nn.network import Features
from engram.participant.memory import mixtures
from engram.participant.memory.banks import Banks
from engram.participant.memory.consolidation import Settings
from engram.participant.memory.errors import BankMismatch, StatisticsMissing
from engram.participant.memory.fast import Examples
from engram.participant.memory.mixtures import Mixture
from engram.participant.memory.ridge import Matrix, ridge
from engram.participant.memory.statistics import Statistics, added, make

DEFAULTS: Final = Settings()
RIDGE: Final = 0.1
"""The ridge, relative to the mean of the diagonal: large, because one side may have few examples."""
NEURONS: Final = 2_000
"""The most bank neurons that the gate reads; the first ones. More cost more at every fitting."""


@dataclass(frozen=True, eq=False)
class GateFit:
    """What a fitting found. A score is about 1 on rows of its class and 0 on others."""

    weights: Matrix
    """(neurons, 1 + classes): the old classes as one, then each class of the fast memory."""
    intercepts: Matrix
    """(1 + classes,)."""
    ridge: float
    """The ridge that was used, relative to the mean of the diagonal."""

    def scores(self, activations: Features) -> Matrix:
        """Above 0 where the fast memory answers (n,): its largest score minus that of the old classes."""
        scores = activations[:, : len(self.weights)].astype(np.float64) @ self.weights + self.intercepts
        found: Matrix = scores[:, 1:].max(axis=1) - scores[:, 0]
        return found


def fit_gate(old: Statistics, new: Statistics, *, strength: float = RIDGE, neurons: int = NEURONS) -> GateFit:
    """The gate between the classes that `old` has summed up and those of `new`, by the same banks.

    Raises `BankMismatch`, `StatisticsMissing` if a side has no row, `GramSingular`.
    """
    if old.bank != new.bank or old.neurons != new.neurons:
        raise BankMismatch(expected=old.bank, got=new.bank)
    if not (old.rows and new.rows):
        raise StatisticsMissing("a side of the gate has no rows", expected="1 or more", got=0)
    width = slice(min(neurons, old.neurons))
    shares = (0.5 / old.rows, 0.5 / new.rows)
    sums = np.concatenate(
        [
            shares[0] * old.sums[:, width].sum(axis=0, keepdims=True),
            shares[1] * new.sums[:, width],
        ]
    )
    means = np.concatenate([[0.5], shares[1] * new.counts])
    mean = sums.sum(axis=0)
    scatter = shares[0] * old.gram[width, width] + shares[1] * new.gram[width, width]
    scatter -= np.outer(mean, mean)
    weights, used = ridge(scatter, sums.T - np.outer(mean, means), strength)
    return GateFit(weights, means - mean @ weights, used)


class GateSides(Protocol):
    """What the gate is trained from: the same kind of source on both sides."""

    @property
    def banks(self) -> Banks:
        """The banks over which both sides are summed up."""
        ...

    @property
    def old(self) -> Statistics:
        """The sums of the chain's classes."""
        ...

    def new(self, known: Examples) -> Statistics:
        """The sums of the fast memory's classes, from these examples."""
        ...


@dataclass(frozen=True, eq=False)
class SummedSides:
    """Sums of real rows on both sides: the old ones were handed over."""

    banks: Banks
    old: Statistics

    def new(self, known: Examples) -> Statistics:
        """The sums of the examples. Raises what `statistics.make` raises."""
        return make(self.banks, known.values, known.labels, least_rows=1)


@dataclass(frozen=True, eq=False)
class DrawnSides:
    """Rows drawn from mixtures on both sides: those of the old classes were handed over."""

    banks: Banks
    old: Statistics
    settings: Settings
    seed: int

    @classmethod
    def of(
        cls, banks: Banks, given: Mapping[int, Mixture], settings: Settings = DEFAULTS, seed: int = 0
    ) -> DrawnSides:
        """The sides for mixtures of the chain's classes. Raises `StatisticsMissing` for none."""
        rng = np.random.default_rng([seed, 0])
        return cls(banks, sums_of_mixtures(banks, given, settings.drawn, rng), settings, seed)

    def new(self, known: Examples) -> Statistics:
        """Sums of rows that are drawn from mixtures of the examples.

        Raises `FewerRowsThanComponents` and `ConstantFeatures` for a class that has too few examples for a
        mixture.
        """
        settings, rng = self.settings, np.random.default_rng([self.seed, 1])
        fitted = {
            label: mixtures.fit(
                known.values[known.labels == label].astype(np.uint8),
                components=settings.components,
                rank=settings.rank,
                rng=rng,
            )
            for label in np.unique(known.labels).tolist()
        }
        return sums_of_mixtures(self.banks, fitted, settings.drawn, rng)


def sums_of_mixtures(
    banks: Banks, given: Mapping[int, Mixture], rows: int, rng: np.random.Generator
) -> Statistics:
    """Sums of `rows` rows drawn of each class. Raises `StatisticsMissing` for no class."""
    if not given:
        raise StatisticsMissing("there is no mixture to draw from", expected="1 or more", got=0)
    classes = sorted(given)
    drawn = [
        make(
            banks,
            mixtures.sample(given[label], rows, rng),
            np.full(rows, label, dtype=np.uint16),
            least_rows=1,
        )
        for label in classes
    ]
    return added(drawn)
