"""What all segments share: an interval of the layer below, a dense product, its cost and its bound proof.

a = x·W + b over the segment's interval [lo, hi): x unsigned integers (rows, hi - lo), W int8 or int16
(hi - lo, width), b int32 (width,). Activations are a layer file's business.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.errors import BoundViolated, DimensionOutOfRange, QuantizationOutOfRange
from engram.nn.fixed import INT32_MAX, Int64Array
from engram.nn.layers.steps import Step

ACTIVATION_MACS: Final = 128
"""What the elementwise work of one accumulator costs, in multiply-accumulates of equal time."""

READ_MACS: Final = 8
"""What fetching and converting one operand of a row costs, in multiply-accumulates of equal time."""

WEIGHT_BITS: Final = (8, 16)
MAX_SHIFT: Final = 31
MAX_ACTIVATION_BITS: Final = 16


class Segment(Protocol):
    """A dense segment of any layer kind."""

    @property
    def reads(self) -> int:
        """Number of the layer it reads; 0: inputs."""

    @property
    def lo(self) -> int: ...
    @property
    def hi(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def weight_bits(self) -> int: ...

    def check(self) -> None:
        """Refuses hyper-parameters that the layer does not define. Raises leaves of `InvalidNetwork`."""

    def steps(self) -> tuple[Step, ...]:
        """The activation, from the accumulator on."""


def check_dense(segment: Segment) -> None:
    """The rules of every segment's own fields. Raises `DimensionOutOfRange`, `QuantizationOutOfRange`."""
    if not 0 <= segment.lo < segment.hi:
        raise DimensionOutOfRange("a segment reads an empty interval", got=(segment.lo, segment.hi))
    if segment.width < 1:
        raise DimensionOutOfRange("a segment has no columns", expected="1 or more", got=segment.width)
    check_quantization("weight_bits", segment.weight_bits, *WEIGHT_BITS, choices=WEIGHT_BITS)


def check_quantization(name: str, value: int, lo: int, hi: int, *, choices: tuple[int, ...] = ()) -> None:
    """Refuses a value outside [lo, hi], or outside `choices`. Raises `QuantizationOutOfRange`."""
    if not lo <= value <= hi or (choices and value not in choices):
        raise QuantizationOutOfRange(f"{name} is not defined", expected=choices or f"{lo}..{hi}", got=value)


def param_shapes(segment: Segment) -> tuple[tuple[int, int], tuple[int]]:
    """Shapes of weights and bias."""
    return (segment.hi - segment.lo, segment.width), (segment.width,)


def macs_per_row(segment: Segment) -> int:
    """(hi - lo)·width + READ_MACS·(hi - lo) + ACTIVATION_MACS·width."""
    fan_in = segment.hi - segment.lo
    return fan_in * segment.width + READ_MACS * fan_in + ACTIVATION_MACS * segment.width


def prove_peak(segment: Segment, weights: IntArray, bias: IntArray, x_max: int) -> int:
    """Largest magnitude that any input in [0, x_max] can give anywhere between product and activation.

    The accumulator of a column lies within ±(Σ|w|·x_max + |b|), whatever the order of summation; the steps
    are followed by intervals. Weights and bias lie within their symmetric ranges, so that |w| cannot wrap.
    Raises `BoundViolated` if the peak does not fit int32.
    """
    reaches: Int64Array = np.abs(weights).sum(axis=0, dtype=np.int64)
    reaches = reaches * x_max + np.abs(bias.astype(np.int64))
    reach = int(np.max(reaches))
    lo, hi, peak = -reach, reach, reach
    for step in segment.steps():
        peak = max(peak, step.peak(lo, hi))
        lo, hi = step.image(lo, hi)
    if peak > INT32_MAX:
        raise BoundViolated(expected=INT32_MAX, got=peak)
    return peak


def exact_forward(segment: Segment, x: Int64Array, weights: IntArray, bias: IntArray) -> Int64Array:
    """The segment in plain int64 arithmetic: the definition that every engine must meet, bit for bit."""
    a = x @ weights.astype(np.int64) + bias.astype(np.int64)
    for step in segment.steps():
        a = step.exact(a)
    return a
