"""What a segment of any layer kind is: its shapes, its cost, its product and its bound proof.

Everything that differs between layer kinds stands in the kind's own file. Engines, checks and proofs see a
segment only through this protocol, so a new kind needs no code of theirs.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy.typing as npt

from engram.nn.dtypes import IntArray
from engram.nn.errors import BoundViolated, QuantizationOutOfRange
from engram.nn.fixed import INT32_MAX, Int64Array
from engram.nn.layers.steps import Step

WEIGHT_BITS: Final = (8, 16)
MAX_SHIFT: Final = 31
MAX_ACTIVATION_BITS: Final = 16

Numbers = npt.NDArray[Any]
Shape = tuple[int, ...]


class Segment(Protocol):
    """Some neurons of one layer, or some of what feeds the class components, with parameters of their own."""

    @property
    def reads(self) -> int:
        """Number of the layer it reads; 0: inputs."""

    @property
    def lo(self) -> int:
        """First neuron that it reads there."""

    @property
    def hi(self) -> int:
        """The neuron after the last one that it reads."""

    @property
    def width(self) -> int:
        """Accumulators of one row: the neurons that it makes, or the components that it feeds."""

    @property
    def weight_bits(self) -> int:
        """Bits of a weight, 8 or 16."""

    def check(self) -> None:
        """Refuses hyper-parameters that the layer does not define. Raises leaves of `InvalidNetwork`."""

    def parameter_shapes(self) -> tuple[Shape, Shape]:
        """Shapes of the weights and of the bias."""

    def macs_per_row(self) -> int:
        """Multiply-accumulates charged for one row: its products, and other work of equal time."""

    def reach(self, weights: IntArray, bias: IntArray, x_max: int) -> int:
        """Largest magnitude of any accumulator and of any partial sum on the way to it, for x in [0, x_max].

        Weights and bias lie within their symmetric ranges, so that |w| cannot wrap.
        """

    def accumulate(self, x: Numbers, weights: Numbers, bias: Numbers, out: Numbers | None = None) -> Numbers:
        """Accumulators (rows, width) of x (rows, hi - lo), in `out` if one is given.

        Uses additions and multiplications only, each result within `reach` of the given numbers. So it is the
        definition in int64, and exact in any float type that holds every integer up to `reach`.
        """

    def steps(self) -> tuple[Step, ...]:
        """The activation, from the accumulator on."""


def check_quantization(name: str, value: int, lo: int, hi: int, *, choices: tuple[int, ...] = ()) -> None:
    """Refuses a value outside [lo, hi], or outside `choices`. Raises `QuantizationOutOfRange`."""
    if not lo <= value <= hi or (choices and value not in choices):
        raise QuantizationOutOfRange(f"{name} is not defined", expected=choices or f"{lo}..{hi}", got=value)


def prove_peak(segment: Segment, weights: IntArray, bias: IntArray, x_max: int) -> int:
    """Largest magnitude that any input in [0, x_max] can give anywhere between product and activation.

    From the accumulator's reach on, the steps are followed by intervals. Raises `BoundViolated` if the peak
    does not fit int32.
    """
    reach = segment.reach(weights, bias, x_max)
    lo, hi, peak = -reach, reach, reach
    for step in segment.steps():
        peak = max(peak, step.peak(lo, hi))
        lo, hi = step.image(lo, hi)
    if peak > INT32_MAX:
        raise BoundViolated(expected=INT32_MAX, got=peak)
    return peak


def exact_forward(segment: Segment, x: Int64Array, weights: IntArray, bias: IntArray) -> Int64Array:
    """The segment in plain int64 arithmetic: the definition that every engine must meet, bit for bit."""
    a: Int64Array = segment.accumulate(x, weights.astype("int64"), bias.astype("int64"))
    for step in segment.steps():
        a = step.exact(a)
    return a
