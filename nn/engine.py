"""Engines: ways to evaluate whole networks on rows. All of them give the same integers, bit for bit.

An engine is handed a network whose bounds are proved, and a start: rows of which nothing is computed yet, or
what the first segments of the network have made of them. What it keeps between two calls may lie where only
it can read it, such as in the memory of a graphics card. So what comes back is only what somebody asks for:
the losses of rows, their logits, or the kept values themselves.

`FAST` and `REFERENCE` compute with numpy and are always there. Others are outside of the core, which knows
them by this protocol only; `selfcheck` says whether one of them is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from engram.nn.evaluate import FrozenActivations, resume, run_and_keep
from engram.nn.fixed import Int64Array
from engram.nn.gemm import FLOATS, INTEGERS, Arithmetic
from engram.nn.loss import Measure, RowScores, score_rows
from engram.nn.parameters import Parameters
from engram.nn.spec import NetworkSpec

ENGINE_VERSION: Final = 1
"""The version of the results. It changes only if a resulting integer does, and then at a block height."""


class Frozen(Protocol):
    """What the first segments of a network compute on some rows, kept where an engine wants to have it.

    `FrozenActivations` says what it holds, and is the form in which every engine takes it.
    """

    @property
    def hidden(self) -> int:
        """The number of hidden segments that have been computed."""
        ...

    @property
    def outputs(self) -> int:
        """The number of output segments that have been computed."""
        ...

    @property
    def rows(self) -> int:
        """The number of rows."""
        ...

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of inputs, then of the neurons of each hidden layer that have been computed."""
        ...

    @property
    def size_bytes(self) -> int:
        """The bytes of memory that everything except the features takes."""
        ...

    def counted(self, hidden: int, outputs: int) -> Frozen:
        """The same values, said to be of so many segments: for those of a `joined_network`."""
        ...

    def on_host(self) -> FrozenActivations:
        """The values as numpy arrays."""
        ...


class Engine(Protocol):
    """A way to evaluate networks.

    In every method `parameters` and `peaks` are those of the segments that `start` does not hold, hidden
    segments first, and `peaks` is what `prove_bounds` or `prove_growth` found for exactly these parameters.
    Neither is checked again. It may be called by several threads at once.
    """

    @property
    def name(self) -> str:
        """The name by which people choose it and by which a node says what it computes with."""
        ...

    @property
    def keeps_bytes(self) -> int | None:
        """The bytes of its own memory that activations may take; None if it keeps them in the machine's."""
        ...

    def logits(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: Frozen
    ) -> Int64Array:
        """Logits (n, classes) int64 of the whole network in Q16 nats, as `network.forward`."""
        ...

    def scores(
        self,
        spec: NetworkSpec,
        parameters: Parameters,
        peaks: Sequence[int],
        start: Frozen,
        measure: Measure,
    ) -> RowScores:
        """What `score_rows` finds for these logits: the loss of each row, and whether it is right.

        Raises what `score_rows` raises.
        """
        ...

    def keep(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: FrozenActivations
    ) -> Frozen:
        """Every layer's values and all component sums, of rows of which nothing is computed yet."""
        ...


@dataclass(frozen=True)
class NumpyEngine:
    """Evaluates networks by numpy, chunk by chunk, with one of the arithmetics of `gemm`."""

    name: str
    arithmetic: Arithmetic
    keeps_bytes: int | None = None

    def logits(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: Frozen
    ) -> Int64Array:
        return resume(spec, parameters, peaks, start.on_host(), self.arithmetic)

    def scores(
        self,
        spec: NetworkSpec,
        parameters: Parameters,
        peaks: Sequence[int],
        start: Frozen,
        measure: Measure,
    ) -> RowScores:
        return score_rows(measure, self.logits(spec, parameters, peaks, start))

    def keep(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: FrozenActivations
    ) -> FrozenActivations:
        return run_and_keep(spec, parameters, peaks, start.layers[0], self.arithmetic)


FAST: Final[Engine] = NumpyEngine("numpy", FLOATS)
"""Exact products in floating point."""
REFERENCE: Final[Engine] = NumpyEngine("integers", INTEGERS)
"""Plain int64 arithmetic: slow, but the definition of the results."""
