"""Convolving networks for vectors."""

from engram.nn.layers import ConvRelu, ConvSquare, Output
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
