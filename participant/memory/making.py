"""Makes a founder's memory folder from rows of the first classes, and sums or mixtures of anybody's rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from engram.nn.network import Features
from engram.nn.spec import NetworkLimits
from engram.participant.datasets import Dataset
from engram.participant.memory.banks import BankRule, Banks, declare
from engram.participant.memory.checks import Labels, check_varied
from engram.participant.memory.consolidation import Calibration, Settings
from engram.participant.memory.costs import fitting_growths, uses_banks
from engram.participant.memory.engines import ENGINES, Handover
from engram.participant.memory.errors import (
    EngineUnknown,
    GrowthsTooMany,
    NothingHandedOver,
    TrunkMismatch,
    UnknownLabels,
)
from engram.participant.memory.folder import MemoryFolder, check_free_folder
from engram.participant.memory.founded_network import founded_network
from engram.participant.memory.founding import Founded, found
from engram.participant.memory.mixture_set import MixtureSet, make_set
from engram.participant.memory.playing import Memory
from engram.participant.memory.statistics import LEAST_ROWS, Statistics, check, check_counts, make
from engram.participant.memory.statistics_file import MAX_CLASSES
from engram.participant.memory.trials import Trial, Trials, try_growths
from engram.participant.memory.trunk import TERNARY, Trunk, convolution_trunk, plain_trunk

TRUNKS: Final = ("auto", "convolution", "pixels")
MOST_GROWTHS: Final = 10
"""So many growths are prepared for, if a row stays within the chain's limit."""
VALUES: Final = 512
"""The most values to which a trunk projects."""
RIDGES: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""What a founding tries on rows held out, relative to the mean of the diagonal."""
RIDGE: Final = 1e-3
"""That of engines whose growths are not solved from sums, unless the founder names another."""
_SAMPLE_ROWS: Final = 4_096


@dataclass(frozen=True)
class FoundingPlan:
    """What a founder decides about a model's memory."""

    engine: str
    seed: int
    """Draws the projection and the banks."""
    trunk: str = "auto"
    """One of `TRUNKS`; auto is convolution for square images whose side is a multiple of 4, from 8 on."""
    bank_neurons: int = 1_000
    growths: int | None = None
    """For how many growths banks are declared; None: as many as a row has room for, at most MOST_GROWTHS."""
    least_rows: int = LEAST_ROWS
    ridge: float | None = None
    """None: what is best on rows held out."""
    new_classes: int = 2
    """The classes that each growth is expected to bring: for them room is reckoned and limits are advised."""


@dataclass(frozen=True)
class Made:
    """What a founding has made."""

    folder: MemoryFolder
    founded: Founded
    trials: Trials


def found_memory(
    data: Dataset, plan: FoundingPlan, out: Path, limits: NetworkLimits, report: Callable[[str], None]
) -> Made:
    """Founds a memory with rows of classes 0, 1, …, and writes its folder, in one step.

    Raises `EngineUnknown`, `TrunkMismatch`, `GrowthsTooMany`, `TooFewRowsToHide`, `MemoryFolderInvalid`, and
    what `found` and `try_growths` raise.
    """
    check_free_folder(out)
    if plan.engine not in ENGINES:
        raise EngineUnknown(expected=tuple(ENGINES), got=plan.engine)
    engine = ENGINES[plan.engine]
    if engine.needs is not Handover.NOTHING:
        check_hidden(data.features, data.labels, plan.least_rows)
    seed = plan.seed.to_bytes(32, "little")
    trunk = trunk_of(data.features, plan.trunk, seed)
    report("the rows pass the trunk")
    values = trunk.run(data.features)
    count = _bank_count(plan, trunk, int(data.labels.max()) + 1, limits)
    rule = declare(values[:_SAMPLE_ROWS], seed=seed, width=plan.bank_neurons, count=count)
    trial = Trial(plan.engine, rule, values, data.labels, engine.policies[0], plan.new_classes)
    settings, calibration, trials = _chosen(trial, plan, report)
    report("the founding is solved")
    founded = found(
        plan.engine,
        rule,
        values,
        data.labels,
        policy=engine.policies[0],
        settings=settings,
        calibration=calibration,
    )
    memory = Memory(
        plan.engine, len(trunk.hidden), rule, founded.calibration, settings, least_rows=plan.least_rows
    )
    given: Statistics | MixtureSet | None = None
    if engine.needs is Handover.STATISTICS and founded.statistics is not None:
        given = founded.statistics
        check(given, rule.bank_id, rule.neurons, least_rows=plan.least_rows)
    elif engine.needs is Handover.MIXTURES:
        given = handed_over(memory, values, data.labels)
    folder = MemoryFolder.create(out, memory, founded_network(trunk, founded), trials, given)
    return Made(folder, founded, trials)


