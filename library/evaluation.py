"""How well a network does on labelled rows: counts that add up exactly, and how they read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engram.nn.fixed import LOSS_BITS, Int64Array
from engram.nn.loss import LossKind

_SHOWN_CLASSES: Final = 20
"""So many classes are shown; of more, those that are recognised worst."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What a network has made of labelled rows."""

    confusion: Int64Array
    """(classes, classes): for each label, how many of its rows were taken for each class."""
    loss_sum: int
    """The loss of all rows in units of 2^-24 nat, the integer that the chain computes."""
    loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY
    names: tuple[str, ...] = ()
    """What each class is called, if a mapping names them."""

    @property
    def rows(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """The number of rows whose predicted class is their label."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share of correct rows."""
        return self.correct / self.rows

    @property
    def loss(self) -> float:
        """The mean loss of a row in nats."""
        return self.loss_sum / self.rows / 2**LOSS_BITS

    @property
    def support(self) -> tuple[int, ...]:
        """The number of rows of each class."""
        return tuple(self.confusion.sum(axis=1).tolist())

    @property
    def recall(self) -> tuple[float | None, ...]:
        """For each class, the share of its rows that were recognised; None where it has no row."""
        hits = np.diagonal(self.confusion).tolist()
        return tuple(hit / rows if rows else None for hit, rows in zip(hits, self.support, strict=True))

    def accuracy_of(self, classes: Collection[int]) -> float | None:
        """The share of correct rows among those with one of these labels; None if there are none.

        So old classes are compared with new ones: whether a growth has cost anything.
        """
        chosen = sorted(classes)
        rows = int(self.confusion[chosen].sum())
        hits = sum(int(self.confusion[each, each]) for each in chosen)
        return hits / rows if rows else None

    def name(self, label: int) -> str:
        """What a class is called: its name, or its number."""
        return self.names[label] if self.names else str(label)

    def to_json(self) -> dict[str, Any]:
        """Plain values: `mean_loss` in nats a row, `loss` as a sum over rows in units of 2^-24 nat.

        Shares are numbers from 0 to 1.
        """
        return {
            "rows": self.rows,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "mean_loss": self.loss,
            "loss": self.loss_sum,
            "loss_kind": self.loss_kind.name.lower(),
            "support": list(self.support),
            "recall": list(self.recall),
            "confusion": self.confusion.tolist(),
            "class_names": [self.name(label) for label in range(len(self.confusion))],
        }

    def __repr__(self) -> str:
        return (
            f"Evaluation({self.rows:,} rows, accuracy {self.accuracy:.4f}, loss {self.loss:.4f} nats a row)"
        )

    def __str__(self) -> str:
        shown = self._shown()
        wide = max([5, *(len(self.name(label)) for label in shown)])
        lines = [self._line(label, wide) for label in shown]
        head = (
            f"{self.correct:,} of {self.rows:,} rows correct, accuracy {self.accuracy:.4f}, "
            f"loss {self.loss:.4f} nats a row"
        )
        return "\n".join([head, f"{'class'.rjust(wide)}   rows  recall  most often taken for", *lines])

    def _shown(self) -> list[int]:
        """Classes that have rows, in order; of very many, those that are recognised worst."""
        recall = self.recall
        found = [label for label, share in enumerate(recall) if share is not None]
        return sorted(sorted(found, key=lambda label: recall[label] or 0.0)[:_SHOWN_CLASSES])

    def _line(self, label: int, wide: int) -> str:
        others = self.confusion[label].copy()
        others[label] = 0
        taken = int(others.argmax())
        count = int(others[taken])
        wrong = f"{self.name(taken)} ({count} {'row' if count == 1 else 'rows'})" if count else "-"
        return f"{self.name(label).rjust(wide)}  {self.support[label]:5}  {self.recall[label]:6.4f}  {wrong}"
