"""Reads what a frozen network computes on rows: an interval of one of its layers.

Growths append neurons and never change one that exists. So an interval of a frozen layer gives the same
numbers for ever, whatever the network grows into, and examples keep their values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.growth import forward_frozen
from engram.nn.layers.reading import Interval
from engram.nn.network import Parameters
from engram.nn.parameters import Bounds, prove_bounds
from engram.nn.spec import NetworkSpec, layer_widths
from engram.participant.memory.checks import check_features
from engram.participant.memory.errors import IntervalUnknown
from engram.participant.memory.trunk import Trunk

Readings = npt.NDArray[np.unsignedinteger[Any]]
"""uint8 or uint16 (n, values): whole numbers, exact as float32."""

CHUNK_ROWS: Final = 500
"""So many rows are read at once, so that memory does not grow with their number."""


@dataclass(frozen=True, eq=False)
class FrozenReader:
    """An interval of a layer of a network; layer 0 stands for the features themselves.

    Only the segments up to that layer are kept. Raises `IntervalUnknown` if the network has no such interval.
    """

    spec: NetworkSpec
    parameters: Parameters
    interval: Interval

    def __post_init__(self) -> None:
        widths, at = layer_widths(self.spec), self.interval
        if not (0 <= at.layer < len(widths) and 0 <= at.lo < at.hi <= widths[at.layer]):
            raise IntervalUnknown(expected=widths, got=(at.layer, at.lo, at.hi))

    @property
    def inputs(self) -> int:
        """The features of a row."""
        return self.spec.inputs

    @property
    def values(self) -> int:
        """The numbers that are read of a row."""
        return self.interval.size

    def read(self, rows: npt.NDArray[Any]) -> Readings:
        """The values (n, values) of rows (n, inputs), by the chain's network.

        Raises `FeatureCountMismatch`, `FeaturesNotIntegers`.
        """
        checked = check_features(rows, self.inputs)
        at = self.interval
        if at.layer == 0 or not len(checked):
            dtype = np.uint8 if at.layer == 0 else np.uint16
            return checked[:, at.lo : at.hi].astype(dtype) if at.layer == 0 else np.empty((0, at.size), dtype)
        spec, parameters, bounds = self._below
        chunks = range(0, len(checked), CHUNK_ROWS)
        return np.concatenate(
            [
                forward_frozen(spec, parameters, checked[begin : begin + CHUNK_ROWS], bounds).layers[
                    at.layer
                ][:, at.lo : at.hi]
                for begin in chunks
            ]
        )

    @cached_property
    def _below(self) -> tuple[NetworkSpec, Parameters, Bounds]:
        """The network without outputs and without what stands above the interval's layer."""
        kept = [place for place, each in enumerate(self.spec.hidden) if each.layer <= self.interval.layer]
        hidden = tuple(self.spec.hidden[place] for place in kept)
        spec = NetworkSpec(self.spec.inputs, 1, (), hidden, ())
        parameters = tuple(self.parameters[place] for place in kept)
        return spec, parameters, prove_bounds(spec, parameters)


def reader_of(trunk: Trunk, spec: NetworkSpec, parameters: Parameters) -> FrozenReader:
    """Reads the trunk's values in a whole network that begins with this trunk. Raises `IntervalUnknown`."""
    return FrozenReader(spec, parameters, Interval(trunk.depth, 0, trunk.values))
