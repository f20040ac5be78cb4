"""Checks the parameters of a network (types, shapes, ranges) and proves their bounds. Runs no network.

Why a proof: a value that outgrows its number type wraps or is rounded, and then nodes could disagree. To look
for such values row by row would cost as much as the evaluation itself. The proof looks at the weights only,
once. From the largest value that each neuron can take by its declared bits, it follows how far every
accumulator, every partial sum and every step of the activation can get. If all of that fits 32 bits, no input
can cause an overflow. `gemm` chooses its number types by the same proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engram.nn.dtypes import IntArray
from engram.nn.errors import ShapeMismatch, WeightOutOfRange
from engram.nn.fixed import INT32_MAX
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.segment import prove_peak
from engram.nn.spec import NetworkSpec


@dataclass(frozen=True, eq=False)
class SegmentParameters:
    """The numbers of one segment."""

    weights: IntArray
    """int8 within ±127 or int16 within ±32767, as `weight_bits` says; the segment's kind fixes the shape."""
    bias: IntArray
    """int32 within ±(2^31 - 1)."""


Parameters = tuple[SegmentParameters, ...]
"""The parameters of each segment, in the order of the spec: hidden segments first, then output segments."""

_WEIGHT_TYPES: Final[Mapping[int, np.dtype[Any]]] = {8: np.dtype(np.int8), 16: np.dtype(np.int16)}
_BIAS_TYPE: Final = np.dtype(np.int32)


@dataclass(frozen=True)
class Bounds:
    """The result of a successful proof that no input can make an intermediate value leave int32."""

    hidden: tuple[int, ...]
    """For each hidden segment, its peak: a magnitude that no intermediate value of the segment exceeds."""
    outputs: tuple[int, ...]
    """The same for each output segment."""


def check_parameters(spec: NetworkSpec, parameters: Parameters) -> None:
    """Refuses parameters that do not belong to the spec in number, type and shape, or leave their range.

    Raises `ShapeMismatch`, `WeightOutOfRange`.
    """
    check_segment_parameters((*spec.hidden, *spec.outputs), parameters)


def check_segment_parameters(segments: Sequence[HiddenSegment | Output], parameters: Parameters) -> None:
    """Does what `check_parameters` does, for some segments of a network and their parameters."""
    if len(parameters) != len(segments):
        raise ShapeMismatch(
            "each segment needs one set of parameters", expected=len(segments), got=len(parameters)
        )
    for segment, given in zip(segments, parameters, strict=True):
        weights_shape, bias_shape = segment.parameter_shapes()
        _check_array("weights", given.weights, _WEIGHT_TYPES[segment.weight_bits], weights_shape)
        _check_array("bias", given.bias, _BIAS_TYPE, bias_shape)


def prove_bounds(spec: NetworkSpec, parameters: Parameters) -> Bounds:
    """Proves, from the real weights, that every intermediate value of every segment fits int32.

    A component sum then stays below 2^61 in magnitude, so it fits int64: it adds at most 2^14 segments, each
    below 2^31 and shifted left by at most 16 bits.

    Raises what `check_parameters` raises, and `BoundViolated`.
    """
    peaks = prove_segments(spec, (*spec.hidden, *spec.outputs), parameters)
    return Bounds(peaks[: len(spec.hidden)], peaks[len(spec.hidden) :])


def prove_segments(
    spec: NetworkSpec, segments: Sequence[HiddenSegment | Output], parameters: Parameters
) -> tuple[int, ...]:
    """The peaks of some segments of `spec`, in the given order. Raises what `prove_bounds` raises."""
    check_segment_parameters(segments, parameters)
    return tuple(
        prove_peak(segment, given.weights, given.bias, spec.totals.operand(segment))
        for segment, given in zip(segments, parameters, strict=True)
    )


def _check_array(name: str, array: IntArray, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ShapeMismatch(
            f"the segment requires another type or shape of {name}",
            expected=(str(dtype), *shape),
            got=(str(array.dtype), *array.shape),
        )
    limit = INT32_MAX if dtype == _BIAS_TYPE else int(np.iinfo(dtype).max)
    lowest, highest = int(np.min(array)), int(np.max(array))
    if lowest < -limit or highest > limit:
        worst = lowest if lowest < -limit else highest
        raise WeightOutOfRange(f"a value of {name} is out of range", expected=f"{-limit}..{limit}", got=worst)
