"""Consolidation: what an engine is given, and what it gives. The one interface of all engines.

A founding is a consolidation whose base is `empty_head`: everything is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from engram.nn.growth import Growth, Policy, grown_spec, merge_parameters
from engram.nn.network import Features, Parameters
from engram.nn.seeded import Seeded
from engram.nn.spec import NetworkSpec
from engram.participant.memory.banks import Banks
from engram.participant.memory.checks import Labels, check_features, check_labels_of, check_varied
from engram.participant.memory.errors import BankMismatch
from engram.participant.memory.mixtures import Mixture
from engram.participant.memory.statistics import Statistics, added, make
from engram.participant.training.qat import Budget
from engram.primitives.types import Hash

ALPHA: Final = 10.0
"""Nats for one unit of a ridge regression's score, unless a founding has chosen another number."""
BUDGET: Final = Budget(steps=2_000)


@dataclass(frozen=True)
class Settings:
    """What a person may set."""

    ridge: float = 1e-5
    """The ridge, relative to the mean of the diagonal."""
    rank: int = 40
    """The directions of a Gaussian."""
    components: int = 1
    """The Gaussians of a class."""
    floor: float = 8.0
    """The variance of the background of `experts`, in mean variances of the founding's classes outside their
    directions."""
    balanced: bool = False
    """Whether rare classes count as much as common ones in sums."""
    neurons: int = 100
    """The trained neurons of a growth of the engines `naive` and `replay`."""
    drawn: int = 4_000
    """The rows that are drawn of each class by `replay`."""
    budget: Budget = BUDGET
    """How long `naive` and `replay` train."""


@dataclass(frozen=True)
class Calibration:
    """The numbers of a model that its founding fixes for all later growths."""

    alpha: float = ALPHA
    """Nats for one unit of a ridge regression's score."""
    fixed: bool = False
    """Whether a growth may choose no alpha of its own."""
    background: float = 0.0
    """The variance of the background of `experts`; 0 before it is known."""
    temperature: float = 0.125
    """Nats for one nat of a likelihood ratio of `experts`: features are not independent of each other."""


@dataclass(frozen=True, eq=False)
class Consolidation:
    """A head to grow, rows of new classes, and what was handed over about the old ones."""

    base: NetworkSpec
    parameters: Parameters
    values: Features
    """The trunk's values of the new rows, uint8 (n, values)."""
    labels: Labels
    """The classes of the rows, numbered as in the grown head: base.classes and up."""
    new_classes: int
    policy: Policy
    banks: Banks
    bank: int
    """The number of the bank that this growth brings."""
    calibration: Calibration = Calibration()
    statistics: Statistics | None = None
    """Sums of rows of old classes."""
    mixtures: Mapping[int, Mixture] = field(default_factory=dict)
    """Mixtures of old classes."""
    new_statistics: Statistics | None = None
    """Sums of the new rows, if they have been made already."""
    settings: Settings = Settings()
    seed: int = 0

    @property
    def founding(self) -> bool:
        return self.base.classes == 0

    @property
    def classes(self) -> range:
        """The new classes."""
        return range(self.base.classes, self.base.classes + self.new_classes)

    @property
    def old(self) -> range:
        return range(self.base.classes)

    def checked(self) -> Consolidation:
        """The same given.

        Raises `FeatureCountMismatch`, `FeaturesNotIntegers`, `UnknownLabels`, `ClassWithoutRows`,
        `ConstantFeatures`.
        """
        check_features(self.values, self.base.inputs)
        check_labels_of(self.labels, len(self.values), self.classes)
        check_varied(self.values)
        return self

    def all_statistics(self) -> Statistics:
        """The sums of old and new rows together. Raises `BankMismatch`."""
        new = self.new_statistics or make(self.banks, self.values, self.labels, least_rows=1)
        if new.bank != self.banks.rule.bank_id:
            raise BankMismatch(expected=self.banks.rule.bank_id, got=new.bank)
        return added([self.statistics, new]) if self.statistics is not None else new


@dataclass(frozen=True)
class Report:
    """What an engine tells about a growth."""

    engine: str
    ridge: float = 0.0
    """The ridge that was used, relative to the mean of the diagonal; 0 where nothing was solved."""
    alpha: float = 0.0
    """Nats for one unit of a score; 0 where there are no scores."""
    rows: int = 0
    """The rows that the growth was made from: those whose sums were used, or that were drawn."""
    sources: tuple[Hash, ...] = ()
    """The files of statistics that went in."""


@dataclass(frozen=True, eq=False)
class Consolidated:
    """A growth of a head, its parameters, and how it came about."""

    growth: Growth
    parameters: Parameters
    seeded: tuple[Seeded | None, ...]
    """For each hidden segment, the seeded tensor that its weights are, or None."""
    report: Report

    def applied(self, base: NetworkSpec, parameters: Parameters) -> tuple[NetworkSpec, Parameters]:
        """The grown head and its parameters."""
        grown = grown_spec(base, self.growth)
        return grown, merge_parameters(base, parameters, self.growth, self.parameters)

    def size_bytes(self) -> int:
        """The bytes of all tensors that have to travel: 24 for a header, at most, and the elements."""
        seeds = (*self.seeded, *[None] * len(self.growth.outputs))
        total = 0
        for seeded, given in zip(seeds, self.parameters, strict=True):
            total += given.bias.nbytes + 24 + (0 if seeded is not None else given.weights.nbytes + 24)
        return total
