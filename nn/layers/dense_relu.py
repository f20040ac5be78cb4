"""A hidden layer: a dense segment with a ReLU that is rounded to integers and clipped to `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.activations import ReluActivation
from engram.nn.layers.shifted import ShiftedDense


@dataclass(frozen=True)
class DenseRelu(ReluActivation, ShiftedDense):
    """h = clip(round_shift(x·W + b, shift), 0, 2^bits - 1)."""

    TAG: ClassVar[int] = 1
