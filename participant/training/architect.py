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
from engram.nn.spec import NetworkSpec, component_count
from engram.participant.datasets import Dataset
from engram.participant.errors import NotEnoughRows
from engram.participant.training.qat import FINENESS, activate
from engram.participant.training.shapes import growth_shape, hidden_block

SAMPLE_ROWS = 512
HIDDEN_SPREAD = 30.0
"""Standard deviation of fresh hidden weights, in integer steps of int8."""
OUTPUT_SPREAD = 20.0
ACTIVATION_GOAL = 40.0
"""Wanted standard deviation of an accumulator after its shift, for activations of 8 bits."""
LOGIT_GOAL = 0.7 * 2**16
"""Wanted standard deviation of fresh logits, in Q16 nats."""


def dense_network(
    sample: Dataset,
    hidden: Sequence[int],
    classes: int,
    rng: np.random.Generator,
    *,
    kind: type[HiddenBlock] = DenseRelu,
    weight_bits: int = 8,
) -> tuple[NetworkSpec, Parameters]:
    """A fresh fully connected network with hidden layers of these widths, its shifts fitted to `sample`.

    Raises `NotEnoughRows` for an empty sample.
    """
    x = _sample(sample, rng)
    blocks: list[HiddenBlock] = []
    parameters: list[BlockParameters] = []
    for layer, width in enumerate(hidden, start=1):
        block = hidden_block(kind, layer, x.shape[1], width, weight_bits)
        fitted, drawn = _fresh_hidden(block, x, rng)
        blocks.append(fitted)
        parameters.append(drawn)
        x = _activations(fitted, drawn, x)
    output = Output(len(hidden), 0, x.shape[1], 0, classes, 0, weight_bits)
    fitted_output, drawn = _fresh_output(output, x, rng)
    spec = NetworkSpec(sample.inputs, classes, (), tuple(blocks), (fitted_output,))
    return spec, (*parameters, drawn)


def grown_network(
    spec: NetworkSpec,
    activations: Sequence[npt.NDArray[np.float32]],
    neurons: int,
    new_classes: int,
    rng: np.random.Generator,
    reach: int | None = None,
) -> tuple[Growth, Parameters]:
    """A fresh growth of the shape that `growth_shape` gives.

    `activations` are the frozen network's, layer by layer, on the same sample of rows; layer 0 is the
    features. What new neurons add to old classes begins at zero: at first no old logit changes.
    """
    shape = growth_shape(spec, neurons, new_classes, reach)
    hidden: list[HiddenBlock] = []
    parameters: list[BlockParameters] = []
    layers = list(activations[:2]) if len(activations) > 1 else [activations[0], activations[0][:, :0]]
    for block in shape.hidden:
        fitted, drawn = _fresh_hidden(block, layers[0], rng)
        hidden.append(fitted)
        parameters.append(drawn)
        layers[1] = np.concatenate([layers[1], _activations(fitted, drawn, layers[0])], axis=1)
    outputs = []
    for output in shape.outputs:
        fitted_output, drawn = _fresh_output(output, layers[output.layer], rng)
        if output.first < component_count(spec):
            drawn = BlockParameters(np.zeros_like(drawn.weights), drawn.bias)
        outputs.append(fitted_output)
        parameters.append(drawn)
    return Growth(new_classes, tuple(hidden), tuple(outputs), shape.components), tuple(parameters)


def _sample(data: Dataset, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    if data.rows == 0:
        raise NotEnoughRows("a network is fitted to a sample of rows", expected="1 or more", got=0)
    index = rng.permutation(data.rows)[:SAMPLE_ROWS]
    return data.features[index].astype(np.float32)


def _fresh_hidden(
    block: HiddenBlock, x: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[HiddenBlock, BlockParameters]:
    drawn = _draw(block, HIDDEN_SPREAD, rng)
    spread = float((x[:, block.lo : block.hi] @ drawn.weights.astype(np.float32)).std())
    shift = min(max(round(np.log2(max(spread, 1.0) / ACTIVATION_GOAL)), 0), 31)
    if isinstance(block, DenseRelu):
        return replace(block, shift=shift), drawn
    return replace(block, s1=shift), drawn


def _fresh_output(
    block: Output, x: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[Output, BlockParameters]:
    drawn = _draw(block, OUTPUT_SPREAD, rng)
    spread = float((x[:, block.lo : block.hi] @ drawn.weights.astype(np.float32)).std())
    shift = round(np.log2(max(spread, 1.0) / LOGIT_GOAL))
    return replace(block, shift=min(max(shift, -16), 31)), drawn


def _draw(block: HiddenBlock | Output, spread: float, rng: np.random.Generator) -> BlockParameters:
    shape = (block.hi - block.lo, block.width)
    if block.weight_bits == 8:
        weights = np.clip(np.rint(rng.normal(0, spread, shape)), -127, 127).astype(np.int8)
        return BlockParameters(weights, np.zeros(block.width, np.int32))
    finer = np.rint(rng.normal(0, spread * FINENESS, shape))
    return BlockParameters(finer.astype(np.int16), np.zeros(block.width, np.int32))


def _activations(
    block: HiddenBlock, drawn: BlockParameters, x: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    value, _ = activate(block, x[:, block.lo : block.hi] @ drawn.weights.astype(np.float32))
    return value
