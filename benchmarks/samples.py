"""Made-up images and networks of MNIST's size, the same in every run."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters

INPUTS: Final = 784
CLASSES: Final = 10

Features = npt.NDArray[np.uint8]


def dense(hidden: int, *, hidden_shift: int = 9, output_shift: int = 0) -> NetworkSpec:
    """A network with 784 inputs, one layer of `hidden` neurons and 10 classes, in int8."""
    return NetworkSpec(
        INPUTS,
        CLASSES,
        (),
        (DenseRelu(1, 0, INPUTS, hidden, hidden_shift, 8, 8),),
        (Output(1, 0, hidden, 0, CLASSES, output_shift, 8),),
    )


def images(rng: np.random.Generator, rows: int) -> Features:
    """Random pixels, as sparse as MNIST's: four out of five are 0."""
    inked = rng.random((rows, INPUTS)) < 0.2
    return rng.integers(1, 256, (rows, INPUTS), dtype=np.uint8) * inked.astype(np.uint8)


def random_parameters(rng: np.random.Generator, spec: NetworkSpec) -> Parameters:
    """Random weights and biases of a usual size."""
    return tuple(
        SegmentParameters(
            rng.integers(-30, 31, (segment.hi - segment.lo, segment.width)).astype(np.int8),
            rng.integers(-1000, 1001, segment.width).astype(np.int32),
        )
        for segment in (*spec.hidden, *spec.outputs)
    )


def zero_parameters(spec: NetworkSpec) -> Parameters:
    """Parameters that are all 0, so every logit is 0."""
    segments = (*spec.hidden, *spec.outputs)
    shapes = [(segment.hi - segment.lo, segment.width) for segment in segments]
    return tuple(SegmentParameters(np.zeros(s, np.int8), np.zeros(s[1], np.int32)) for s in shapes)
