"""Parameters of a network: their shapes and ranges checked, their bounds proved. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.dtypes import IntArray
from engram.nn.errors import ShapeMismatch, WeightOutOfRange
from engram.nn.fixed import INT32_MAX
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.segment import prove_peak
from engram.nn.spec import NetworkSpec, hidden_columns, layer_widths


@dataclass(frozen=True, eq=False)
class SegmentParameters:
    """The numbers of one segment."""

    weights: IntArray
    """int8 in ±127 or int16 in ±32767, as the segment's `weight_bits` says; its kind says which shape."""
    bias: IntArray
    """int32 in ±(2^31 - 1)."""


Parameters = tuple[SegmentParameters, ...]
"""Parameters of each segment, hidden segments first, then output segments."""

INPUT_MAX: Final = 255
"""Largest input feature (uint8)."""

_WEIGHT_TYPES: Final[Mapping[int, np.dtype[Any]]] = {8: np.dtype(np.int8), 16: np.dtype(np.int16)}
_BIAS_TYPE: Final = np.dtype(np.int32)


@dataclass(frozen=True)
class Bounds:
    """Proof that no intermediate value of a network leaves int32, whatever the input."""

    hidden: tuple[int, ...]
    """For each hidden segment, the largest magnitude that can occur in it."""
    outputs: tuple[int, ...]
    """The same for each output segment."""


def check_parameters(spec: NetworkSpec, parameters: Parameters) -> None:
    """Refuses a wrong number, type, shape or range. Raises `ShapeMismatch`, `WeightOutOfRange`."""
    check_segment_parameters((*spec.hidden, *spec.outputs), parameters)


def check_segment_parameters(segments: Sequence[HiddenSegment | Output], parameters: Parameters) -> None:
    """`check_parameters` for some segments of a network."""
    if len(parameters) != len(segments):
        raise ShapeMismatch(
            "one set of parameters for each segment", expected=len(segments), got=len(parameters)
        )
    for segment, given in zip(segments, parameters, strict=True):
        weights_shape, bias_shape = segment.parameter_shapes()
        _check_array("weights", given.weights, _WEIGHT_TYPES[segment.weight_bits], weights_shape)
        _check_array("bias", given.bias, _BIAS_TYPE, bias_shape)


def prove_bounds(spec: NetworkSpec, parameters: Parameters) -> Bounds:
    """Proves, from the real weights, that every intermediate value of every segment fits int32.

    A component then stays below 2^55: at most 256 segments of at most 2^31, shifted left by at most 16.
    Raises what `check_parameters` does, and `BoundViolated`.
    """
    peaks = prove_segments(spec, (*spec.hidden, *spec.outputs), parameters)
    return Bounds(peaks[: len(spec.hidden)], peaks[len(spec.hidden) :])


def prove_segments(
    spec: NetworkSpec, segments: Sequence[HiddenSegment | Output], parameters: Parameters
) -> tuple[int, ...]:
    """The peak of each of some segments of `spec`. Raises as `prove_bounds` does."""
    check_segment_parameters(segments, parameters)
    largest = largest_values(spec)
    return tuple(
        prove_peak(
            segment, given.weights, given.bias, int(np.max(largest[segment.reads][segment.lo : segment.hi]))
        )
        for segment, given in zip(segments, parameters, strict=True)
    )


def largest_values(spec: NetworkSpec) -> tuple[npt.NDArray[np.int32], ...]:
    """The largest value of each neuron of each layer, from its declared bits; inputs are uint8."""
    layers = tuple(np.full(width, INPUT_MAX, dtype=np.int32) for width in layer_widths(spec))
    for segment, first in zip(spec.hidden, hidden_columns(spec), strict=True):
        layers[segment.layer][first : first + segment.width] = (1 << segment.bits) - 1
    return layers


def _check_array(name: str, array: IntArray, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ShapeMismatch(
            f"{name} of another type or shape",
            expected=(str(dtype), *shape),
            got=(str(array.dtype), *array.shape),
        )
    limit = INT32_MAX if dtype == _BIAS_TYPE else int(np.iinfo(dtype).max)
    lowest, highest = int(np.min(array)), int(np.max(array))
    if lowest < -limit or highest > limit:
        worst = lowest if lowest < -limit else highest
        raise WeightOutOfRange(f"{name} out of range", expected=f"{-limit}..{limit}", got=worst)
