"""What a participant answers between two versions: with a fast memory beside the chain, and without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.consensus.chainspec import ChainSpec
from engram.nn.layers.reading import Interval
from engram.participant.datasets import Dataset
from engram.participant.experiments.setting import NEW, OLD
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.fast import FastLimits, FastMemory, FastRule
from engram.participant.memory.reading import FrozenReader
from engram.participant.memory.recall import Recall
from engram.participant.memory.recall_gate import SummedSides
from engram.participant.memory.slow import SlowMemory, Trust
from engram.participant.memory.statistics import make
from engram.participant.view import ChainView
from engram.primitives.types import Hash

EXAMPLES: Final = (1, 3, 10, 30, 100)
"""Examples of each new digit that have arrived when the memories are asked."""
GATE_NEURONS: Final = 500
_SEED: Final = bytes(32)


@dataclass(frozen=True)
class Asked:
    """What a participant has answered on test rows."""

    examples: int
    """Of each new digit in the fast memory; 0 for a participant who has only the chain."""
    old: float
    """The share of right answers on rows of old digits."""
    new: float
    """The share of right answers on rows of new digits."""
    whole: float
    oracle: float
    """The share that would be right if every row went to the memory that knows its class."""


async def proven_version(spec: ChainSpec, model: Hash, view: ChainView, now_ms: int) -> SlowMemory:
    """The slow memory of a participant who has checked the model's current version against all headers."""
    slow = SlowMemory(Trust(spec, model, min_work=1), lambda: now_ms)
    await slow.refresh(view)
    return slow


def asked(slow: SlowMemory, own: Dataset, test: Dataset, seed: int) -> Iterator[Asked]:
    """Asks on test rows, first the chain alone, then both memories as examples of new digits arrive.

    `own` are the participant's rows: those of old digits give the sums from which the gate is trained, those
    of new digits arrive one after the other. The fast memory reads the hidden layer of the proven version.
    """
    known = slow.verified
    answers = slow.answer(test.features).classes
    yield _asked(0, answers == test.labels, test, answers == test.labels)
    spec = known.report.network.spec
    reader = FrozenReader(spec, known.parameters, Interval(1, 0, spec.hidden[0].width))
    old = own.of_classes(OLD)
    values = reader.read(old.features).astype(np.uint8)
    banks = Banks(declare(values, seed=_SEED, width=GATE_NEURONS, count=1))
    sides = SummedSides(banks, make(banks, values, old.labels, least_rows=1))
    fast = FastMemory(reader, FastLimits(), seed)
    recall = Recall(fast, slow, sides, rule=FastRule.NEIGHBOUR, strength=1e-2)
    new = {label: own.of_classes([label]) for label in NEW}
    before = 0
    is_new = np.isin(test.labels, NEW)
    for count in EXAMPLES:
        for rows in new.values():
            some = rows.take(np.arange(before, min(count, rows.rows)))
            if some.rows:
                fast.learn(some.features, some.labels)
        before = count
        said = recall.answer(test.features)
        of_fast = fast.answer(test.features, rule=FastRule.NEIGHBOUR).labels == test.labels
        oracle = np.where(is_new, of_fast, answers == test.labels)
        yield _asked(count, said.labels == test.labels, test, oracle)


def _asked(
    examples: int, right: npt.NDArray[np.bool_], test: Dataset, oracle: npt.NDArray[np.bool_]
) -> Asked:
    old = np.isin(test.labels, OLD)
    seen, unseen = float(np.mean(right[old])), float(np.mean(right[~old]))
    return Asked(examples, seen, unseen, float(np.mean(right)), float(np.mean(oracle)))
