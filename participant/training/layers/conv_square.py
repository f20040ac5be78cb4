"""Training of `ConvSquare`: as `DenseSquare`, with the gradients of a convolution."""

from __future__ import annotations

from engram.nn.layers import ConvSquare
from engram.participant.training.layers.activations import square
from engram.participant.training.layers.conv import TrainedConv
from engram.participant.training.layers.kind import Array


class TrainedConvSquare(TrainedConv):
    """The `LayerKind` of `ConvSquare`."""

    def bias_unit(self, segment: ConvSquare) -> float:
        """One bias step moves by 1 the number that is squared."""
        return 2.0**segment.s1

    def activate(self, segment: ConvSquare, accumulators: Array) -> tuple[Array, Array]:
        return square(accumulators, segment.s1, segment.h, segment.s2, segment.bits)
