"""Engine `analytic`: a gated growth whose outputs are solved from sums.

New classes get a ridge regression on all banks so far. What the frozen outputs of old classes get wrong is
corrected by the new bank alone: a ridge regression on the residual. (Zhuang et al. 2022, arXiv:2205.14922,
solves for all outputs anew; here the old ones stay.)
"""

from __future__ import annotations

import numpy as np

from engram.nn.growth import Growth
from engram.nn.spec import component_count
from engram.participant.memory.consolidation import Consolidated, Consolidation, Report
from engram.participant.memory.errors import EnginePolicyMismatch
from engram.participant.memory.head import Place, nats_of, output_of
from engram.participant.memory.ridge import Matrix, ridge
from engram.participant.memory.solving import Sums, sums_of


def analytic(given: Consolidation) -> Consolidated:
    """The growth. A founding has outputs for its own classes only.

    Raises `StatisticsMissing`, `BankMismatch`, `GramSingular`, `EnginePolicyMismatch` for a head whose
    classes have more than one component each.
    """
    sums, rule = sums_of(given), given.banks.rule
    alpha, columns = given.calibration.alpha, component_count(given.base)
    wanted, counts = sums.targets(given.classes)
    weights, bias, used = sums.fitted(wanted, counts / sums.rows, given.settings.ridge)
    made = [output_of(Place(1, 0, sums.neurons, columns), alpha * weights, alpha * bias)]
    if not given.founding:
        lo = sums.neurons - rule.width
        correction, offset = _correction(given, sums, lo)
        made.append(output_of(Place(1, lo, sums.neurons, 0), correction, offset))
    outputs, numbers = zip(*made, strict=True)
    growth = Growth(given.new_classes, (rule.segment(),), outputs, ())
    report = Report("analytic", used, alpha, sums.rows, sums.statistics.sources)
    bank = given.banks.parameters[given.bank]
    return Consolidated(growth, (bank, *numbers), (rule.weights(given.bank),), report)


def _correction(given: Consolidation, sums: Sums, lo: int) -> tuple[Matrix, Matrix]:
    """The weights and biases, in nats, from the neurons from `lo` on to the old components."""
    if given.base.components:
        raise EnginePolicyMismatch("the engine needs one component for each class", got="several")
    frozen, bias = nats_of(given.base, given.parameters, lo)
    wanted, counts = sums.targets(given.old)
    means = given.calibration.alpha * counts / sums.rows - frozen.T @ (sums.total[:lo] / sums.rows)
    cross = sums.statistics.gram[lo : sums.neurons, :lo].astype(np.float64) @ frozen
    residual = given.calibration.alpha * wanted[lo:] - cross - np.outer(sums.total[lo:], means)
    weights, _ = ridge(sums.scatter(lo, sums.neurons), residual, given.settings.ridge)
    return weights, means - bias - weights.T @ (sums.total[lo:] / sums.rows)
