"""What a network that is on no chain has in place of a chain's line: a founding by nobody."""

from __future__ import annotations

from typing import Any, Final

import numpy.typing as npt

from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.tensor import Explicit, tensor_bytes
from engram.primitives.types import ZERO_HASH, Address
from engram.statemachine.additions import Addition, SegmentSources, TrainUpdate
from engram.statemachine.content import blob_id

NOBODY: Final[Address] = bytes(20)
"""Who has made a network that is on no chain."""


def founding(spec: NetworkSpec, parameters: Parameters) -> Addition:
    """The whole network as what nobody has founded."""
    sources = [
        SegmentSources(*(Explicit(blob_id(tensor_bytes(each))) for each in (given.weights, given.bias)))
        for given in parameters
    ]
    split = len(spec.hidden)
    return Addition(ZERO_HASH, NOBODY, TrainUpdate(spec, tuple(sources[:split]), tuple(sources[split:])))


def read_only(parameters: Parameters) -> Parameters:
    """A copy that nobody can change."""
    return tuple(SegmentParameters(_copied(each.weights), _copied(each.bias)) for each in parameters)


def _copied(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    copy = array.copy()
    copy.setflags(write=False)
    return copy
