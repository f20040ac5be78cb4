"""What the engines share that solve for their outputs: the centred sums, and the scatter of the banks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram.nn.fixed import Int64Array
from engram.participant.memory.consolidation import Consolidation
from engram.participant.memory.errors import BankExhausted, BankMismatch
from engram.participant.memory.ridge import Matrix, centred, ridge
from engram.participant.memory.statistics import Statistics


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of all rows over the banks that the grown head has."""

    statistics: Statistics
    neurons: int

    @property
    def rows(self) -> int:
        return self.statistics.rows

    @property
    def total(self) -> Int64Array:
        """Σ h (neurons,)."""
        total: Int64Array = self.statistics.sums.sum(axis=0)[: self.neurons]
        return total

    def targets(self, classes: range) -> tuple[Matrix, Matrix]:
        """Σ h of each class (neurons, classes) and its rows (classes,). Raises `StatisticsMissing`."""
        counts, sums = self.statistics.of_classes(classes)
        return sums[:, : self.neurons].T.astype(np.float64), counts.astype(np.float64)

    def scatter(self, lo: int, hi: int) -> Matrix:
        """The centred Gram matrix of neurons lo, …, hi - 1."""
        return centred(self.statistics.gram[lo:hi, lo:hi], self.total[lo:hi], self.rows)

    def fitted(self, wanted: Matrix, means: Matrix, strength: float) -> tuple[Matrix, Matrix, float]:
        """Weights and intercepts of the ridge regression on targets t, and the strength that was used.

        `wanted` is Σ h·t (neurons, targets), `means` the mean of each target (targets,).
        """
        moved = wanted - np.outer(self.total, means)
        weights, used = ridge(self.scatter(0, self.neurons), moved, strength)
        return weights, means - weights.T @ (self.total / self.rows), used


def sums_of(given: Consolidation) -> Sums:
    """The sums of old and new rows.

    Raises `BankMismatch` if layer 1 of the head is anything else than the banks before this growth's.
    """
    rule = given.banks.rule
    if given.base.hidden != (rule.segment(),) * given.bank:
        raise BankMismatch(
            "the head's neurons are not the declared banks", expected=given.bank, got=len(given.base.hidden)
        )
    if given.bank >= rule.count:
        raise BankExhausted(expected=f"0..{rule.count - 1}", got=given.bank)
    for number, (own, declared) in enumerate(
        zip(given.parameters[: given.bank], given.banks.parameters, strict=False)
    ):
        if not (np.array_equal(own.weights, declared.weights) and np.array_equal(own.bias, declared.bias)):
            raise BankMismatch("a bank of the head has other numbers than are declared", got=number)
    return Sums(given.all_statistics(), rule.width * (given.bank + 1))
