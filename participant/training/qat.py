"""Quantisation-aware training: trains float weights so that they stay good when rounded to integers.

The chain's network has integer weights, shifts and clipped activations. The forward pass here computes the
same in float32: it rounds the weights at every step, and shifts and clips as the chain does. Rounding has no
useful gradient, so the backward pass takes the gradient as if nothing had been rounded (straight-through
estimator: Bengio, Léonard, Courville 2013, arXiv:1308.3432) and moves float "master" weights with Adam
(Kingma, Ba 2015, arXiv:1412.6980). Master weights are in units of one integer step, so a learning rate means
steps per update.

A bias is added to an accumulator, before the shift, so one integer step of it has hardly any effect. Masters
count a bias in larger units that do have one (`LayerKind.bias_unit`), so that the learning rate of the
weights suits it as well.

The floats steer the training only. The loss that a participant claims is computed by `nn.network` on the
integers that come out. No chain stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from engram.nn.layers import HiddenSegment, Output
from engram.nn.loss import LossKind
from engram.nn.network import Parameters, SegmentParameters
from engram.nn.spec import NetworkSpec, component_classes, layer_widths
from engram.participant.datasets import Dataset
from engram.participant.training.frozen import NOTHING, FrozenPrefix, frozen_prefix
from engram.participant.training.gradients import loss_gradient
from engram.participant.training.layers import kind_of
from engram.participant.training.layers.kind import NATS_PER_UNIT, Array
from engram.participant.training.stopping import Watch

Rounded = npt.NDArray[np.floating[Any]]
"""Whole numbers, kept as floats."""
Progress = Callable[[int, float], None]
"""Called about a hundred times with the step and the batch's mean loss in nats. An exception that it raises
ends the training.
"""
STRETCH: Final = 2**16
"""Adam works on so many numbers at a time: what it reads and writes of them fits a processor's cache."""
FINENESS: Final = 16
"""How many integer steps of an int16 weight have the effect of one step of an int8 weight, in a fresh
network.
"""


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train."""

    steps: int = 1_000
    batch: int = 64
    """Rows in each step."""
    learning_rate: float = 1.0
    """About how many integer steps a weight moves in one update at first; a cosine schedule lowers it."""
    weight_decay: float = 1e-3
    patience: int = 0
    """End once so many checks in a row, of about a hundred, have found no lower loss on rows that are set
    aside, and return the best state (`stopping.py`); 0 takes all steps and sets no rows aside."""
    balance: bool = True
    """Draw first a class, then a row of it, so that rare classes count as much as common ones."""


Kept = tuple[FrozenPrefix, Mapping[int, Array]]
"""The frozen segments at the beginning of a network, and by layer what they make of the rows of a batch."""


class Fit(Protocol):
    """Trains a network by gradients: `fit` of this module, or one that runs elsewhere."""

    def __call__(
        self,
        spec: NetworkSpec,
        parameters: Parameters,
        trainable: tuple[bool, ...],
        data: Dataset,
        budget: Budget,
        rng: np.random.Generator,
        progress: Progress | None,
        loss_kind: LossKind,
        /,
    ) -> Parameters:
        """New parameters, of which those that are not `trainable` are the given ones."""
        ...


@dataclass
class _Master:
    """Float copies of one segment's weights and bias, with Adam's two moments for each."""

    weights: Array
    bias: Array
    unit: float
    """How much one step of `bias` adds to the neuron's sum."""
    limit: float
    """The largest weight, in integer steps."""
    fineness: float
    """How many integer steps have the effect of one step of an int8 weight."""
    moments: tuple[Array, Array, Array, Array]
    """First and second moment of the weights, then of the bias; empty for a segment that stays as it is."""

    @cached_property
    def integers(self) -> tuple[Array, Array]:
        """Whole numbers for the forward pass, in arrays that every `step` fills anew."""
        return np.rint(self.weights), np.rint(self.bias * np.float32(self.unit))

    def step(self, weights: Array, bias: Array, number: int, rate: float, decay: float) -> None:
        """Moves the masters against the gradients and rounds them again, all in place."""
        first_w, second_w, first_b, second_b = self.moments
        whole, whole_bias = self.integers
        arrays = (self.weights, first_w, second_w, weights, whole)
        for w, first, second, gradient, rounded in _stretches(arrays):
            update, spare = _adam(first, second, gradient, number)
            if self.fineness != 1.0:
                update *= np.float32(self.fineness)
            update += np.multiply(w, np.float32(decay), out=spare)
            update *= rate
            w -= update
            np.clip(w, -self.limit, self.limit, out=w)
            np.rint(w, out=rounded)
        for b, first, second, gradient, rounded in _stretches(
            (self.bias, first_b, second_b, bias, whole_bias)
        ):
            update, spare = _adam(first, second, gradient, number)
            update *= rate
            b -= update
            np.rint(np.multiply(b, np.float32(self.unit), out=spare), out=rounded)


