"""A hidden layer: a convolution with a ReLU that is rounded to integers and clipped to `bits` bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.layers.activations import ReluActivation
from engram.nn.layers.shifted import ShiftedConv


@dataclass(frozen=True)
class ConvRelu(ReluActivation, ShiftedConv):
    """h = clip(round_shift(a, shift), 0, 2^bits - 1), where a are the accumulators of the convolution."""

    TAG: ClassVar[int] = 3
