"""A network of the chain as a PyTorch module: it computes what `nn.network` does, in float32, with gradients.

The rules of rounding are those of `qat.py`: weights and activations are rounded as on the chain, and the
gradient passes as if they had not been. PyTorch finds the gradients by itself, so nothing of
`participant.training.layers` but the size of a bias step is used here, and each checks the other in the
tests.

Float32 holds every integer up to 2^24. Sums beyond that are rounded: they steer the training only, as in
`qat.py`. What is exported are the rounded weights themselves, and what is claimed of them is computed by
`nn.network`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    DenseSquare,
    HiddenSegment,
    MaxPool,
    Output,
)
from engram.nn.logits import layout_of
from engram.nn.loss import LossKind
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec, component_classes, layer_widths
from engram.participant.training.layers import kind_of
from engram.participant.training.layers.kind import NATS_PER_UNIT
from engram.participant.training.qat import integers_of


class _Rounding(torch.autograd.Function):
    """The value of one tensor with the gradient of another."""

    @staticmethod
    def forward(ctx: Any, smooth: Tensor, exact: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0], None


def rounded(smooth: Tensor, exact: Tensor) -> Tensor:
    """`exact`, with the gradient of `smooth`."""
    result: Tensor = _Rounding.apply(smooth, exact)
    return result


def half_up(values: Tensor) -> Tensor:
    """Rounded to the nearest integer, halves up, as `round_shift` does."""
    return torch.floor(values + 0.5)


def relu(segment: DenseRelu | ConvRelu | MaxPool, sums: Tensor) -> Tensor:
    """The rounded and clipped ReLU."""
    top, scaled = 2.0**segment.bits - 1, sums * 2.0**-segment.shift
    return rounded(functional.hardtanh(scaled, 0.0, top), half_up(scaled).clamp(0.0, top))


def square(segment: DenseSquare | ConvSquare, sums: Tensor) -> Tensor:
    """The rounded and clipped square of the rounded and clipped sum."""
    top, half = 2.0**segment.bits - 1, 2.0**segment.h
    scaled = sums * 2.0**-segment.s1
    q = rounded(functional.hardtanh(scaled, -half, half), half_up(scaled).clamp(-half, half - 1))
    squared = q * q * 2.0**-segment.s2
    return rounded(functional.hardtanh(squared, -1.0, top), half_up(squared).clamp(0.0, top))


def root(segment: DenseRoot | ConvRoot, sums: Tensor) -> Tensor:
    """The square root, rounded down, of the rounded and clipped sum."""
    top, scaled = 2.0 ** (2 * segment.bits) - 1, sums * 2.0**-segment.shift
    radicand = half_up(scaled).clamp(0.0, top)
    # The slope grows without bound towards 0: below one activation step it is that of the first step.
    slope = 0.5 / radicand.clamp_min(1.0).sqrt()
    smooth = functional.hardtanh(scaled, 0.0, top) * slope.detach()
    return rounded(smooth, radicand.sqrt().floor())


def dense(segment: Any, values: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Accumulators (rows, width) of a dense segment; weights (fan_in, width)."""
    return torch.addmm(bias, values, weights)


