"""Ends a training that no longer gets better on rows that it does not learn from, and keeps the best state.

Every tenth row of each class is set aside, by the training's own random numbers, so the same seed sets aside
the same rows everywhere. About a hundred times, the consensus code computes their loss on the integers that
the training would return. That is an exact number: machines that train to the same integers end alike.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engram.nn.errors import BoundViolated
from engram.nn.loss import LossKind, evaluate_loss
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.participant.datasets import Dataset
from engram.participant.errors import NotEnoughRows

HELD: Final = 10
"""One of so many rows of each class is set aside."""
MOST_HELD: Final = 2_000
"""More rows than these tell hardly more, and take time at every check."""


class Watch:
    """The rows that are set aside from a training, and the best parameters so far by their loss."""

    def __init__(
        self, spec: NetworkSpec, data: Dataset, patience: int, loss_kind: LossKind, rng: np.random.Generator
    ) -> None:
        """`patience` is after how many checks in a row without a lower loss the training ends.

        Raises `NotEnoughRows` if no class has ten rows.
        """
        order = rng.permutation(data.rows)
        labels = data.labels[order]
        held = np.zeros(data.rows, dtype=np.bool_)
        for label in np.unique(labels):
            of_class = np.flatnonzero(labels == label)
            held[of_class[: len(of_class) // HELD]] = True
        held &= np.cumsum(held) <= MOST_HELD
        if not held.any():
            raise NotEnoughRows(
                "to end a training early, one class needs ten rows or more", expected=HELD, got=data.rows
            )
        self.training: Final = data.take(order[~held])
        """The rows to learn from."""
        self._held = data.take(order[held])
        self._spec, self._patience, self._loss_kind = spec, patience, loss_kind
        self._lowest: int | None = None
        self._waited = 0
        self.best: Parameters = ()
        """The parameters with the lowest loss on the rows that were set aside."""

    def ends(self, parameters: Parameters) -> bool:
        """Checks parameters, and says whether the training should end."""
        loss = self._loss(parameters)
        if loss is not None and (self._lowest is None or loss < self._lowest):
            self._lowest, self._waited, self.best = loss, 0, parameters
            return False
        self._waited += 1
        if not self.best:
            self.best = parameters
        return self._waited >= self._patience

    def _loss(self, parameters: Parameters) -> int | None:
        """The loss of the rows that were set aside; None for numbers that no chain would accept."""
        try:
            logits = forward(self._spec, parameters, self._held.features)
        except BoundViolated:
            return None
        return evaluate_loss(self._loss_kind, logits, self._held.labels)
