"""Turns a model of floats into a network of a chain: its weights into integers, its scales into shifts.

A hidden layer's values lie between 0 and 2^bits - 1, in steps that suit the values that the layer has on a
sample of rows. The ratio of two layers' steps goes into the weights between them. Weights are then multiplied
by the largest power of two for which they fit their bits and every sum provably fits 32 bits; the chain's
shift takes it off again. So each layer has as much of its float's precision as the chain allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

import numpy as np

from engram.library.errors import LayerUnsupported, NotQuantizable
from engram.library.float_layers import FloatConv, FloatDense, FloatLayer, FloatPool, Floats
from engram.nn.errors import BoundViolated
from engram.nn.fixed import LOGIT_BITS
from engram.nn.layers import ConvRelu, DenseRelu, HiddenSegment, MaxPool, Output
from engram.nn.layers.maps import maps_read
from engram.nn.layers.output import MIN_OUTPUT_SHIFT
from engram.nn.layers.segment import MAX_SHIFT, prove_peak
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.totals import INPUT_MAX
from engram.participant.training.qat import integers_of, range_of

_WIDEST: Final = 64
"""How often a layer's step may be doubled until its weights fit."""
_CUTS: Final = 16
"""How many steps are tried, each the former one divided by √2."""
S = TypeVar("S", bound=DenseRelu | ConvRelu | Output)


def quantised(
    layers: Sequence[FloatLayer], sample: Floats, weight_bits: int, bits: int
) -> tuple[NetworkSpec, Parameters]:
    """A network that computes in integers what the layers do; steps are fitted to `sample` (rows, inputs).

    The sample holds features from 0 to 255. Raises `NotQuantizable`, and leaves of `InvalidNetwork` for a
    shape that no chain has.
    """
    fit = _Fit(sample, weight_bits, bits)
    for number, layer in enumerate(layers[:-1], start=1):
        fit.hidden(number, layer)
    return fit.network(sample.shape[1], len(layers) - 1, layers[-1])


class _Fit:
    """The segments made so far, and what the last of them makes of the sample."""

    def __init__(self, sample: Floats, weight_bits: int, bits: int) -> None:
        self._values = sample
        self._step = 1.0
        """What one step of the values stands for, in the float model."""
        self._largest = INPUT_MAX
        """The largest value in steps."""
        self._weight_bits, self._bits = weight_bits, bits
        self._segments: list[HiddenSegment] = []
        self._parameters: list[SegmentParameters] = []

    def hidden(self, number: int, layer: FloatLayer) -> None:
        """Adds a hidden layer."""
        count = self._values.shape[1]
        if isinstance(layer, FloatPool):
            self._pooled(number, layer)
            return
        segment: DenseRelu | ConvRelu
        if isinstance(layer, FloatDense):
            width = layer.weights.shape[1]
            segment = DenseRelu(number, 0, count, width, 0, self._bits, self._weight_bits)
        else:
            segment = _conv(number, count, layer, self._bits, self._weight_bits)
        segment.check()
        values = np.maximum(segment.accumulate(self._values, layer.weights, layer.bias), 0)
        largest = (1 << self._bits) - 1
        step = _fitting_step(values, largest) or self._step
        for _ in range(_WIDEST):
            ratio = self._step / step
            found = _largest_shift(
                segment, layer.weights * ratio, layer.bias / step, range(MAX_SHIFT, -1, -1), self._largest
            )
            if found is not None:
                break
            step *= 2
        else:
            raise _not_quantizable(f"hidden layer {number}", layer)
        self._append(*found)
        self._values, self._step, self._largest = values, step, largest

    def network(self, inputs: int, hidden: int, last: FloatLayer) -> tuple[NetworkSpec, Parameters]:
        """The network with the last layer as its output."""
        if not isinstance(last, FloatDense):
            raise LayerUnsupported("a model ends in a dense layer, which makes the logits")
        fan_in, classes = last.weights.shape
        output = Output(hidden, 0, fan_in, 0, classes, 0, self._weight_bits)
        unit = float(1 << LOGIT_BITS)
        shifts = range(MAX_SHIFT, MIN_OUTPUT_SHIFT - 1, -1)
        weights = last.weights * (self._step * unit)
        found = _largest_shift(output, weights, last.bias * unit, shifts, self._largest)
        if found is None:
            raise _not_quantizable("the output layer", last)
        segment, given = found
        spec = NetworkSpec(inputs, classes, (), tuple(self._segments), (segment,))
        return spec, (*self._parameters, given)

    def _pooled(self, number: int, layer: FloatPool) -> None:
        """The plain maximum keeps the step. What it reads is never negative, so 0 outside changes nothing."""
        bits = self._largest.bit_length()
        window = (layer.height, layer.breadth, layer.kernel, layer.stride, layer.padding)
        count = self._values.shape[1]
        segment = MaxPool(number, 0, count, *window, 0, bits, self._weight_bits)
        segment.check()
        maps = maps_read(segment)
        ones, zeros = np.ones(maps), np.zeros(maps)
        self._values = segment.accumulate(self._values, ones, zeros)
        self._append(segment, integers_of(segment, ones, zeros))

    def _append(self, segment: HiddenSegment, given: SegmentParameters) -> None:
        self._segments.append(segment)
        self._parameters.append(given)


def _fitting_step(values: Floats, largest: int) -> float:
    """The step for which values in steps, rounded and cut off at `largest`, differ least; 0 if all are 0.

    The square of the difference counts. A few rows may have values so far above all others that no step suits
    both: then those are cut off.
    """
    top, best, found = float(values.max(initial=0)), np.inf, 0.0
    for halvings in range(_CUTS if np.isfinite(top) and top > 0 else 0):
        step = top / largest * 2.0 ** (-halvings / 2)
        gaps = np.clip(np.rint(values / step), 0, largest) * step - values
        if (error := float(np.square(gaps).sum())) < best:
            best, found = error, step
    return found


def _conv(number: int, count: int, layer: FloatConv, bits: int, weight_bits: int) -> ConvRelu:
    channels, kernel = layer.weights.shape[0], layer.weights.shape[2]
    maps = (layer.height, layer.breadth, channels, kernel, layer.stride, layer.padding, layer.groups)
    return ConvRelu(number, 0, count, *maps, 0, bits, weight_bits)


def _largest_shift(
    segment: S, weights: Floats, bias: Floats, shifts: range, x_max: int
) -> tuple[S, SegmentParameters] | None:
    """The segment and its integers with the first shift for which they fit their bits and the bounds.

    `weights` and `bias` are those of a shift of 0.
    """
    limit, _ = range_of(segment)
    top = float(np.abs(weights).max(initial=0))
    for shift in shifts:
        factor = 2.0**shift
        if not top * factor <= limit or not float(np.abs(bias).max(initial=0)) * factor <= 2**30:
            continue
        shifted = replace(segment, shift=shift)
        given = integers_of(shifted, _rounded(weights, factor), _rounded(bias, factor))
        try:
            prove_peak(shifted, given.weights, given.bias, x_max)
        except BoundViolated:
            continue
        return shifted, given
    return None


def _rounded(values: Floats, factor: float) -> Floats:
    found: Floats = np.rint(values * factor)
    return found


def _not_quantizable(name: str, layer: FloatDense | FloatConv) -> NotQuantizable:
    return NotQuantizable(
        f"{name} has weights that no integers stand for: train with smaller or more even weights",
        got=f"weights up to {np.abs(layer.weights).max():g}, a bias up to {np.abs(layer.bias).max():g}",
    )
