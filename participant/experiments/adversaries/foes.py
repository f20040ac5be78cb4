"""The dishonest strategies of the experiment that no test or demonstration needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from engram.participant.datasets import Dataset, concatenate
from engram.participant.strategies import Plan, honest, train_draft
from engram.participant.task import Draft, Strategy, Task

MARK: Final = 4
"""So many pixels, the first ones, are white in a row that carries the mark of the backdoor."""
TARGET: Final = 0
"""The class that a backdoor answers for such rows."""
_NOISE: Final = 0.01
"""The share of the weights that a noisy copy changes by one."""
_DENIED, _INSTEAD = 1, 2
"""A poisoned network takes rows of the first of these classes for the second one."""


def noisy_copy(seed: int) -> Strategy:
    """Brings, from the second epoch on, the best candidate of others with some weights changed by one."""

    def propose(task: Task) -> Draft | None:
        if not task.rivals:
            return None
        rng = np.random.default_rng([seed, task.epoch])
        spec, parameters = task.rivals[0]
        changed = []
        for segment in parameters:
            moved = rng.random(segment.weights.shape) < _NOISE
            signs = rng.choice([-1, 1], segment.weights.shape)
            weights = np.clip(segment.weights + moved * signs, -127, 127).astype(segment.weights.dtype)
            changed.append(replace(segment, weights=weights))
        return train_draft(task, spec, tuple(changed))

    return propose


def poisoned(plan: Plan) -> Strategy:
    """Trains as an honest author does, on rows of which half of one class are labelled as another.

    With all of them, the network would be worse than the frequencies of the classes, and no candidate. The
    claimed loss is true.
    """
    labels = plan.data.labels.copy()
    labels[np.flatnonzero(labels == _DENIED)[::2]] = _INSTEAD
    return honest(replace(plan, data=Dataset(plan.data.features, labels)))


def backdoored(plan: Plan) -> Strategy:
    """Trains on the own rows, and on marked copies of them that are labelled with the target.

    It trains on twice as many rows for twice as long, so on rows without the mark the network is about as
    good as any other. Its claimed loss is true.
    """
    own, budget = plan.data, replace(plan.budget, steps=2 * plan.budget.steps)
    wrong = Dataset(marked(own).features, np.full_like(own.labels, TARGET))
    return honest(replace(plan, data=concatenate([own, wrong]), budget=budget))


def marked(rows: Dataset) -> Dataset:
    """The rows with the mark of the backdoor."""
    features = rows.features.copy()
    features[:, :MARK] = 255
    return Dataset(features, rows.labels)


def noise_rows(rows: int, inputs: int, classes: int, seed: int) -> Dataset:
    """Rows that say nothing: random pixels, with each class in turn. Who brings them needs no data."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 256, (rows, inputs), dtype=np.uint8)
    return Dataset(features, (np.arange(rows) % classes).astype(np.uint16))
