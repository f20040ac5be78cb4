"""First drafts of networks: shapes, random weights and shifts fitted to data, before any training. No chain.

A shift is chosen so that activations of a sample fill a fair part of their range and first logits spread over
about a nat: then one learning rate suits every block (see `qat`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engram.nn.growth import Growth
from engram.nn.layers import DenseRelu, HiddenBlock, Output
from engram.nn.network import BlockParameters, Parameters
from engram.nn.spec import NetworkSpec, layer_widths
from engram.participant.datasets import Dataset
from engram.participant.errors import NotEnoughRows

SAMPLE_ROWS = 512
HIDDEN_SPREAD = 30.0
"""Standard deviation of fresh hidden weights, in integer steps of int8."""
OUTPUT_SPREAD = 20.0
ACTIVATION_GOAL = 40.0
"""Wanted standard deviation of an accumulator after its shift, for activations of 8 bits."""
LOGIT_GOAL = 0.7 * 2**16
"""Wanted standard deviation of fresh logits, in Q16 nats."""


def dense_network(
    sample: Dataset, hidden: Sequence[int], classes: int, rng: np.random.Generator
) -> tuple[NetworkSpec, Parameters]:
    """A fresh fully connected network of ReLU layers with these widths, its shifts fitted to `sample`.

    Raises `NotEnoughRows` for an empty sample.
    """
    x = _sample(sample, rng)
    blocks: list[HiddenBlock] = []
    parameters: list[BlockParameters] = []
    for layer, width in enumerate(hidden, start=1):
        block = DenseRelu(layer, 0, x.shape[1], width, 0, 8, 8)
        fitted, drawn = _fresh_hidden(block, x, rng)
        blocks.append(fitted)
        parameters.append(drawn)
        x = _relu(fitted, drawn, x)
    output, drawn = _fresh_output(Output(len(hidden), 0, x.shape[1], 0, classes, 0, 8), x, rng)
    spec = NetworkSpec(sample.inputs, classes, (), tuple(blocks), (output,))
    return spec, (*parameters, drawn)


def grown_network(
    spec: NetworkSpec,
    activations: Sequence[npt.NDArray[np.float32]],
    neurons: int,
    new_classes: int,
    rng: np.random.Generator,
) -> tuple[Growth, Parameters]:
    """A fresh growth: `neurons` new neurons in the first hidden layer, and outputs of the new classes over
    the whole layer.

    `activations` are the frozen network's, layer by layer, on the same sample of rows; layer 0 is the
    features. The new neurons read the inputs; the new classes read old and new neurons alike, so what the
    model already sees serves them too. No old logit changes.
    """
    old_width = layer_widths(spec)[1]
    block, drawn = _fresh_hidden(DenseRelu(1, 0, spec.inputs, neurons, 0, 8, 8), activations[0], rng)
    layer = np.concatenate([activations[1], _relu(block, drawn, activations[0])], axis=1)
    first = len(spec.components) or spec.classes
    output = Output(1, 0, old_width + neurons, first, new_classes, 0, 8)
    fitted, outputs = _fresh_output(output, layer, rng)
    components = tuple(range(spec.classes, spec.classes + new_classes)) if spec.components else ()
    return Growth(new_classes, (block,), (fitted,), components), (drawn, outputs)


def _sample(data: Dataset, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    if data.rows == 0:
        raise NotEnoughRows("a network is fitted to a sample of rows", expected="1 or more", got=0)
    index = rng.permutation(data.rows)[:SAMPLE_ROWS]
    return data.features[index].astype(np.float32)


def _fresh_hidden(
    block: DenseRelu, x: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[DenseRelu, BlockParameters]:
    drawn = _draw(block.hi - block.lo, block.width, HIDDEN_SPREAD, rng)
    spread = float((x[:, block.lo : block.hi] @ drawn.weights.astype(np.float32)).std())
    shift = round(np.log2(max(spread, 1.0) / ACTIVATION_GOAL))
    return replace(block, shift=min(max(shift, 0), 31)), drawn


def _fresh_output(
    block: Output, x: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[Output, BlockParameters]:
    drawn = _draw(block.hi - block.lo, block.width, OUTPUT_SPREAD, rng)
    spread = float((x[:, block.lo : block.hi] @ drawn.weights.astype(np.float32)).std())
    shift = round(np.log2(max(spread, 1.0) / LOGIT_GOAL))
    return replace(block, shift=min(max(shift, -16), 31)), drawn


def _draw(inputs: int, width: int, spread: float, rng: np.random.Generator) -> BlockParameters:
    weights = np.clip(np.rint(rng.normal(0, spread, (inputs, width))), -127, 127).astype(np.int8)
    return BlockParameters(weights, np.zeros(width, np.int32))


def _relu(block: DenseRelu, drawn: BlockParameters, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    accumulator = x[:, block.lo : block.hi] @ drawn.weights.astype(np.float32)
    scaled = np.floor(accumulator * np.float32(2.0**-block.shift) + np.float32(0.5))
    clipped: npt.NDArray[np.float32] = np.clip(scaled, 0, 2**block.bits - 1).astype(np.float32)
    return clipped
