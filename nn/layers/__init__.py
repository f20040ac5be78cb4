"""The layer kinds, one file each. A new hidden kind needs a file, its name in `HiddenSegment`, a vector."""

from __future__ import annotations

from engram.nn.layers.conv_relu import ConvRelu
from engram.nn.layers.conv_square import ConvSquare
from engram.nn.layers.dense_relu import DenseRelu
from engram.nn.layers.dense_square import DenseSquare
from engram.nn.layers.output import Output

__all__ = ["ConvRelu", "ConvSquare", "DenseRelu", "DenseSquare", "HiddenSegment", "Output"]

HiddenSegment = DenseRelu | DenseSquare | ConvRelu | ConvSquare
