"""Measures an engine on classes that arrive group by group, without a chain: what comes of it, and its cost.

Every number of right answers is computed by `nn.network.forward` on the integers of the grown head. A row is
judged among all classes seen so far, and no label of its group is given. Rows of old classes are never seen
again: sums and mixtures of them are handed over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

import numpy as np

from engram.nn.growth import Policy, append
from engram.nn.loss import LossKind, score
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkLimits, NetworkSpec, check_spec, macs_per_row
from engram.participant.datasets import Dataset, SplitDataset, concatenate
from engram.participant.memory import mixtures
from engram.participant.memory.banks import BankRule, Banks, declare
from engram.participant.memory.consolidation import Calibration, Consolidated, Consolidation, Settings
from engram.participant.memory.engines import ENGINES, Handover, consolidate
from engram.participant.memory.errors import EngineUnknown
from engram.participant.memory.founding import DEFAULTS, found
from engram.participant.memory.head import lifted, whole_network
from engram.participant.memory.mixtures import Mixture
from engram.participant.memory.statistics import Statistics, added, balanced, by_class, make
from engram.participant.memory.trunk import TERNARY, Trunk, shifted_images
from engram.primitives.types import Hash

LIMITS: Final = NetworkLimits()
ROUNDED_NATS: Final = 2.0**-24
"""One unit of a loss."""


@dataclass(frozen=True)
class StreamPlan:
    """What is measured."""

    engine: str
    groups: tuple[tuple[int, ...], ...]
    """The data set's labels, in the order in which they arrive."""
    width: int = 1_000
    """The neurons of a bank; there is one bank for each group."""
    policy: Policy | None = None
    """None: the first policy that the engine can grow."""
    generator: int = TERNARY
    arguments: tuple[int, ...] = ()
    settings: Settings = DEFAULTS
    calibration: Calibration | None = None
    limits: NetworkLimits = LIMITS
    bank_seed: Hash = bytes(32)
    seed: int = 0


@dataclass(frozen=True)
class StreamStage:
    """What the network can do after one more group has been learned."""

    sizes: tuple[int, ...]
    """The classes of each group so far."""
    class_right: tuple[int, ...]
    """Test rows of each class so far that are answered rightly."""
    class_rows: tuple[int, ...]
    """Test rows of each class so far."""
    nats: float
    """The mean loss of the test rows of all classes so far, as the chain computes it."""
    bytes: int
    """The tensors of the growth that have to travel."""
    macs_per_row: int
    """What the chain charges for the whole network, trunk included, on one row."""
    seconds: float
    """For sums, solving and training; not for the trunk and for the test."""
    made: Consolidated

    @property
    def accuracy(self) -> float:
        """The share of right answers on all test rows of classes so far."""
        return sum(self.class_right) / sum(self.class_rows)

    @property
    def balanced_accuracy(self) -> float:
        """The mean, over the classes so far, of the share of right answers on a class."""
        shares = [right / rows for right, rows in zip(self.class_right, self.class_rows, strict=True)]
        return sum(shares) / len(shares)

    @property
    def by_group(self) -> tuple[float, ...]:
        """The share of right answers on the test rows of each group so far."""
        ends = list(accumulate(self.sizes))
        spans = [slice(end - size, end) for size, end in zip(self.sizes, ends, strict=True)]
        return tuple(sum(self.class_right[span]) / sum(self.class_rows[span]) for span in spans)


