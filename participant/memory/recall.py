"""Recall: a row is answered by the slow memory or by the fast one, and a gate decides which.

The fast memory answers for classes that the chain does not know; examples of classes that the chain knows
(`ClassEntry.chain_class`) wait for a consolidation and answer nothing. If only one memory knows any class, it
answers everything.

The gate is fitted again, when it is asked, once enough examples have arrived, or as soon as a class has come
or gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.participant.memory.banks import Banks
from engram.participant.memory.checks import Labels, check_features
from engram.participant.memory.errors import (
    BankMismatch,
    FeatureCountMismatch,
    NothingKnown,
    StatisticsMissing,
)
from engram.participant.memory.fast import FastMemory, FastRule
from engram.participant.memory.reading import Readings
from engram.participant.memory.recall_gate import NEURONS, RIDGE, GateFit, GateSides, fit_gate
from engram.participant.memory.ridge import Matrix
from engram.participant.memory.slow import SlowMemory

REFIT_SHARE: Final = 0.1
"""The gate is fitted again when the examples have changed by this share of those it was made from."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What the participant says about rows."""

    labels: npt.NDArray[np.int64]
    """(n,): a class of the chain where `fast` is false, a label of the fast memory where it is true."""
    fast: npt.NDArray[np.bool_]
    """(n,): whether the fast memory has answered."""
    margins: Matrix
    """(n,): how clearly the gate has decided, 0 to about 2; infinite where there was nothing to decide."""
    version: int | None
    """The version of the slow memory; None if it knows none."""
    age_ms: int | None
    """How long ago that version was proven."""


@dataclass(frozen=True)
class GateReport:
    """What the gate costs on labelled rows, against one that always knows which memory to ask."""

    rows: int
    accuracy: float
    """Of the answers as the gate directs them."""
    oracle: float
    """Of the answers if every row went to the memory that knows its class."""
    old_to_fast: float
    """The share of the rows of the chain's classes that go to the fast memory; NaN if there are none."""
    new_to_slow: float
    """The share of the rows of the fast memory's classes that go to the slow memory; NaN likewise."""


class Recall:
    """Both memories of one participant, for one model."""

    def __init__(
        self,
        fast: FastMemory,
        slow: SlowMemory,
        sides: GateSides | None,
        *,
        rule: FastRule = FastRule.MEAN,
        strength: float = RIDGE,
        neurons: int = NEURONS,
    ) -> None:
        """`sides`: what the gate is trained from; None while nothing was handed over about the old classes.

        `rule` is the fast memory's, `strength` and `neurons` are the gate's. Raises as `hand_over` does.
        """
        self.fast: Final = fast
        self.slow: Final = slow
        self._rule = rule
        self._strength = strength
        self._neurons = neurons
        self._sides: GateSides | None = None
        self._gate: GateFit | None = None
        self._fitted: dict[int, int] = {}
        """Number -> label of the examples from which the gate was made."""
        if sides is not None:
            self.hand_over(sides)

    def hand_over(self, sides: GateSides) -> None:
        """Takes other sums or mixtures of the chain's classes, after a growth for example.

        Raises `BankMismatch` if the banks do not read what the fast memory reads.
        """
        if sides.banks.rule.values != self.fast.reader.values:
            raise BankMismatch(
                "the banks do not read the values of the fast memory",
                expected=self.fast.reader.values,
                got=sides.banks.rule.values,
            )
        self._sides, self._gate, self._fitted = sides, None, {}

    @property
    def fast_labels(self) -> tuple[int, ...]:
        """The classes that the fast memory answers for: those that the chain does not know."""
        return tuple(label for label in self.fast.labels if self.fast.entry(label).chain_class is None)

    def answer(self, rows: npt.NDArray[Any]) -> Answers:
        """The classes of rows (n, inputs), and which memory has said so.

        Raises `NothingKnown` if neither memory knows a class, `StatisticsMissing` if both do and nothing was
        handed over for the gate, `FeatureCountMismatch`, `FeaturesNotIntegers`, `GramSingular`.
        """
        checked = check_features(rows, self.fast.reader.inputs)
        values = self.fast.reader.read(checked)
        gated = self._gated(values)
        fast = gated > 0
        labels = np.zeros(len(checked), dtype=np.int64)
        if fast.any():
            labels[fast] = self._fast_answers(values[fast])
        if not fast.all():
            labels[~fast] = self.slow.answer(checked[~fast]).classes
        known = self.slow.known
        version, age_ms = (None, None) if known is None else (known.number, self.slow.age_ms)
        return Answers(labels, fast, np.abs(gated), version, age_ms)

    def report(
        self, rows: npt.NDArray[Any], labels: npt.NDArray[Any], fast: npt.NDArray[np.bool_]
    ) -> GateReport:
        """What the gate costs on rows (n, inputs) whose labels (n,) are known.

        `fast` (n,) says which labels are the fast memory's; the others are classes of the chain. Raises as
        `answer` does, and `FeatureCountMismatch` if there are not as many labels as rows, or no row.
        """
        checked = check_features(rows, self.fast.reader.inputs)
        if not len(checked) or labels.shape != (len(checked),) or fast.shape != labels.shape:
            raise FeatureCountMismatch(
                "there must be rows, and one label for each", expected=len(checked), got=labels.shape
            )
        values = self.fast.reader.read(checked)
        sent = self._gated(values) > 0
        of_fast = self._fast_answers(values) == labels if self.fast_labels else np.zeros_like(fast)
        of_slow = self.slow.answer(checked).classes == labels if self.slow.known else np.zeros_like(fast)
        right = np.where(fast, of_fast, of_slow)
        return GateReport(
            len(checked),
            float(np.mean(right & (sent == fast))),
            float(np.mean(right)),
            float(np.mean(sent[~fast])) if not fast.all() else float("nan"),
            float(np.mean(~sent[fast])) if fast.any() else float("nan"),
        )

    def _gated(self, values: Readings) -> Matrix:
        """The gate's score of each row: above 0 for the fast memory; infinite if one memory knows nothing."""
        if self.slow.known is None:
            if not self.fast_labels:
                raise NothingKnown
            return np.full(len(values), np.inf)
        if not self.fast_labels:
            return np.full(len(values), -np.inf)
        gate, banks = self._current_gate()
        return gate.scores(banks.activations(values.astype(np.uint8)))

    def _fast_answers(self, values: Readings) -> Labels:
        return self.fast.answer_values(values, rule=self._rule, among=self.fast_labels).labels

    def _current_gate(self) -> tuple[GateFit, Banks]:
        """The gate, fitted again if it is due."""
        if self._sides is None:
            raise StatisticsMissing(
                "nothing was handed over about the chain's classes, so no gate can be trained",
                expected="sums or mixtures of the chain's classes",
                got="none",
            )
        known = self.fast.examples(self.fast_labels)
        now = dict(zip(known.numbers.tolist(), known.labels.tolist(), strict=True))
        if self._gate is None or self._is_due(now):
            new = self._sides.new(known)
            self._gate = fit_gate(self._sides.old, new, strength=self._strength, neurons=self._neurons)
            self._fitted = now
        return self._gate, self._sides.banks

    def _is_due(self, now: dict[int, int]) -> bool:
        changed = len(now.keys() ^ self._fitted.keys())
        return set(now.values()) != set(self._fitted.values()) or changed > REFIT_SHARE * len(self._fitted)
