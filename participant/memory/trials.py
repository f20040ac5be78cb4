"""Simulated growths among a founding's own classes: what a growth costs the old ones, on rows held out.

A third of the rows is held out, three times. Some classes play the new ones, each class in its turn; the
others found a head, which then grows by the engine. The held-out rows of both are judged by the consensus
network: how many rows of old classes were right and are wrong after the growth, and what the rows lose.

Later growths have other classes and more banks, so this is an estimate; `advice` adds what chance adds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.fixed import LOSS_BITS
from engram.nn.growth import Policy
from engram.nn.loss import LossKind, loss_rows
from engram.nn.network import Features, Parameters, forward, predict
from engram.nn.spec import NetworkSpec
from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import read_json, write_private
from engram.participant.memory import mixtures
from engram.participant.memory.banks import BankRule, Banks
from engram.participant.memory.checks import Labels
from engram.participant.memory.consolidation import Calibration, Consolidation, Settings
from engram.participant.memory.engines import ENGINES, Handover, consolidate
from engram.participant.memory.errors import MemoryFileInvalid
from engram.participant.memory.head import empty_head
from engram.participant.memory.mixtures import Mixture
from engram.participant.memory.statistics import Statistics, added, by_class

FOLDS: Final = 3
TRAINED_GROWTHS: Final = 2
"""So many growths are simulated where each is trained by gradients, which takes long."""
FORMAT: Final = 1
_LARGEST_FILE: Final = 2**20


@dataclass(frozen=True)
class Moments:
    """The losses of some rows, in nats."""

    rows: int = 0
    mean: float = 0.0
    variance: float = 0.0

    @classmethod
    def of(cls, losses: npt.NDArray[np.float64]) -> Moments:
        """The moments of these losses (n,)."""
        if not len(losses):
            return cls()
        return cls(len(losses), float(losses.mean()), float(losses.var()))

    def scaled(self, times: float) -> Moments:
        """The moments if so many times as many rows lost what the worst of them lose."""
        return Moments(self.rows, self.mean * times, self.variance * times)


@dataclass(frozen=True)
class Trials:
    """What the simulated growths of one engine have shown."""

    classes: int
    """The founding's classes."""
    new_classes: int
    """The classes that were new in each simulated growth."""
    growths: int
    expected: int = 2
    """The classes that each later growth is expected to bring."""
    rows: int = 0
    """Different rows that were judged as rows of old classes."""
    judged: int = 0
    """How often a row was judged as one of an old class."""
    losable: int = 0
    """How often it was right before a growth."""
    lost: int = 0
    """How often it was wrong afterwards."""
    worst_class: float = 0.0
    """The largest share of its losable rows that a class has lost."""
    before: Moments = field(default_factory=Moments)
    """All classes after the founding."""
    old: Moments = field(default_factory=Moments)
    """Rows of old classes after a growth."""
    whole: Moments = field(default_factory=Moments)
    """Rows of all classes after a growth."""

    @property
    def share(self) -> float:
        """The share of losable rows that a growth lost."""
        return self.lost / self.losable if self.losable else 0.0


@dataclass(frozen=True, eq=False)
class Trial:
    """What is tried: rows of classes 0, 1, …, and how they are learned."""

    engine: str
    rule: BankRule
    values: Features
    """(n, values), in an order without meaning."""
    labels: Labels
    policy: Policy
    expected: int = 2
    """The classes that each later growth is expected to bring."""
    seed: int = 0