def convolved(segment: Any, values: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Accumulators (rows, width) of a convolution; weights (channels, taps of a group)."""
    maps = values.reshape(len(values), -1, segment.height, segment.breadth)
    kernels = weights.reshape(
        segment.channels, maps.shape[1] // segment.groups, segment.kernel, segment.kernel
    )
    sums = functional.conv2d(maps, kernels, bias, segment.stride, segment.padding, 1, segment.groups)
    return sums.flatten(1)


def pooled(segment: Any, values: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Accumulators (rows, width) of a pooling; weights (maps,). Outside its map a value is 0."""
    maps = values.reshape(len(values), -1, segment.height, segment.breadth)
    laid = functional.pad(maps, (segment.padding,) * 4)
    best = functional.max_pool2d(laid, segment.kernel, segment.stride)
    return (best * weights[:, None, None] + bias[:, None, None]).flatten(1)


Product = Callable[[Any, Tensor, Tensor, Tensor], Tensor]
Activation = Callable[[Any, Tensor], Tensor]

KINDS: Final[Mapping[type, tuple[Product, Activation]]] = {
    DenseRelu: (dense, relu),
    DenseSquare: (dense, square),
    DenseRoot: (dense, root),
    ConvRelu: (convolved, relu),
    ConvSquare: (convolved, square),
    ConvRoot: (convolved, root),
    MaxPool: (pooled, relu),
}
"""The product and the activation of every kind of hidden segment."""


class QuantizedNetwork(nn.Module):
    """A network whose segments are trained in part. Weights are in integer steps, see `qat.py`."""

    def __init__(self, spec: NetworkSpec, parameters: Parameters, trainable: tuple[bool, ...]) -> None:
        super().__init__()
        self.spec = spec
        self._segments: tuple[HiddenSegment | Output, ...] = (*spec.hidden, *spec.outputs)
        self.units = [float(kind_of(segment).bias_unit(segment)) for segment in self._segments]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for given, unit, learns in zip(parameters, self.units, trainable, strict=True):
            weights = torch.from_numpy(given.weights.astype(np.float32))
            bias = torch.from_numpy(given.bias.astype(np.float32)) / unit
            self.weights.append(nn.Parameter(weights, requires_grad=learns))
            self.biases.append(nn.Parameter(bias, requires_grad=learns))
        layout = layout_of(component_classes(spec))
        self._ends = [*layout.starts.tolist()[1:], len(layout.by_entry)]
        self._starts = layout.starts.tolist()
        self._stages = layout.stages.tolist()
        self.register_buffer("_by_entry", torch.from_numpy(layout.by_entry))
        self.register_buffer("_stage_of_class", torch.from_numpy(layout.stage_of_class))
        gates = set(layout.stages.tolist()[1:])
        kept = [entry for entry in range(len(layout.starts)) if entry not in gates]
        self.register_buffer("_classes", torch.tensor(kept))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (rows, classes) in nats, of features (rows, inputs)."""
        return self._logits(self._sums(self.layers(features)))

    def layers(self, features: Tensor) -> list[Tensor]:
        """Every layer's values (rows, width), the features first."""
        layers = [features]
        for layer in range(1, len(layer_widths(self.spec))):
            made = []
            for position, segment in enumerate(self.spec.hidden):
                if segment.layer == layer:
                    product, activation = KINDS[type(segment)]
                    numbers = self._rounded(position)
                    made.append(activation(segment, product(segment, self._read(layers, segment), *numbers)))
            layers.append(torch.cat(made, dim=1))
        return layers

    def _rounded(self, position: int) -> tuple[Tensor, Tensor]:
        weights, bias = self.weights[position], self.biases[position] * self.units[position]
        return rounded(weights, weights.round()), rounded(bias, bias.round())

    def _read(self, layers: list[Tensor], segment: HiddenSegment | Output) -> Tensor:
        read = [layers[each.layer][:, each.lo : each.hi] for each in segment.intervals]
        return read[0] if len(read) == 1 else torch.cat(read, dim=1)

    def _sums(self, layers: list[Tensor]) -> Tensor:
        """The components' sums (rows, components) in nats."""
        count = len(component_classes(self.spec))
        sums = layers[0].new_zeros((len(layers[0]), count))
        for position, output in enumerate(self.spec.outputs, start=len(self.spec.hidden)):
            made = dense(output, self._read(layers, output), *self._rounded(position))
            nats = made * (2.0**-output.shift * NATS_PER_UNIT)
            sums = sums + functional.pad(nats, (output.first, count - output.first - output.width))
        return sums

    def _logits(self, sums: Tensor) -> Tensor:
        """As `nn.logits.logits_of`, but for the clipping."""
        ordered = sums[:, self._by_entry]
        if len(self._starts) == ordered.shape[1]:
            entries = ordered
        else:
            spans = zip(self._starts, self._ends, strict=True)
            entries = torch.stack([ordered[:, begin:end].max(dim=1).values for begin, end in spans], dim=1)
        if len(self._stages) == 1:
            return entries
        lift, lifts = entries.new_zeros(len(entries)), []
        for stage in reversed(range(len(self._stages))):
            lifts.append(lift)
            if stage:
                older, begin = self._stages[stage - 1], self._stages[stage]
                lift = lift + entries[:, begin] - entries[:, older:begin].logsumexp(dim=1)
        by_stage = torch.stack(lifts[::-1], dim=1)
        return entries[:, self._classes] + by_stage[:, self._stage_of_class]

    def integers(self) -> Parameters:
        """The rounded parameters of all segments: what the chain's network consists of."""
        result = []
        for position, segment in enumerate(self._segments):
            weights, bias = (each.detach().cpu().numpy() for each in self._rounded(position))
            result.append(integers_of(segment, weights, bias))
        return tuple(result)


def loss_of_rows(logits: Tensor, labels: Tensor, kind: LossKind) -> Tensor:
    """The loss of each row summed, in nats; see `gradients.loss_gradient`."""
    if kind is LossKind.SQUARED_ERROR:
        targets = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
        return (logits - targets).square().sum()
    return functional.cross_entropy(logits, labels, reduction="sum")