def handed_over(memory: Memory, values: Features, labels: Labels) -> Statistics | MixtureSet:
    """What the model's engine needs of rows whose trunk values these are: sums or mixtures.

    Raises `NothingHandedOver` if it needs nothing, and what `check_hidden`, `make` and `make_set` raise.
    """
    needs = ENGINES[memory.engine].needs
    if needs is not Handover.NOTHING:
        check_hidden(values, labels, memory.least_rows)
    if needs is Handover.STATISTICS:
        return make(Banks(memory.rule), values, labels, least_rows=memory.least_rows)
    if needs is Handover.MIXTURES:
        settings = memory.settings
        return make_set(
            memory.rule.bank_id,
            values,
            labels,
            components=settings.components,
            rank=settings.rank,
            least_rows=memory.least_rows,
        )
    raise NothingHandedOver(got=memory.engine)


def trunk_of(rows: Features, kind: str, seed: bytes) -> Trunk:
    """The trunk of a kind of `TRUNKS`. Raises `TrunkMismatch`, and what `convolution_trunk` raises."""
    inputs = rows.shape[1]
    side = math.isqrt(inputs)
    square = side * side == inputs and side >= 8 and side % 4 == 0
    if kind == "convolution" and not square:
        raise TrunkMismatch(expected="8², 12², 16², …", got=inputs)
    if kind == "pixels" or not square:
        return plain_trunk(inputs)
    return convolution_trunk(rows, seed=seed, side=side, values=min(VALUES, inputs))


def check_hidden(rows: Features, labels: Labels, least_rows: int) -> None:
    """Refuses rows that sums would give away: few of a class, or all the same.

    Raises `TooFewRowsToHide`, `ConstantFeatures`, and `UnknownLabels` for a class that no chain has.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if (highest := int(classes.max(initial=0))) >= MAX_CLASSES:
        raise UnknownLabels(expected=f"0..{MAX_CLASSES - 1}", got=highest)
    check_counts(counts, classes.tolist(), least_rows)
    for label in classes.tolist():
        check_varied(rows[labels == label])


def _bank_count(plan: FoundingPlan, trunk: Trunk, classes: int, limits: NetworkLimits) -> int:
    """The founding's bank and one for each growth. Raises `GrowthsTooMany`."""
    if not uses_banks(plan.engine):
        return 2
    draft = BankRule(bytes(trunk.values), plan.bank_neurons, 1, TERNARY, (), bytes(32), 0, 0)
    most = MOST_GROWTHS if plan.growths is None else plan.growths
    fits = fitting_growths(plan.engine, trunk, draft, (classes, plan.new_classes), limits, most)
    if fits < (1 if plan.growths is None else plan.growths):
        raise GrowthsTooMany(
            f"a row may cost {limits.max_macs_per_row} multiply-accumulates, which leaves room for "
            f"{max(0, fits)} growths with banks of {plan.bank_neurons} neurons: found with fewer growths, or "
            "with smaller banks",
            expected=f"at most {max(0, fits)}",
            got=plan.growths if plan.growths is not None else 1,
        )
    return fits + 1


def _chosen(
    trial: Trial, plan: FoundingPlan, report: Callable[[str], None]
) -> tuple[Settings, Calibration, Trials]:
    """Settings, calibration and trials, with the ridge that loses least on rows held out."""
    one_bank = replace(trial.rule, count=1)
    ridges = RIDGES if uses_banks(trial.engine) else (RIDGE,)
    if plan.ridge is not None:
        ridges = (plan.ridge,)
    choices = []
    for ridge in ridges:
        settings = Settings(ridge=ridge)
        founded = found(
            trial.engine, one_bank, trial.values, trial.labels, policy=trial.policy, settings=settings
        )
        choices.append((settings, founded.calibration))
    tried = try_growths(trial, choices, report)
    (settings, calibration), best = min(
        zip(choices, tried, strict=True), key=lambda pair: pair[1].whole.mean + pair[1].before.mean
    )
    return settings, calibration, best
