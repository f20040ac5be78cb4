"""Training of `DenseSquare`: the rounded and clipped square, with the slope of the unrounded one in range."""

from __future__ import annotations

from engram.nn.layers import DenseSquare
from engram.participant.training.layers.activations import square
from engram.participant.training.layers.dense import TrainedDense
from engram.participant.training.layers.kind import Array


class TrainedDenseSquare(TrainedDense):
    """The `LayerKind` of `DenseSquare`."""

    def bias_unit(self, segment: DenseSquare) -> float:
        """One bias step moves by 1 the number that is squared."""
        return 2.0**segment.s1

    def activate(self, segment: DenseSquare, accumulators: Array) -> tuple[Array, Array]:
        return square(accumulators, segment.s1, segment.h, segment.s2, segment.bits)
