"""Training of `ConvRoot`: as `DenseRoot`, with the gradients of a convolution."""

from __future__ import annotations

from engram.nn.layers import ConvRoot
from engram.participant.training.layers.activations import root
from engram.participant.training.layers.conv import TrainedConv
from engram.participant.training.layers.kind import Array


class TrainedConvRoot(TrainedConv):
    """The `LayerKind` of `ConvRoot`."""

    def bias_unit(self, segment: ConvRoot) -> float:
        """One bias step moves what the root is taken of by one step of the activation at half its range."""
        return 2.0 ** (segment.shift + segment.bits)

    def activate(self, segment: ConvRoot, accumulators: Array) -> tuple[Array, Array]:
        return root(accumulators, segment.shift, segment.bits)
