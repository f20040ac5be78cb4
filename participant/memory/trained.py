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
from engram.participant.memory.errors import StatisticsMissing
from engram.participant.memory.lesson import Lecture, Lesson, Report
from engram.participant.training import trainer
from engram.participant.training.shapes import Reach


def naive(lesson: Lesson) -> Lecture:
    """The growth that is trained on the new rows alone."""
    return _trained(lesson, Dataset(lesson.values, lesson.labels), "naive")


def replay(lesson: Lesson) -> Lecture:
    """The growth that is trained on drawn rows of all classes.

    Raises `StatisticsMissing` if an old class has no mixture; `FewerRowsThanComponents`, `ConstantFeatures`.
    """
    if missing := sorted(set(lesson.old) - set(lesson.mixtures)):
        raise StatisticsMissing("an old class has no mixture", expected=tuple(lesson.old), got=missing[0])
    rng, settings = np.random.default_rng([lesson.seed, lesson.base.classes]), lesson.settings
    known = dict(lesson.mixtures)
    for label in lesson.classes:
        rows = lesson.values[lesson.labels == label]
        known[label] = mixtures.fit(rows, components=settings.components, rank=settings.rank, rng=rng)
    classes = range(lesson.base.classes + lesson.new_classes)
    drawn = np.concatenate([mixtures.sample(known[label], settings.drawn, rng) for label in classes])
    labels = np.repeat(np.array(classes, dtype=np.uint16), settings.drawn)
    return _trained(lesson, Dataset(drawn, labels), "replay")


def _trained(lesson: Lesson, data: Dataset, name: str) -> Lecture:
    """The growth that is trained on these rows; a founding is solved, as that of `analytic` is."""
    if lesson.founding:
        return analytic(lesson)
    settings = lesson.settings
    growth, parameters = trainer.grow(
        lesson.base,
        lesson.parameters,
        data,
        new_classes=lesson.new_classes,
        neurons=settings.neurons,
        budget=settings.budget,
        rng=np.random.default_rng([lesson.seed, lesson.base.classes, 1]),
        reach=Reach(lesson.policy),
    )
    return Lecture(growth, parameters, (None,) * len(growth.hidden), Report(name, rows=data.rows))
