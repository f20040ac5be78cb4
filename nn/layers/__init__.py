"""Layer kinds, a file each. A new kind is a file, its name in `HiddenBlock` and `LAYERS`, and a vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engram.nn.layers.dense_relu import DenseRelu
from engram.nn.layers.dense_square import DenseSquare
from engram.nn.layers.output import Output

__all__ = ["LAYERS", "DenseRelu", "DenseSquare", "HiddenBlock", "Output"]

HiddenBlock = DenseRelu | DenseSquare

LAYERS: Final[Mapping[int, type[DenseRelu | DenseSquare | Output]]] = {
    layer.TAG: layer for layer in (DenseRelu, DenseSquare, Output)
}
