"""Training of `Output`: accumulators are scaled to nats, without rounding."""

from __future__ import annotations

import numpy as np

from engram.nn.layers import Output
from engram.participant.training.layers.dense import TrainedDense
from engram.participant.training.layers.kind import NATS_PER_UNIT, Array

STEPS_PER_NAT = 64


class TrainedOutput(TrainedDense):
    """The `LayerKind` of `Output`."""

    def bias_unit(self, segment: Output) -> float:
        """One bias step moves a component by 1/64 nat, or by the smallest step that the shift allows."""
        return max(1.0, 2.0**segment.shift / NATS_PER_UNIT / STEPS_PER_NAT)

    def activate(self, segment: Output, accumulators: Array) -> tuple[Array, Array]:
        scale = np.float32(2.0**-segment.shift * NATS_PER_UNIT)
        return accumulators * scale, np.full_like(accumulators, scale)
