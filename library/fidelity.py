"""How far a network of integers is from the model of floats that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, repr=False)
class Fidelity:
    """A comparison on the rows with which the integers were fitted."""

    rows: int
    agreeing: int
    """The rows for which both have the same most probable class."""
    largest_difference: float
    """The largest difference of two probabilities of a class, over all rows."""
    mean_difference: float
    """The mean difference, over all rows and classes."""
    labels: tuple[Any, ...]
    """What each class of the network is called in the model of floats: class k is `labels[k]`."""

    @property
    def agreement(self) -> float:
        """The share of rows for which both have the same most probable class."""
        return self.agreeing / self.rows

    @classmethod
    def of(cls, floats: Probabilities, integers: Probabilities, labels: Sequence[Any]) -> Fidelity:
        """The comparison of probabilities (rows, classes), of at least one row."""
        gaps = np.abs(floats - integers)
        same = np.count_nonzero(floats.argmax(axis=1) == integers.argmax(axis=1))
        return cls(len(floats), int(same), float(gaps.max()), float(gaps.mean()), tuple(labels))

    def to_json(self) -> dict[str, Any]:
        """Plain values; shares and probabilities from 0 to 1."""
        return {
            "rows": self.rows,
            "agreeing": self.agreeing,
            "agreement": self.agreement,
            "largest_difference": self.largest_difference,
            "mean_difference": self.mean_difference,
            "labels": [each if isinstance(each, int) else str(each) for each in self.labels],
        }

    def __repr__(self) -> str:
        return f"Fidelity({self})"

    def __str__(self) -> str:
        return (
            f"the same class on {self.agreeing:,} of {self.rows:,} rows ({self.agreement:.2%}); "
            f"probabilities differ by {self.mean_difference:.4f} on average, "
            f"by {self.largest_difference:.4f} at most"
        )


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The probabilities of float logits (rows, classes)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    weights = np.exp(shifted, dtype=np.float64)
    found: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return found
