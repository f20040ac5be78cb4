"""Training of `DenseRoot`: the square root, rounded down, with the slope of the unrounded one in range."""

from __future__ import annotations

from engram.nn.layers import DenseRoot
from engram.participant.training.layers.activations import root
from engram.participant.training.layers.dense import TrainedDense
from engram.participant.training.layers.kind import Array


class TrainedDenseRoot(TrainedDense):
    """The `LayerKind` of `DenseRoot`."""

    def bias_unit(self, segment: DenseRoot) -> float:
        """One bias step moves what the root is taken of by one step of the activation at half its range."""
        return 2.0 ** (segment.shift + segment.bits)

    def activate(self, segment: DenseRoot, accumulators: Array) -> tuple[Array, Array]:
        return root(accumulators, segment.shift, segment.bits)