def try_growths(
    trial: Trial, choices: Sequence[tuple[Settings, Calibration]], report: Callable[[str], None]
) -> list[Trials]:
    """The trials of each choice, all on the same rows. Raises what `consolidate` raises."""
    classes = int(trial.labels.max()) + 1
    size = max(1, classes // 2) if classes > 1 else 0
    found = [_Found(classes, size, trial.expected) for _ in choices]
    folds = FOLDS if _is_quick(trial.engine) else 1
    for fold in range(folds):
        report(f"simulated growths, fold {fold + 1} of {folds}")
        held = np.arange(len(trial.labels)) % FOLDS == fold
        learner = _Learner(trial, ~held)
        for (settings, calibration), each in zip(choices, found, strict=True):
            each.judge_founding(learner.founded(range(classes), settings, calibration), trial, held)
            for group in _groups(classes, size, trial.engine):
                each.judge(learner, group, settings, calibration, trial, held)
    return [each.trials() for each in found]


def _is_quick(engine: str) -> bool:
    return ENGINES[engine].needs is Handover.STATISTICS or not ENGINES[engine].solves


def _groups(classes: int, size: int, engine: str) -> Iterator[tuple[int, ...]]:
    """The classes that are new in each growth."""
    starts = range(classes if size else 0)
    for start in starts if _is_quick(engine) else starts[:TRAINED_GROWTHS]:
        yield tuple(sorted((start + step) % classes for step in range(size)))


class _Learner:
    """Sums and mixtures of the rows that are not held out, by class, and heads that are made of them."""

    def __init__(self, trial: Trial, taken: npt.NDArray[np.bool_]) -> None:
        self._trial = trial
        self._values, self._labels = trial.values[taken], trial.labels[taken]
        self._banks = Banks(replace(trial.rule, count=min(2, trial.rule.count)))
        engine = ENGINES[trial.engine]
        parts = by_class(self._banks, self._values, self._labels, least_rows=1) if engine.solves else []
        self._sums = {part.classes[0]: part for part in parts}
        self._needs = engine.needs

    def founded(
        self, classes: Sequence[int], settings: Settings, calibration: Calibration
    ) -> tuple[NetworkSpec, Parameters]:
        """The head that is founded with these classes, numbered from 0 in this order."""
        base = empty_head(self._trial.rule.values)
        return self._made(base, (), classes, (), settings, calibration)

    def grown(
        self, old: Sequence[int], new: Sequence[int], settings: Settings, calibration: Calibration
    ) -> tuple[tuple[NetworkSpec, Parameters], tuple[NetworkSpec, Parameters]]:
        """The head of the old classes, and what it becomes by the new ones."""
        base = self.founded(old, settings, calibration)
        return base, self._made(*base, new, old, settings, calibration)

    def _made(
        self,
        base: NetworkSpec,
        parameters: Parameters,
        new: Sequence[int],
        old: Sequence[int],
        settings: Settings,
        calibration: Calibration,
    ) -> tuple[NetworkSpec, Parameters]:
        mine = np.isin(self._labels, new)
        places = np.zeros(int(self._labels.max()) + 1, dtype=np.uint16)
        places[list(new)] = np.arange(len(old), len(old) + len(new))
        given = Consolidation(
            base,
            parameters,
            self._values[mine],
            places[self._labels[mine]],
            len(new),
            self._trial.policy,
            self._banks,
            sum(each == self._banks.rule.segment() for each in base.hidden),
            calibration=calibration,
            statistics=self._sums_of(old, 0),
            mixtures=self._mixtures_of(old, settings),
            new_statistics=self._sums_of(new, len(old)),
            settings=settings,
            seed=self._trial.seed,
        )
        return consolidate(self._trial.engine, given).applied(base, parameters)

    def _sums_of(self, classes: Sequence[int], first: int) -> Statistics | None:
        if not classes or not self._sums:
            return None
        return added(
            [replace(self._sums[label], classes=(first + place,)) for place, label in enumerate(classes)]
        )

    def _mixtures_of(self, classes: Sequence[int], settings: Settings) -> dict[int, Mixture]:
        if self._needs is not Handover.MIXTURES:
            return {}
        rng = np.random.default_rng(self._trial.seed)
        return {
            place: mixtures.fit(
                self._values[self._labels == label],
                components=settings.components,
                rank=settings.rank,
                rng=rng,
            )
            for place, label in enumerate(classes)
        }


class _Found:
    """What the growths of one choice have shown so far."""

    def __init__(self, classes: int, size: int, expected: int) -> None:
        self._classes, self._size, self._growths, self._expected = classes, size, 0, expected
        self._judged, self._rows = 0, set[int]()
        self._losable = np.zeros(classes, dtype=np.int64)
        self._lost = np.zeros(classes, dtype=np.int64)
        self._before: list[npt.NDArray[np.float64]] = []
        self._old: list[npt.NDArray[np.float64]] = []
        self._whole: list[npt.NDArray[np.float64]] = []

    def judge_founding(
        self, head: tuple[NetworkSpec, Parameters], trial: Trial, held: npt.NDArray[np.bool_]
    ) -> None:
        self._before.append(_losses(forward(*head, trial.values[held]), trial.labels[held]))

    def judge(
        self,
        learner: _Learner,
        new: tuple[int, ...],
        settings: Settings,
        calibration: Calibration,
        trial: Trial,
        held: npt.NDArray[np.bool_],
    ) -> None:
        old = tuple(label for label in range(self._classes) if label not in new)
        before, after = learner.grown(old, new, settings, calibration)
        places = np.empty(self._classes, dtype=np.uint16)
        places[list((*old, *new))] = np.arange(self._classes)
        labels = places[trial.labels[held]]
        mine = labels < len(old)
        logits = forward(*after, trial.values[held])
        losses = _losses(logits, labels)
        known = predict(forward(*before, trial.values[held][mine])) == labels[mine]
        gone = known & (predict(logits[mine]) != labels[mine])
        given = trial.labels[held][mine]
        self._losable += np.bincount(given[known], minlength=self._classes)
        self._lost += np.bincount(given[gone], minlength=self._classes)
        self._judged += int(np.count_nonzero(mine))
        self._rows |= set(np.flatnonzero(held)[mine].tolist())
        self._old.append(losses[mine])
        self._whole.append(losses)
        self._growths += 1

    def trials(self) -> Trials:
        shares = self._lost / np.maximum(1, self._losable)
        nothing = [np.empty(0)]
        return Trials(
            self._classes,
            self._size,
            self._growths,
            self._expected,
            len(self._rows),
            self._judged,
            int(self._losable.sum()),
            int(self._lost.sum()),
            float(shares.max(initial=0.0)),
            Moments.of(np.concatenate(self._before or nothing)),
            Moments.of(np.concatenate(self._old or nothing)),
            Moments.of(np.concatenate(self._whole or nothing)),
        )


def _losses(logits: npt.NDArray[np.int64], labels: Labels) -> npt.NDArray[np.float64]:
    """The loss of each row in nats."""
    found = loss_rows(LossKind.SOFTMAX_CROSS_ENTROPY, logits, labels.astype(np.int64))
    return found.astype(np.float64) / 2.0**LOSS_BITS


def save_trials(path: Path, trials: Trials) -> None:
    """Writes the file, in one step."""
    write_private(path, (json.dumps({"engram_trials": FORMAT, **asdict(trials)}, indent=2) + "\n").encode())


def load_trials(path: Path) -> Trials:
    """The trials that `save_trials` has written. Raises `MemoryFileInvalid`."""
    try:
        content = read_json(path, _LARGEST_FILE)
        if content.pop("engram_trials") != FORMAT:
            raise ValueError("it has another format")
        before, old, whole = (Moments(**content.pop(name)) for name in ("before", "old", "whole"))
        trials = replace(Trials(**content), before=before, old=old, whole=whole)
        numbers = [value for each in (before, old, whole) for value in asdict(each).values()]
        numbers += [value for value in asdict(trials).values() if not isinstance(value, dict)]
        if not all(type(value) in (int, float) and 0 <= value < float("inf") for value in numbers):
            raise ValueError("a number is missing or below 0")
        return trials
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FileDamaged, NotAFile) as error:
        raise MemoryFileInvalid(f"{path} does not hold the trials of a founding: {error}") from error
