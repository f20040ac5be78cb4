"""Training of `DenseRelu`: the rounded and clipped ReLU, with the slope of the unrounded one in its range."""

from __future__ import annotations

from engram.nn.layers import DenseRelu
from engram.participant.training.layers.activations import relu
from engram.participant.training.layers.dense import TrainedDense
from engram.participant.training.layers.kind import Array


class TrainedDenseRelu(TrainedDense):
    """The `LayerKind` of `DenseRelu`."""

    def bias_unit(self, segment: DenseRelu) -> float:
        """One bias step moves a neuron by one activation step."""
        return 2.0**segment.shift

    def activate(self, segment: DenseRelu, accumulators: Array) -> tuple[Array, Array]:
        return relu(accumulators, segment.shift, segment.bits)
