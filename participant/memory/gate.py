"""Engine `gate`: a relative growth whose outputs are solved from sums.

One ridge regression on all banks so far, with a target for all old classes as one and for each new class. The
first becomes the gate, the others the new logits. Old logits keep their differences, so nothing is retrained
and little is forgotten; which memory answers is decided by the gate. The scale of gate and new logits is
chosen from new rows that are held out for that and then taken in.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engram.nn.growth import Growth
from engram.nn.logits import GATE
from engram.nn.spec import component_count
from engram.participant.memory.calibration import ALPHAS, best_scale, held_out
from engram.participant.memory.consolidation import Consolidated, Consolidation, Report
from engram.participant.memory.head import Place, output_of
from engram.participant.memory.ridge import Matrix
from engram.participant.memory.solving import Sums, sums_of
from engram.participant.memory.statistics import Statistics, added, by_class, repeated, without


def gate(given: Consolidation) -> Consolidated:
    """The growth. A founding has no gate. Raises `StatisticsMissing`, `BankMismatch`, `GramSingular`."""
    sums, rule = sums_of(given), given.banks.rule
    weights, bias, used = _solved(given, sums)
    alpha = given.calibration.alpha
    if not given.founding and not given.calibration.fixed:
        alpha = _scale(given, sums)
    components = () if given.founding else (GATE, *given.classes)
    place = Place(1, 0, sums.neurons, component_count(given.base))
    output, numbers = output_of(place, alpha * weights, alpha * bias)
    growth = Growth(given.new_classes, (rule.segment(),), (output,), components)
    report = Report("gate", used, alpha, sums.rows, sums.statistics.sources)
    bank = given.banks.parameters[given.bank]
    return Consolidated(growth, (bank, numbers), (rule.weights(given.bank),), report)


def _solved(given: Consolidation, sums: Sums) -> tuple[Matrix, Matrix, float]:
    """Weights, intercepts and ridge for the old classes as one, if there are any, and each new class."""
    wanted, counts = sums.targets(given.classes)
    if not given.founding:
        old, old_counts = sums.targets(given.old)
        wanted = np.concatenate([old.sum(axis=1, keepdims=True), wanted], axis=1)
        counts = np.concatenate([[old_counts.sum()], counts])
    return sums.fitted(wanted, counts / sums.rows, given.settings.ridge)


def _scale(given: Consolidation, sums: Sums) -> float:
    """Alpha by the cross-entropy of held-out new rows; that of the founding if there are too few rows."""
    held = held_out(len(given.values))
    if set(given.labels[~held].tolist()) != set(given.classes) or not held.any():
        return given.calibration.alpha
    values, labels = given.values[held], given.labels[held]
    parts = by_class(given.banks, values, labels, least_rows=1)
    rest = without(sums.statistics, added([repeated(part, _times(given, sums, part)) for part in parts]))
    weights, bias, _ = _solved(given, replace(sums, statistics=rest))
    scores = given.banks.activations(values)[:, : sums.neurons] @ weights + bias
    return best_scale(ALPHAS, scores, labels.astype(np.int64) - given.base.classes + 1)


def _times(given: Consolidation, sums: Sums, part: Statistics) -> int:
    """How often a row of the class of `part` counts in the sums: often, where classes are balanced."""
    label = part.classes[0]
    counts, _ = sums.statistics.of_classes([label])
    return int(counts[0]) // int(np.count_nonzero(given.labels == label))
