"""The shape of a network on one line, for people."""

from __future__ import annotations

from typing import Final

from engram.nn.network import NetworkSpec
from engram.nn.spec import layer_widths

SHOWN_LAYERS: Final = 6
"""So many layers are written out; of more, the first ones and the last ones."""


def shape_text(spec: NetworkSpec) -> str:
    """Inputs, layers and classes, such as "64 inputs → 32 DenseRelu → 10 classes"."""
    widths = layer_widths(spec)
    layers = [f"{widths[0]} inputs"]
    for layer, width in enumerate(widths[1:], 1):
        kinds = {type(each).__name__: None for each in spec.hidden if each.layer == layer}
        layers.append(f"{width} {' + '.join(kinds)}")
    if (more := len(layers) - SHOWN_LAYERS) > 0:
        half = SHOWN_LAYERS // 2
        layers[half : half + more] = [f"({more} more layers)"]
    return " → ".join([*layers, f"{spec.classes} classes"])
