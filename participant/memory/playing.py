"""A participant's memory in the rounds of a chain: a founding, and the strategies of its authors.

Whoever founds a model fixes a `Memory`: which hidden segments are the trunk, which banks are declared, and
how many nats one unit of a score is. With it, an author teaches the model new classes from rows of these
alone, and from what was handed over about the old ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engram.nn.growth import Policy
from engram.nn.network import Features, Parameters
from engram.nn.spec import NetworkSpec
from engram.participant.datasets import Dataset
from engram.participant.memory.banks import BankRule, Banks
from engram.participant.memory.consolidation import Calibration, Consolidation, Settings
from engram.participant.memory.engines import consolidate
from engram.participant.memory.errors import BankExhausted
from engram.participant.memory.founded_network import FoundedNetwork, founded_network
from engram.participant.memory.founding import DEFAULTS, Founded
from engram.participant.memory.head import head_of, lifted
from engram.participant.memory.mixtures import Mixture
from engram.participant.memory.sources import sources_of
from engram.participant.memory.statistics import LEAST_ROWS, Statistics
from engram.participant.memory.trunk import Trunk, trunk_in
from engram.participant.strategies import grown_loss, loss_of
from engram.participant.task import Draft, Strategy, Task, network_root
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import GrowUpdate
from engram.statemachine.rounds.terms import Founding


@dataclass(frozen=True)
class Memory:
    """What every author of a model must know, beside what stands on the chain."""

    engine: str
    trunk_segments: int
    """How many hidden segments, at the front of the list, are the trunk."""
    rule: BankRule
    calibration: Calibration
    settings: Settings = DEFAULTS
    least_rows: int = LEAST_ROWS
    """The least number of rows of a class in every file of sums or mixtures, `LEAST_ROWS` or more."""

    def bank_of(self, head: NetworkSpec) -> int:
        """The number of the next bank: as many of the rule's banks as the head has already.

        Raises `BankExhausted` if all are there.
        """
        segment = self.rule.segment()
        number = sum(each == segment for each in head.hidden)
        if number >= self.rule.count:
            raise BankExhausted(expected=f"0..{self.rule.count - 1}", got=number)
        return number


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one author teaches in a growth."""

    rows: Dataset
    """Rows of the new classes, numbered as in the grown model; rows of other classes are left out."""
    statistics: Statistics | None = None
    """Sums of rows of the old classes, which their owners have handed over."""
    mixtures: Mapping[int, Mixture] = field(default_factory=dict)
    """Mixtures of the old classes."""
    named: Hash = ZERO_HASH
    """The content id of the statistics, by which the growth names them."""
    seed: int = 0
    values: Features | None = None
    """The trunk's values of `rows`, uint8 (n, values), if they have been computed already."""
    own_statistics: Statistics | None = None
    """Sums of the rows of new classes, if they have been made already."""

    def of_classes(self, classes: range, trunk: Trunk) -> Dataset:
        """The trunk's values of the rows of these classes, with their labels."""
        chosen = np.flatnonzero(np.isin(self.rows.labels, classes))
        if self.values is not None:
            return Dataset(self.values[chosen], self.rows.labels[chosen])
        own = self.rows.take(chosen)
        return Dataset(trunk.run(own.features), own.labels)


def founding_of(trunk: Trunk, founded: Founded, template: Founding) -> Founding:
    """A founding with the trunk, the first bank, and a head that knows nothing yet.

    The round that opens with it brings what the founding has learned: `trained`. So nodes see what the rows
    taught. Only a model of a single class knows its class from the beginning: it is grown, and not trained,
    by the round that opens with it. The spec and the sources of `template` are replaced.
    """
    return founded_network(trunk, founded).founding(template)


def trained(trunk: Trunk, founded: Founded) -> Strategy:
    """Proposes, in the first round, the network that the founding has learned. Its claims are exact."""
    return bringing(founded_network(trunk, founded))


def bringing(network: FoundedNetwork) -> Strategy:
    """Proposes this whole network in a TRAIN round. Its claims are exact."""
    update = network.update()

    def propose(task: Task) -> Draft:
        loss = loss_of(task, network.spec, network.parameters)
        return Draft(update, task.round.base, network_root(task, update), loss)

    return propose


def taught(memory: Memory, lesson: Lesson) -> Strategy:
    """Grows a model by new classes, from their rows and from what was handed over. Exact in its claims.

    The strategy raises what `consolidate` and `trunk_in` raise.
    """

    def propose(task: Task) -> Draft:
        base = task.base.spec
        new = task.round.terms.new_classes
        update, numbers = grown(memory, lesson, base, task.parameters, task.model.growth_policy, new)
        loss = grown_loss(task, update.growth, numbers)
        return Draft(update, task.round.base, network_root(task, update), loss)

    return propose


def grown(
    memory: Memory,
    lesson: Lesson,
    base: NetworkSpec,
    parameters: Parameters,
    policy: Policy,
    new_classes: int,
) -> tuple[GrowUpdate, Parameters]:
    """The growth by `new_classes` classes that a lesson makes of a network, and the growth's numbers.

    Raises what `consolidate` and `trunk_in` raise.
    """
    trunk = trunk_in(base, parameters, memory.trunk_segments)
    head, numbers = head_of(trunk, base, parameters)
    own = lesson.of_classes(range(base.classes, base.classes + new_classes), trunk)
    given = Consolidation(
        head,
        numbers,
        own.features,
        own.labels,
        new_classes,
        policy,
        Banks(memory.rule),
        memory.bank_of(head),
        calibration=memory.calibration,
        statistics=lesson.statistics,
        mixtures=lesson.mixtures,
        new_statistics=lesson.own_statistics,
        settings=memory.settings,
        seed=lesson.seed,
    )
    made = consolidate(memory.engine, given)
    hidden, outputs, tensors = sources_of(made.seeded, made.parameters)
    update = GrowUpdate(lifted(made.growth, trunk.depth), hidden, outputs, tensors, statistics=lesson.named)
    return update, made.parameters
