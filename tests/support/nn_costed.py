"""Networks and growths whose charges the vectors state."""

from typing import Final

from engram.nn.growth import Growth
from engram.nn.layers import DenseRelu, DenseSquare, Output
from engram.nn.network import NetworkSpec

COSTED: Final = NetworkSpec(
    600,
    3,
    (0, 1, 2, 2),
    (
        DenseRelu(1, 0, 600, 40, 4, 8, 8),
        DenseRelu(1, 0, 600, 7, 4, 8, 8),
        DenseRelu(1, 1, 600, 7, 4, 8, 8),
        DenseSquare(1, 0, 600, 2, 8, 12, 13, 8, 8),
        DenseSquare(1, 0, 600, 300, 8, 12, 13, 8, 8),
        DenseRelu(2, 0, 47, 5, 4, 8, 16),
    ),
    (
        Output(1, 0, 40, 0, 4, -8, 8),
        Output(1, 40, 47, 0, 4, -8, 8),
        Output(1, 48, 50, 0, 4, -8, 8),
        Output(1, 50, 356, 0, 4, 0, 8),
        Output(2, 0, 2, 1, 2, 5, 16),
        Output(2, 2, 5, 1, 2, 5, 16),
    ),
)
"""Of its hidden segments, two pairs form runs; of its output segments the first pair."""

COSTED_GROWTHS: Final = (
    Growth(0, (DenseRelu(2, 0, 47, 4, 4, 8, 16),), (Output(2, 5, 9, 3, 1, -8, 8),), ()),
    Growth(
        2,
        (
            DenseRelu(1, 200, 500, 2_000, 4, 8, 8),
            DenseRelu(1, 200, 500, 500, 4, 8, 8),
            DenseSquare(2, 350, 2_856, 3, 8, 12, 13, 8, 8),
            DenseRelu(3, 6, 8, 9, 4, 8, 8),
        ),
        (Output(3, 0, 4, 4, 2, 0, 8), Output(3, 4, 9, 4, 2, 0, 8)),
        (3, 4),
    ),
)
"""The first continues a run of the network, but is charged by itself as a run of its own."""
