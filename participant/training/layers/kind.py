"""What the trainer must know of a layer kind. The kinds themselves are in the other files of this folder."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
S = TypeVar("S", contravariant=True)

NATS_PER_UNIT = 2.0**-16
"""Logits are integers in Q16 nats, so one unit of a logit is 2^-16 nat."""


class LayerKind(Protocol[S]):
    """The float activation and the gradients of the segments of one layer kind."""

    def bias_unit(self, segment: S) -> float:
        """The units of the accumulator that one bias step of the trainer is worth."""
        ...

    def activate(self, segment: S, accumulators: Array) -> tuple[Array, Array]:
        """The values, and their slope by the accumulator, both (rows, width).

        Hidden values are rounded and clipped as on the chain. The slope is straight-through: it ignores the
        rounding.
        """
        ...

    def parameter_gradients(self, segment: S, below: Array, error: Array) -> tuple[Array, Array]:
        """The gradients of weights and bias; `error` (rows, width) is the gradient by the accumulators."""
        ...

    def input_gradient(self, segment: S, below: Array, weights: Array, error: Array) -> Array:
        """The gradient (rows, fan_in) by the values that the segment reads."""
        ...
