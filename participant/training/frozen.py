"""What the first, frozen segments of a network make of the rows of a training, computed once.

A growth trains new segments beside old ones that do not change. What the old ones compute on a row is the
same in every step, so the consensus code computes it before the first step, and it is only read from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.evaluate import Features, Layer
from engram.nn.growth import forward_frozen
from engram.nn.network import Parameters
from engram.nn.parameters import prove_bounds
from engram.nn.spec import NetworkSpec, layer_widths
from engram.participant.training.layers.kind import Array

MOST_BYTES: Final = 2**29
"""Values that take more memory than this are computed anew in every step."""
CHUNK_ROWS: Final = 1_024


@dataclass(frozen=True, eq=False)
class FrozenPrefix:
    """The hidden segments at the beginning of a network that do not train, and their values on all rows."""

    segments: int
    """How many there are."""
    widths: tuple[int, ...]
    """The neurons that they make in each layer, the inputs first."""
    layers: dict[int, Layer]
    """By number the layers (rows, width) that other segments read."""

    def of(self, index: npt.NDArray[np.int64]) -> dict[int, Array]:
        """The values of some rows as floats; those of layers that nobody reads are not there."""
        return {number: layer[index].astype(np.float32) for number, layer in self.layers.items()}


NOTHING: Final = FrozenPrefix(0, (), {})
"""No segment is frozen, or it is not worth keeping what they make."""


def frozen_prefix(
    spec: NetworkSpec, parameters: Parameters, trainable: Sequence[bool], features: Features, rows_used: int
) -> FrozenPrefix:
    """The frozen segments at the beginning of `spec.hidden` on the rows (n, inputs).

    `rows_used` is how many rows the training looks at, repetitions included: fewer than there are would make
    this cost more than it saves.
    """
    hidden = spec.hidden
    count = next((at for at in range(len(hidden)) if trainable[at]), len(hidden))
    if not count or rows_used < len(features):
        return NOTHING
    prefix = replace(spec, hidden=hidden[:count], outputs=())
    widths = layer_widths(prefix)
    read = {
        each.layer
        for segment in (*hidden[count:], *spec.outputs)
        for each in segment.intervals
        if 0 < each.layer < len(widths)
    }
    wide = {number for number in read if any(value > 255 for _, value in prefix.totals.stretches[number])}
    if len(features) * sum(widths[number] * (1 + (number in wide)) for number in read) > MOST_BYTES:
        return NOTHING
    numbers = parameters[:count]
    bounds = prove_bounds(prefix, numbers)
    layers: dict[int, Layer] = {
        number: np.empty((len(features), widths[number]), np.uint16 if number in wide else np.uint8)
        for number in read
    }
    for begin in range(0, len(features), CHUNK_ROWS):
        rows = slice(begin, begin + CHUNK_ROWS)
        made = forward_frozen(prefix, numbers, features[rows], bounds)
        for number, layer in layers.items():
            layer[rows] = made.layers[number]
    return FrozenPrefix(count, widths, layers)