@dataclass(frozen=True)
class StreamResult:
    """All stages, and the figures that the literature gives."""

    stages: tuple[StreamStage, ...]

    @property
    def matrix(self) -> tuple[tuple[float, ...], ...]:
        """R[t][j]: the share of group j's test rows that are right after group t; j ≤ t."""
        return tuple(stage.by_group for stage in self.stages)

    @property
    def final(self) -> float:
        """Accuracy on all test rows at the end."""
        return self.stages[-1].accuracy

    @property
    def average(self) -> float:
        """The mean, over the stages, of the accuracy on all classes seen so far."""
        return sum(stage.accuracy for stage in self.stages) / len(self.stages)

    @property
    def forgetting(self) -> float:
        """The mean, over all groups but the last, of the best accuracy it ever had minus its final one."""
        groups = range(len(self.stages) - 1)
        r = self.matrix
        lost = [max(r[t][j] for t in range(j, len(r) - 1)) - r[-1][j] for j in groups]
        return sum(lost) / len(lost) if lost else 0.0

    @property
    def backward_transfer(self) -> float:
        """The mean, over all groups but the last, of the final accuracy minus that when it was learned."""
        groups, r = range(len(self.stages) - 1), self.matrix
        gains = [r[-1][j] - r[j][j] for j in groups]
        return sum(gains) / len(gains) if gains else 0.0


@dataclass(frozen=True, eq=False)
class TrunkRows:
    """A data set after its trunk, with labels renumbered in the order of arrival."""

    train: Dataset
    test: Dataset


def through_trunk(
    trunk: Trunk, data: SplitDataset, groups: Sequence[Sequence[int]], *, shifted_side: int | None = None
) -> TrunkRows:
    """The rows of the classes in `groups`, run through the trunk once; they serve every engine.

    With `shifted_side`, the side of square images, each training image is there five times: as it is, and
    moved by a pixel in each direction. A scale that is chosen from held-out rows is then a little too large,
    because moved copies of these rows are not held out.
    """
    order = [label for group in groups for label in group]
    train, test = (part.of_classes(order) for part in (data.train, data.test))
    if shifted_side is not None:
        moved = [Dataset(rows, train.labels) for rows in shifted_images(train.features, shifted_side)]
        train = concatenate([train, *moved])
    return TrunkRows(_renumbered(trunk, train, order), _renumbered(trunk, test, order))


def _renumbered(trunk: Trunk, data: Dataset, order: Sequence[int]) -> Dataset:
    numbers = np.zeros(max(order) + 1, dtype=np.uint16)
    numbers[list(order)] = np.arange(len(order))
    return Dataset(trunk.run(data.features), numbers[data.labels])


def rule_of(plan: StreamPlan, rows: TrunkRows) -> BankRule:
    """The banks of a plan, declared on the rows of its first group."""
    first = rows.train.of_classes(range(len(plan.groups[0])))
    return declare(
        first.features[:4_096],
        seed=plan.bank_seed,
        width=plan.width,
        count=len(plan.groups),
        generator=plan.generator,
        arguments=plan.arguments,
    )


def measure(plan: StreamPlan, trunk: Trunk, rows: TrunkRows) -> Iterator[StreamStage]:
    """Learns group after group, and yields what the network can do after each.

    Raises what `found`, `consolidate` and `append` raise: a growth that the chain would refuse is an error.
    """
    if plan.engine not in ENGINES:
        raise EngineUnknown(expected=tuple(ENGINES), got=plan.engine)
    banks = Banks(rule_of(plan, rows))
    policy = ENGINES[plan.engine].policies[0] if plan.policy is None else plan.policy
    learner = _Learner(plan, trunk, banks, policy)
    classes = 0
    for number, group in enumerate(plan.groups):
        own = rows.train.of_classes(range(classes, classes + len(group)))
        classes += len(group)
        begin = time.perf_counter()
        made = learner.learn(number, own, len(group))
        seconds = time.perf_counter() - begin
        yield learner.judged(made, rows.test, seconds)


