"""The two forms of an update that an author reveals. Data only; `update` has the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from engram.nn.growth import Growth
from engram.nn.network import NetworkSpec
from engram.primitives.types import Size
from engram.statemachine.parameters import SegmentSources

Sources = Annotated[tuple[SegmentSources, ...], Size(0, 256)]
Tensors = Annotated[tuple[Annotated[bytes, Size(1, 2**20)], ...], Size(0, 1024)]


@dataclass(frozen=True)
class TrainUpdate:
    """An update of a TRAIN round: a whole network that takes the place of version t."""

    TAG: ClassVar[int] = 1
    spec: NetworkSpec
    hidden: Sources
    outputs: Sources
    tensors: Tensors = ()
    """Bytes that travel with the update; every one is named by a source."""


@dataclass(frozen=True)
class GrowUpdate:
    """An update of a GROW round: what is appended to version t."""

    TAG: ClassVar[int] = 2
    growth: Growth
    hidden: Sources
    """Sources of the new hidden segments."""
    outputs: Sources
    """Sources of the new output segments."""
    tensors: Tensors = ()


Update = TrainUpdate | GrowUpdate