def _stretches(arrays: Sequence[Array]) -> Iterator[tuple[Array, ...]]:
    """The same elements of arrays of one shape, in stretches that stay in a processor's cache."""
    flat = [array.reshape(-1) for array in arrays]
    for begin in range(0, flat[0].size, STRETCH):
        yield tuple(array[begin : begin + STRETCH] for array in flat)


def _adam(first: Array, second: Array, gradient: Array, number: int) -> tuple[Array, Array]:
    """Adam's update by one gradient, and an array of its size that may be overwritten."""
    spare = gradient - first
    spare *= np.float32(0.1)
    first += spare
    np.multiply(gradient, gradient, out=spare)
    spare -= second
    spare *= np.float32(0.001)
    second += spare
    np.divide(second, np.float32(1.0 - 0.999**number), out=spare)
    np.sqrt(spare, out=spare)
    spare += np.float32(1e-12)
    update: Array = first / np.float32(1.0 - 0.9**number)
    update /= spare
    return update, spare


def fit(
    spec: NetworkSpec,
    parameters: Parameters,
    trainable: tuple[bool, ...],
    data: Dataset,
    budget: Budget,
    rng: np.random.Generator,
    progress: Progress | None = None,
    loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY,
) -> Parameters:
    """Trains the segments marked `trainable`, in the order of `parameters`, and leaves the others unchanged.

    Returns new parameters whose integers lie within their ranges. Raises `NotEnoughRows` if the budget has
    patience and there are too few rows to set some aside.
    """
    watch = Watch(spec, data, budget.patience, loss_kind, rng) if budget.patience else None
    data = data if watch is None else watch.training
    segments = (*spec.hidden, *spec.outputs)
    given_ones = zip(segments, parameters, trainable, strict=True)
    masters = [_master(segment, given, learns) for segment, given, learns in given_ones]
    rounded = [master.integers for master in masters]
    prefix = frozen_prefix(spec, parameters, trainable, data.features, budget.steps * budget.batch)
    every = max(1, budget.steps // 100)
    for number, index in enumerate(batches(data.labels, spec.classes, budget, rng), start=1):
        x, labels = data.features[index].astype(np.float32), data.labels[index].astype(np.int64)
        kept = prefix, prefix.of(index)
        loss, gradients = gradients_of(spec, rounded, trainable, x, labels, loss_kind, kept)
        rate = rate_at(budget, number)
        for position, gradient in gradients.items():
            masters[position].step(*gradient, number, rate, budget.weight_decay)
        if number % every and number != budget.steps:
            continue
        if progress is not None and number % every == 0:
            progress(number, loss)
        if watch is not None and watch.ends(_trained(segments, masters, trainable, parameters)):
            break
    return _trained(segments, masters, trainable, parameters) if watch is None else watch.best


def _trained(
    segments: Sequence[HiddenSegment | Output],
    masters: Sequence[_Master],
    trainable: Sequence[bool],
    parameters: Parameters,
) -> Parameters:
    """The parameters with the integers of the masters that learn."""
    return tuple(
        integers_of(segment, *master.integers) if learns else given
        for segment, master, learns, given in zip(segments, masters, trainable, parameters, strict=True)
    )


def rate_at(budget: Budget, number: int) -> float:
    """The learning rate of step `number`, from 1: half a cosine down to 0.02."""
    return float(budget.learning_rate * 0.5 * (1 + np.cos(np.pi * number / budget.steps)) + 0.02)


def range_of(segment: HiddenSegment | Output) -> tuple[float, float]:
    """The largest weight, in integer steps, and how many steps have the effect of one step of int8."""
    return (127.0, 1.0) if segment.weight_bits == 8 else (32767.0, float(FINENESS))


def integers_of(segment: HiddenSegment | Output, weights: Rounded, bias: Rounded) -> SegmentParameters:
    """Rounded floats as the integers of a segment; a bias is clipped to ±2^30."""
    dtype = np.int8 if segment.weight_bits == 8 else np.int16
    return SegmentParameters(weights.astype(dtype), np.clip(bias, -(2**30), 2**30).astype(np.int32))


def batches(
    labels: npt.NDArray[np.uint16], classes: int, budget: Budget, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """For each step the rows of its batch."""
    rows_of = [np.flatnonzero(labels == c) for c in range(classes)]
    rows_of = [rows for rows in rows_of if rows.size]
    for _ in range(budget.steps):
        yield _batch(rows_of, len(labels), budget, rng)


def _master(segment: HiddenSegment | Output, given: SegmentParameters, learns: bool) -> _Master:
    unit = kind_of(segment).bias_unit(segment)
    weights, bias = given.weights.astype(np.float32), given.bias.astype(np.float32) / np.float32(unit)
    shapes = (weights.shape, weights.shape, bias.shape, bias.shape) if learns else ((0,),) * 4
    first_w, second_w, first_b, second_b = (np.zeros(shape, np.float32) for shape in shapes)
    return _Master(weights, bias, unit, *range_of(segment), (first_w, second_w, first_b, second_b))


def _batch(
    rows_of: list[npt.NDArray[np.int64]], rows: int, budget: Budget, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    if not budget.balance:
        return rng.integers(0, rows, budget.batch)
    classes = rng.integers(0, len(rows_of), budget.batch)
    picks = rng.random(budget.batch)
    return np.array([rows_of[c][int(p * rows_of[c].size)] for c, p in zip(classes, picks, strict=True)])


def gradients_of(
    spec: NetworkSpec,
    rounded: list[tuple[Array, Array]],
    trainable: tuple[bool, ...],
    x: Array,
    labels: npt.NDArray[np.int64],
    loss_kind: LossKind,
    kept: Kept = (NOTHING, {}),
) -> tuple[float, dict[int, tuple[Array, Array]]]:
    """The mean loss of rows (n, inputs) in nats, and by position its gradients by weights and bias.

    `rounded` are weights and bias of every segment, in integer steps; `kept` what frozen segments make of
    these rows.
    """
    layers, slopes = _forward_hidden(spec, rounded, x, kept)
    components = _components(spec, rounded, layers)
    loss, upstream = loss_gradient(spec, components, labels, loss_kind)
    return loss, _backward(spec, rounded, trainable, layers, slopes, upstream, kept[0])


def _forward_hidden(
    spec: NetworkSpec, rounded: list[tuple[Array, Array]], x: Array, kept: Kept
) -> tuple[list[Array], dict[int, Array]]:
    """Every layer's values, the inputs first; and for each hidden segment the slope of its activation.

    What frozen segments make stands first in each layer, and has no slope, because nothing learns below it.
    Where nobody reads it, it is left empty.
    """
    layers, slopes = [x], {}
    prefix, values = kept
    for layer in range(1, len(layer_widths(spec))):
        outputs = []
        if layer < len(prefix.widths):
            nothing = np.empty((len(x), prefix.widths[layer]), np.float32)
            outputs.append(values.get(layer, nothing))
        for position, segment in enumerate(spec.hidden[prefix.segments :], start=prefix.segments):
            if segment.layer == layer:
                accumulators = segment.accumulate(read(layers, segment), *rounded[position])
                value, slopes[position] = kind_of(segment).activate(segment, accumulators)
                outputs.append(value)
        layers.append(outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1))
    return layers, slopes


def read(layers: Sequence[Array], segment: HiddenSegment | Output) -> Array:
    """The values (rows, fan_in) that a segment reads of layers (rows, width), layer 0 first."""
    columns = [layers[each.layer][:, each.lo : each.hi] for each in segment.intervals]
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def _components(spec: NetworkSpec, rounded: list[tuple[Array, Array]], layers: list[Array]) -> Array:
    sums = np.zeros((layers[0].shape[0], len(component_classes(spec))), np.float32)
    for segment, given in zip(spec.outputs, rounded[len(spec.hidden) :], strict=True):
        accumulators = segment.accumulate(read(layers, segment), *given)
        nats, _ = kind_of(segment).activate(segment, accumulators)
        sums[:, segment.first : segment.first + segment.width] += nats
    return sums


def _backward(
    spec: NetworkSpec,
    rounded: list[tuple[Array, Array]],
    trainable: tuple[bool, ...],
    layers: list[Array],
    slopes: dict[int, Array],
    upstream: Array,
    prefix: FrozenPrefix,
) -> dict[int, tuple[Array, Array]]:
    """Gradients of the trainable segments by their position; `upstream` is the loss by the components."""
    gradients: dict[int, tuple[Array, Array]] = {}
    by_layer = [np.zeros_like(layer) for layer in layers]

    def descend(position: int, segment: HiddenSegment | Output, error: Array) -> None:
        kind, below = kind_of(segment), read(layers, segment)
        if trainable[position]:
            gradients[position] = kind.parameter_gradients(segment, below, error)
        if any(each.layer and each.hi > _ends(prefix, each.layer) for each in segment.intervals):
            shares, begin = kind.input_gradient(segment, below, rounded[position][0], error), 0
            for each in segment.intervals:
                by_layer[each.layer][:, each.lo : each.hi] += shares[:, begin : begin + each.size]
                begin += each.size

    for position, output in enumerate(spec.outputs, start=len(spec.hidden)):
        scale = np.float32(2.0**-output.shift * NATS_PER_UNIT)
        descend(position, output, upstream[:, output.first : output.first + output.width] * scale)
    columns = _first_neurons(spec)
    for layer in range(len(layers) - 1, 0, -1):
        for position, segment in enumerate(spec.hidden[prefix.segments :], start=prefix.segments):
            if segment.layer == layer:
                start = columns[position]
                error = by_layer[layer][:, start : start + segment.width] * slopes[position]
                descend(position, segment, error)
    return gradients


def _ends(prefix: FrozenPrefix, layer: int) -> int:
    """How many neurons of a layer frozen segments make: no gradient is needed below them."""
    return prefix.widths[layer] if layer < len(prefix.widths) else 0


def _first_neurons(spec: NetworkSpec) -> list[int]:
    """For each hidden segment, the index of its first neuron within its layer."""
    made, firsts = [0] * len(layer_widths(spec)), []
    for segment in spec.hidden:
        firsts.append(made[segment.layer])
        made[segment.layer] += segment.width
    return firsts
