"""What the federation is compared with, made without a chain: one owner alone, all rows in one place.

Both are ridge regressions on one bank as large as all banks of the model together, with the same settings,
and they answer by the same integer network.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engram.nn.network import forward
from engram.participant.datasets import Dataset
from engram.participant.experiments.hospitals.federation import (
    BANK_NEURONS,
    CALIBRATION,
    ENGINE,
    POLICY,
    SETTINGS,
)
from engram.participant.experiments.hospitals.records import GROUPS
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.consolidation import Consolidation
from engram.participant.memory.engines import consolidate
from engram.participant.memory.head import empty_head
from engram.participant.memory.statistics import balanced, by_class

Answers = npt.NDArray[np.int64]
Right = dict[int, tuple[int, int]]
"""By class: test rows that are answered rightly, and test rows."""


def learned_at_once(training: Dataset, test: Dataset, seed: int) -> Answers:
    """Learns all classes that have training rows, at once; others are never answered."""
    known = np.unique(training.labels).astype(np.int64)
    if len(known) == 1:
        return np.full(test.rows, known[0])
    return known[_answers(training, known, test, seed)]


def _answers(training: Dataset, known: Answers, test: Dataset, seed: int) -> Answers:
    numbered = np.searchsorted(known, training.labels).astype(np.uint16)
    width = BANK_NEURONS * (len(GROUPS) - 1)
    rule = declare(training.features, seed=seed.to_bytes(32, "little"), width=width, count=1)
    banks = Banks(rule)
    sums = by_class(banks, training.features, numbered, least_rows=1)
    given = Consolidation(
        empty_head(rule.values),
        (),
        training.features,
        numbered,
        len(known),
        POLICY,
        banks,
        0,
        calibration=CALIBRATION,
        new_statistics=balanced(sums, max(each.rows for each in sums)),
        settings=SETTINGS,
    )
    spec, parameters = consolidate(ENGINE, given).applied(given.base, ())
    answers: Answers = forward(spec, parameters, test.features).argmax(axis=1)
    return answers


def tally(answers: Answers, labels: npt.NDArray[np.uint16]) -> Right:
    """Right answers and rows of each class that has rows."""
    return {
        int(label): (int(np.sum(answers[labels == label] == label)), int(np.sum(labels == label)))
        for label in np.unique(labels)
    }


def balanced_accuracy(right: Right) -> float:
    """The mean, over the classes that have test rows, of the share of right answers."""
    return float(np.mean([good / rows for good, rows in right.values()]))


def plain_accuracy(right: Right) -> float:
    """The share of right answers."""
    return sum(good for good, _ in right.values()) / sum(rows for _, rows in right.values())
