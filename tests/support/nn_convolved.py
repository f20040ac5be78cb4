"""Convolving networks for vectors."""

from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    Interval,
    MaxPool,
    Output,
)
from engram.nn.network import NetworkSpec

SMALL_MAPS = NetworkSpec(
    24,
    2,
    (),
    (
        ConvRelu(1, 0, 24, 3, 4, 4, 3, 2, 1, 2, 6, 8, 8),
        ConvSquare(1, 12, 24, 3, 4, 2, 2, 1, 0, 1, 5, 7, 4, 8, 16),
        ConvRelu(2, 0, 16, 2, 2, 4, 2, 2, 0, 4, 3, 8, 8),
    ),
    (Output(2, 0, 4, 0, 2, 2, 8), Output(1, 10, 28, 0, 2, -2, 8)),
)
"""Two maps of 3 x 4; convolutions with groups, strides and padding; a pooling; outputs that read pixels."""

CONVOLVED = NetworkSpec(
    784,
    10,
    (),
    (
        ConvRelu(1, 0, 784, 28, 28, 8, 7, 2, 3, 1, 9, 8, 8),
        ConvSquare(2, 0, 8 * 196, 14, 14, 8, 2, 2, 0, 8, 4, 9, 8, 8, 16),
        ConvRelu(1, 0, 784, 28, 28, 8, 7, 2, 3, 1, 9, 8, 8),
    ),
    (Output(2, 0, 8 * 49, 0, 10, 0, 8),),
)
"""Convolutions with and without groups, of which no two form a run."""

BRANCHED = NetworkSpec(
    32,
    2,
    (),
    (
        ConvRoot(1, 0, 32, 4, 4, 4, 3, 1, 1, 2, 5, 8, 8),
        MaxPool(1, 16, 32, 4, 4, 2, 2, 0, 2, 8, 8),
        MaxPool(2, 0, 32, 4, 4, 3, 2, 1, 7, 9, 16, (Interval(1, 48, 64), Interval(0, 0, 16))),
        DenseRoot(2, 64, 68, 5, 2, 7, 8, (Interval(0, 3, 9), Interval(0, 11, 12))),
        DenseRelu(3, 0, 16, 3, 6, 8, 8, (Interval(2, 17, 21), Interval(1, 0, 5))),
    ),
    (
        Output(3, 0, 3, 0, 2, 0, 8, (Interval(2, 16, 21), Interval(0, 30, 32))),
        Output(2, 0, 3, 0, 2, -2, 8),
        Output(2, 3, 7, 0, 2, -2, 8, (Interval(1, 0, 2),)),
    ),
)
"""Branches of pooled maps and of roots, which later segments join."""
