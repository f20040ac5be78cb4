"""How each layer kind is trained: one file and one line in `KINDS` for each.

The forward product is `accumulate` of the consensus code, run in float32. A kind adds its activation with a
straight-through slope, and the gradients of its product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    DenseSquare,
    MaxPool,
    Output,
)
from engram.participant.training.layers.conv_relu import TrainedConvRelu
from engram.participant.training.layers.conv_root import TrainedConvRoot
from engram.participant.training.layers.conv_square import TrainedConvSquare
from engram.participant.training.layers.dense_relu import TrainedDenseRelu
from engram.participant.training.layers.dense_root import TrainedDenseRoot
from engram.participant.training.layers.dense_square import TrainedDenseSquare
from engram.participant.training.layers.kind import LayerKind
from engram.participant.training.layers.max_pool import TrainedMaxPool
from engram.participant.training.layers.output import TrainedOutput

KINDS: Final[Mapping[type, LayerKind[Any]]] = {
    DenseRelu: TrainedDenseRelu(),
    DenseSquare: TrainedDenseSquare(),
    ConvRelu: TrainedConvRelu(),
    ConvSquare: TrainedConvSquare(),
    DenseRoot: TrainedDenseRoot(),
    ConvRoot: TrainedConvRoot(),
    MaxPool: TrainedMaxPool(),
    Output: TrainedOutput(),
}
"""The trainer's side of every layer kind."""


def kind_of(segment: object) -> LayerKind[Any]:
    """How segments of this kind are trained."""
    return KINDS[type(segment)]
