"""What a copy of a network in another tool is made of and compared with."""

from __future__ import annotations

from typing import Protocol

import numpy.typing as npt

from engram.nn.fixed import Int64Array
from engram.nn.network import NetworkSpec, Parameters
from engram.statemachine.additions import Addition
from engram.statemachine.records import Version


class IntegerNetwork(Protocol):
    """A `Network`, as far as what makes copies of it needs it."""

    @property
    def spec(self) -> NetworkSpec: ...
    @property
    def parameters(self) -> Parameters: ...
    @property
    def version(self) -> Version | None: ...
    @property
    def line(self) -> tuple[Addition, ...]: ...
    def logits(self, X: npt.ArrayLike) -> Int64Array:
        """The logits (rows, classes) of rows, in units of 2^-16 nat."""
