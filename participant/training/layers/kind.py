"""What the trainer must know of a layer kind. No kind stands here."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
S = TypeVar("S", contravariant=True)

NATS_PER_UNIT = 2.0**-16
"""Logits are integers in Q16 nats."""


class LayerKind(Protocol[S]):
    """Float activation and gradients of the segments of one layer kind."""

    def bias_unit(self, segment: S) -> float:
        """The worth of one bias step in accumulator units."""
        ...

    def activate(self, segment: S, accumulators: Array) -> tuple[Array, Array]:
        """Values (rows, width) and their straight-through slope by the accumulator."""
        ...

    def parameter_gradients(self, segment: S, below: Array, error: Array) -> tuple[Array, Array]:
        """Gradients of weights and bias; `error` (rows, width) is the loss by the accumulators."""
        ...

    def input_gradient(self, segment: S, weights: Array, error: Array) -> Array:
        """Gradient (rows, hi - lo) by what the segment reads."""
        ...
