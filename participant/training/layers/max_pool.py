"""Training of `MaxPool`: the error goes to the place of the largest value under each window."""

from __future__ import annotations

import numpy as np

from engram.nn.layers import MaxPool
from engram.nn.layers.maps import made, maps_read, padded, places, under
from engram.participant.training.layers.activations import relu
from engram.participant.training.layers.kind import Array


class TrainedMaxPool:
    """The `LayerKind` of `MaxPool`."""

    def bias_unit(self, segment: MaxPool) -> float:
        """One bias step moves a neuron by one activation step."""
        return 2.0**segment.shift

    def activate(self, segment: MaxPool, accumulators: Array) -> tuple[Array, Array]:
        return relu(accumulators, segment.shift, segment.bits)

    def parameter_gradients(self, segment: MaxPool, below: Array, error: Array) -> tuple[Array, Array]:
        """For each map the products of error and largest values; and the error of each map."""
        largest = segment.accumulate(
            below, np.ones(maps_read(segment), np.float32), np.zeros(maps_read(segment), np.float32)
        )
        by_map = (len(below), maps_read(segment), -1)
        products = (error * largest).reshape(by_map).sum(axis=(0, 2))
        return products, error.reshape(by_map).sum(axis=(0, 2))

    def input_gradient(self, segment: MaxPool, below: Array, weights: Array, error: Array) -> Array:
        """Every error goes to the largest value that its pixel has seen; of several, to the first."""
        height, breadth = made(segment, segment.height), made(segment, segment.breadth)
        maps = padded(segment, below)
        seen = np.stack([under(segment, maps, v, u) for v, u in places(segment)])
        first = seen.argmax(axis=0)
        errors = error.reshape(len(below), -1, height, breadth).transpose(1, 0, 2, 3)
        errors = errors * weights[:, None, None, None]
        back = np.zeros_like(maps)
        for place, (v, u) in enumerate(places(segment)):
            under(segment, back, v, u)[...] += errors * (first == place)
        edge = segment.padding
        inside = back[:, :, edge : edge + segment.height, edge : edge + segment.breadth]
        return inside.transpose(1, 0, 2, 3).reshape(len(below), -1)
