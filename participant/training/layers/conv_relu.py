"""Training of `ConvRelu`: as `DenseRelu`, with the gradients of a convolution."""

from __future__ import annotations

from engram.nn.layers import ConvRelu
from engram.participant.training.layers.activations import relu
from engram.participant.training.layers.conv import TrainedConv
from engram.participant.training.layers.kind import Array


class TrainedConvRelu(TrainedConv):
    """The `LayerKind` of `ConvRelu`."""

    def bias_unit(self, segment: ConvRelu) -> float:
        """One bias step moves a neuron by one activation step."""
        return 2.0**segment.shift

    def activate(self, segment: ConvRelu, accumulators: Array) -> tuple[Array, Array]:
        return relu(accumulators, segment.shift, segment.bits)
