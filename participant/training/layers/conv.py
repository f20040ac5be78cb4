"""The gradients of the convolution, which several layer kinds share."""

from __future__ import annotations

import numpy as np

from engram.nn.layers import ConvRelu, ConvRoot, ConvSquare
from engram.nn.layers.maps import made, maps_read, places, under
from engram.participant.training.layers.kind import Array

AnyConv = ConvRelu | ConvSquare | ConvRoot


class TrainedConv:
    """The part of a `LayerKind` that all convolutions have in common."""

    def parameter_gradients(self, segment: AnyConv, below: Array, error: Array) -> tuple[Array, Array]:
        """For each tap the products of error and what the pixels see there; and the error of each map."""
        errors = _by_group(segment, error)
        maps = _padded(segment, below)
        shape = (segment.groups, segment.channels // segment.groups, maps_read(segment) // segment.groups)
        weights = np.empty((*shape, segment.kernel, segment.kernel), dtype=np.float32)
        for v, u in places(segment):
            seen = _by_group(segment, under(segment, maps, v, u))
            weights[..., v, u] = errors @ seen.transpose(0, 2, 1)
        return weights.reshape(segment.parameter_shapes()[0]), errors.sum(axis=2).reshape(-1)

    def input_gradient(self, segment: AnyConv, below: Array, weights: Array, error: Array) -> Array:
        """Every error goes back to what its pixel has seen, by the weight of the tap."""
        count = len(error)
        errors = _by_group(segment, error)
        kernels = weights.reshape(segment.groups, segment.channels // segment.groups, -1, segment.kernel**2)
        height, breadth = made(segment, segment.height), made(segment, segment.breadth)
        back = _padded(segment, np.zeros((count, segment.fan_in), dtype=np.float32))
        for place, (v, u) in enumerate(places(segment)):
            share = kernels[..., place].transpose(0, 2, 1) @ errors
            maps = share.reshape(maps_read(segment), count, height, breadth).transpose(1, 0, 2, 3)
            under(segment, back, v, u)[...] += maps
        edge = segment.padding
        inside = back[:, :, edge : edge + segment.height, edge : edge + segment.breadth]
        return inside.reshape(count, -1)


def _padded(segment: AnyConv, values: Array) -> Array:
    """Values (rows, fan_in) as maps (rows, maps, height, breadth) with zeros around each map."""
    maps = values.reshape(len(values), -1, segment.height, segment.breadth)
    edge = segment.padding
    return np.pad(maps, ((0, 0), (0, 0), (edge, edge), (edge, edge)))


def _by_group(segment: AnyConv, values: Array) -> Array:
    """Maps (rows, maps, …) or (rows, maps·pixels) as (groups, maps of a group, rows·pixels)."""
    pixels = made(segment, segment.height) * made(segment, segment.breadth)
    by_map = values.reshape(len(values), -1, pixels).transpose(1, 0, 2)
    return by_map.reshape(segment.groups, len(by_map) // segment.groups, -1)
