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
from engram.participant.memory.consolidation import Consolidated, Consolidation, Report
from engram.participant.memory.head import Place, output_of
from engram.participant.memory.solving import sums_of


def gate(given: Consolidation) -> Consolidated:
    """The growth. A founding has no gate. Raises `StatisticsMissing`, `BankMismatch`, `GramSingular`."""
    sums, rule = sums_of(given), given.banks.rule
    wanted, counts = sums.targets(given.classes)
    components: tuple[int, ...] = ()
    if not given.founding:
        old, old_counts = sums.targets(given.old)
        wanted = np.concatenate([old.sum(axis=1, keepdims=True), wanted], axis=1)
        counts = np.concatenate([[old_counts.sum()], counts])
        components = (GATE, *given.classes)
    weights, bias, used = sums.fitted(wanted, counts / sums.rows, given.settings.ridge)
    alpha = given.calibration.alpha
    place = Place(1, 0, sums.neurons, component_count(given.base))
    output, numbers = output_of(place, alpha * weights, alpha * bias)
    growth = Growth(given.new_classes, (rule.segment(),), (output,), components)
    report = Report("gate", used, sums.rows, sums.statistics.sources)
    bank = given.banks.parameters[given.bank]
    return Consolidated(growth, (bank, numbers), (rule.weights(given.bank),), report)