class _Learner:
    """The head so far, and what has been handed over about its classes."""

    def __init__(self, plan: StreamPlan, trunk: Trunk, banks: Banks, policy: Policy) -> None:
        self._plan, self._trunk, self._banks, self._policy = plan, trunk, banks, policy
        self._needs = ENGINES[plan.engine].needs
        self._spec: NetworkSpec | None = None
        self._parameters: Parameters = ()
        self._calibration = Calibration()
        self._sums: list[Statistics] = []
        self._mixtures: dict[int, Mixture] = {}

    def learn(self, number: int, own: Dataset, new_classes: int) -> Consolidated:
        made = self._found(own) if self._spec is None else self._grown(number, own, new_classes)
        if self._needs is Handover.MIXTURES:
            rng = np.random.default_rng([self._plan.seed, number, 2])
            settings = self._plan.settings
            for label in np.unique(own.labels).tolist():
                mine = own.features[own.labels == label]
                self._mixtures[label] = mixtures.fit(
                    mine, components=settings.components, rank=settings.rank, rng=rng
                )
        return made

    def _found(self, own: Dataset) -> Consolidated:
        plan = self._plan
        founded = found(
            plan.engine,
            self._banks.rule,
            own.features,
            own.labels,
            policy=self._policy,
            settings=plan.settings,
            calibration=plan.calibration,
            seed=plan.seed,
        )
        self._spec, self._parameters = founded.spec, founded.parameters
        self._calibration = founded.calibration
        if self._needs is Handover.STATISTICS and founded.statistics is not None:
            self._sums = self._sums_of(own) if plan.settings.balanced else [founded.statistics]
        check_spec(whole_network(self._trunk, founded.spec, ())[0], plan.limits)
        return founded.made

    def _grown(self, number: int, own: Dataset, new_classes: int) -> Consolidated:
        assert self._spec is not None, "the first group has founded the head"
        old, new = self._sums_with(own) if self._needs is Handover.STATISTICS else (None, None)
        given = Consolidation(
            self._spec,
            self._parameters,
            own.features,
            own.labels,
            new_classes,
            self._policy,
            self._banks,
            number,
            calibration=self._calibration,
            statistics=old,
            mixtures=self._mixtures,
            new_statistics=new,
            settings=self._plan.settings,
            seed=self._plan.seed,
        )
        made = consolidate(self._plan.engine, given)
        base, _ = whole_network(self._trunk, self._spec, ())
        growth = lifted(made.growth, self._trunk.depth)
        append(base, growth, policy=self._policy, limits=self._plan.limits)
        self._spec, self._parameters = made.applied(self._spec, self._parameters)
        return made

    def _sums_with(self, own: Dataset) -> tuple[Statistics, Statistics]:
        """The sums of old rows that were handed over, and of these new rows; they are handed over as well."""
        new = self._sums_of(own)
        old, self._sums = self._sums, [*self._sums, *new]
        if not self._plan.settings.balanced:
            self._sums = [added(self._sums)]
            return added(old), added(new)
        largest = max(each.rows for each in self._sums)
        return balanced(old, largest), balanced(new, largest)

    def _sums_of(self, own: Dataset) -> list[Statistics]:
        if self._plan.settings.balanced:
            return by_class(self._banks, own.features, own.labels, least_rows=1)
        return [make(self._banks, own.features, own.labels, least_rows=1)]

    def judged(self, made: Consolidated, test: Dataset, seconds: float) -> StreamStage:
        assert self._spec is not None, "a group has been learned before it is judged"
        right, rows, loss = [], [], 0
        for label in range(self._spec.classes):
            mine = test.of_classes([label])
            logits = forward(self._spec, self._parameters, mine.features)
            result = score(LossKind.SOFTMAX_CROSS_ENTROPY, logits, mine.labels)
            right.append(result.correct)
            rows.append(result.rows)
            loss += result.loss
        sizes = [len(group) for group in self._plan.groups]
        learned = [end <= self._spec.classes for end in accumulate(sizes)]
        whole, _ = whole_network(self._trunk, self._spec, ())
        return StreamStage(
            tuple(sizes[: sum(learned)]),
            tuple(right),
            tuple(rows),
            loss * ROUNDED_NATS / sum(rows),
            made.size_bytes(),
            macs_per_row(whole),
            seconds,
            made,
        )


def run(plan: StreamPlan, trunk: Trunk, rows: TrunkRows) -> StreamResult:
    """All stages of `measure`."""
    return StreamResult(tuple(measure(plan, trunk, rows)))


def with_seed(plan: StreamPlan, seed: int) -> StreamPlan:
    """The plan with other banks and other randomness."""
    return replace(plan, seed=seed, bank_seed=seed.to_bytes(32, "little"))
