"""What a segment of any layer kind provides: its shapes, its cost, its product and its bound.

Everything that differs between layer kinds stands in the kind's own file. Engines, checks and proofs use a
segment through this protocol only, so a new kind needs no code in them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Protocol

import numpy.typing as npt

from engram.nn.dtypes import IntArray
from engram.nn.errors import BoundViolated, QuantizationOutOfRange
from engram.nn.fixed import INT32_MAX, Int64Array
from engram.nn.layers.reading import Interval
from engram.nn.layers.steps import Step

WEIGHT_BITS: Final = (8, 16)
MAX_SHIFT: Final = 31
MAX_ACTIVATION_BITS: Final = 16

Numbers = npt.NDArray[Any]
Shape = tuple[int, ...]


class Segment(Protocol):
    """Some neurons of one layer, or some contributions to class components, with parameters of their own."""

    SCALES: ClassVar[frozenset[str]]
    """Names of the fields that go with the scale of the weights: training may change these and no other."""

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The neurons that it reads, in the order in which its product runs over them."""

    @property
    def fan_in(self) -> int:
        """How many neurons it reads."""

    @property
    def width(self) -> int:
        """The accumulators of a row: the number of neurons that it makes, or of components that it feeds."""

    @property
    def weight_bits(self) -> int:
        """The bits of a weight, 8 or 16."""

    def check(self) -> None:
        """Refuses values of its fields that the kind does not allow. Raises leaves of `InvalidNetwork`."""

    def parameter_shapes(self) -> tuple[Shape, Shape]:
        """The shapes of the weights and of the bias."""

    def macs_per_row(self) -> int:
        """Multiply-accumulates charged for a row: its products, and other work by the time that it takes."""

    def reach(self, weights: IntArray, bias: IntArray, x_max: int) -> int:
        """A magnitude that no accumulator, and no partial sum on the way to it, exceeds, for x in [0, x_max].

        Callers have checked that weights and bias lie within their symmetric ranges, so |w| cannot overflow.
        """

    def accumulate(self, x: Numbers, weights: Numbers, bias: Numbers, out: Numbers | None = None) -> Numbers:
        """The accumulators (rows, width) of x (rows, fan_in), written into `out` if one is given.

        It uses sums, products and comparisons only, and no result exceeds `reach`. So in int64 it is the
        definition, and it is exact in any float type that holds every integer up to `reach`.
        """

    def steps(self) -> tuple[Step, ...]:
        """The activation: the steps that follow the accumulator, in order."""


def check_quantization(name: str, value: int, lo: int, hi: int, *, choices: tuple[int, ...] = ()) -> None:
    """Refuses a value outside [lo, hi], or outside `choices`. Raises `QuantizationOutOfRange`."""
    if not lo <= value <= hi or (choices and value not in choices):
        raise QuantizationOutOfRange(
            f"the layer does not allow this {name}", expected=choices or f"{lo}..{hi}", got=value
        )


def prove_peak(segment: Segment, weights: IntArray, bias: IntArray, x_max: int) -> int:
    """The peak: a magnitude that no input in [0, x_max] makes any value in the segment exceed.

    The proof starts from the accumulator's reach and follows, step by step, the interval in which the values
    lie. Raises `BoundViolated` if the peak does not fit int32.
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
