"""The layer kinds, one file each. A new hidden kind needs a file, its name in `HiddenSegment`, a vector."""

from __future__ import annotations

from engram.nn.layers.conv_relu import ConvRelu
from engram.nn.layers.conv_root import ConvRoot
from engram.nn.layers.conv_square import ConvSquare
from engram.nn.layers.dense_relu import DenseRelu
from engram.nn.layers.dense_root import DenseRoot
from engram.nn.layers.dense_square import DenseSquare
from engram.nn.layers.max_pool import MaxPool
from engram.nn.layers.output import Output
from engram.nn.layers.reading import Interval

__all__ = [
    "ConvRelu",
    "ConvRoot",
    "ConvSquare",
    "DenseRelu",
    "DenseRoot",
    "DenseSquare",
    "HiddenSegment",
    "Interval",
    "MaxPool",
    "Output",
]

HiddenSegment = DenseRelu | DenseSquare | ConvRelu | ConvSquare | DenseRoot | ConvRoot | MaxPool
