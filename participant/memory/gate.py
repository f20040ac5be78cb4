"""Engine `gate`: a relative growth whose outputs are solved from sums.

One ridge regression on all banks so far, with a target for all old classes as one and for each new class. The
first becomes the gate, the others the new logits. Old logits keep their differences, so nothing is retrained
and little is forgotten; which memory answers is decided by the gate.
"""

from __future__ import annotations

import numpy as np

from engram.nn.growth import Growth
from engram.nn.logits import GATE
from engram.nn.spec import component_count
from engram.participant.memory.head import Place, output_of
from engram.participant.memory.lesson import Lecture, Lesson, Report
from engram.participant.memory.solving import sums_of


def gate(lesson: Lesson) -> Lecture:
    """The growth. A founding has no gate. Raises `StatisticsMissing`, `BankMismatch`, `GramSingular`."""
    sums, rule = sums_of(lesson), lesson.banks.rule
    wanted, counts = sums.targets(lesson.classes)
    components: tuple[int, ...] = ()
    if not lesson.founding:
        old, old_counts = sums.targets(lesson.old)
        wanted = np.concatenate([old.sum(axis=1, keepdims=True), wanted], axis=1)
        counts = np.concatenate([[old_counts.sum()], counts])
        components = (GATE, *lesson.classes)
    weights, bias, used = sums.fitted(wanted, counts / sums.rows, lesson.settings.ridge)
    alpha = lesson.calibration.alpha
    place = Place(1, 0, sums.neurons, component_count(lesson.base))
    output, numbers = output_of(place, alpha * weights, alpha * bias)
    growth = Growth(lesson.new_classes, (rule.segment(),), (output,), components)
    report = Report("gate", used, sums.rows, sums.statistics.sources)
    bank = lesson.banks.parameters[lesson.bank]
    return Lecture(growth, (bank, numbers), (rule.weights(lesson.bank),), report)
