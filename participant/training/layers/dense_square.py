"""Training of `DenseSquare`: the rounded and clipped square, with the slope of the unrounded one in range."""

from __future__ import annotations

import numpy as np

from engram.nn.layers import DenseSquare
from engram.participant.training.layers.dense import TrainedDense
from engram.participant.training.layers.kind import Array


class TrainedDenseSquare(TrainedDense):
    """The `LayerKind` of `DenseSquare`."""

    def bias_unit(self, segment: DenseSquare) -> float:
        """One bias step moves by 1 the number that is squared."""
        return 2.0**segment.s1

    def activate(self, segment: DenseSquare, accumulators: Array) -> tuple[Array, Array]:
        top, half = np.float32(2**segment.bits - 1), np.float32(2**segment.h)
        scaled = accumulators * np.float32(2.0**-segment.s1)
        q = np.clip(np.floor(scaled + np.float32(0.5)), -half, half - 1)
        squared = q * q * np.float32(2.0**-segment.s2)
        inside = (np.abs(scaled) < half) & (squared < top)
        slope = inside * q * np.float32(2.0 * 2.0**-segment.s2 * 2.0**-segment.s1)
        return np.clip(np.floor(squared + np.float32(0.5)), 0, top), slope.astype(np.float32)
