"""Engines `naive` and `replay`: new neurons that are trained by gradients, see `participant.training`.

`naive` trains on the new rows alone. Nothing tells it what old classes look like, so it forgets them: it is
here to be compared with. `replay` draws rows of the old classes from mixtures that were handed over, and rows
of the new classes from mixtures of its own rows. Were the new rows real, the neurons would learn to tell
drawn rows from real ones, and would take real rows of old classes for new.
"""

from __future__ import annotations

import numpy as np

from engram.participant.datasets import Dataset
from engram.participant.memory import mixtures
from engram.participant.memory.analytic import analytic
from engram.participant.memory.consolidation import Consolidated, Consolidation, Report
from engram.participant.memory.errors import StatisticsMissing
from engram.participant.training import trainer
from engram.participant.training.shapes import Reach


def naive(given: Consolidation) -> Consolidated:
    """The growth that is trained on the new rows alone."""
    return _trained(given, Dataset(given.values, given.labels), "naive")


def replay(given: Consolidation) -> Consolidated:
    """The growth that is trained on drawn rows of all classes.

    Raises `StatisticsMissing` if an old class has no mixture; `FewerRowsThanComponents`, `ConstantFeatures`.
    """
    if missing := sorted(set(given.old) - set(given.mixtures)):
        raise StatisticsMissing("an old class has no mixture", expected=tuple(given.old), got=missing[0])
    rng, settings = np.random.default_rng([given.seed, given.base.classes]), given.settings
    known = dict(given.mixtures)
    for label in given.classes:
        rows = given.values[given.labels == label]
        known[label] = mixtures.fit(rows, components=settings.components, rank=settings.rank, rng=rng)
    classes = range(given.base.classes + given.new_classes)
    drawn = np.concatenate([mixtures.sample(known[label], settings.drawn, rng) for label in classes])
    labels = np.repeat(np.array(classes, dtype=np.uint16), settings.drawn)
    return _trained(given, Dataset(drawn, labels), "replay")


def _trained(given: Consolidation, data: Dataset, name: str) -> Consolidated:
    """The growth that is trained on these rows; a founding is solved, as that of `analytic` is."""
    if given.founding:
        return analytic(given)
    settings = given.settings
    growth, parameters = trainer.grow(
        given.base,
        given.parameters,
        data,
        new_classes=given.new_classes,
        neurons=settings.neurons,
        budget=settings.budget,
        rng=np.random.default_rng([given.seed, given.base.classes, 1]),
        reach=Reach(given.policy),
    )
    return Consolidated(growth, parameters, (None,) * len(growth.hidden), Report(name, rows=data.rows))
