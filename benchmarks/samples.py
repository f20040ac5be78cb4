"""Made-up images and networks of MNIST's size, and terms of rounds, the same in every run."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.rounds.records import RoundTerms

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
            rng.integers(-30, 31, (segment.fan_in, segment.width)).astype(np.int8),
            rng.integers(-1000, 1001, segment.width).astype(np.int32),
        )
        for segment in (*spec.hidden, *spec.outputs)
    )


def zero_parameters(spec: NetworkSpec) -> Parameters:
    """Parameters that are all 0, so every logit is 0."""
    segments = (*spec.hidden, *spec.outputs)
    shapes = [(segment.fan_in, segment.width) for segment in segments]
    return tuple(SegmentParameters(np.zeros(s, np.int8), np.zeros(s[1], np.int32)) for s in shapes)


def round_terms(
    *,
    kind: int,
    new_classes: int,
    commitments: tuple[Hash, ...],
    rows: int,
    old_rows: int,
    max_update_bytes: int,
    max_update_neurons: int,
    max_update_macs: int,
) -> RoundTerms:
    """The terms of a round of one epoch with one validation and one sealed part."""
    return RoundTerms(
        kind=kind,
        new_classes=new_classes,
        commitments=commitments,
        rows=rows,
        old_rows=old_rows,
        validation=1,
        sealed=1,
        epochs=1,
        open_window=10,
        reveal_window=20,
        commit_window=50,
        update_window=50,
        witness_window=10,
        audit_window=10,
        score_window=10,
        gap=6,
        max_update_bytes=max_update_bytes,
        max_update_neurons=max_update_neurons,
        max_update_macs=max_update_macs,
        opener_bond=10**9,
        author_bond=10**8,
        bounty=10**9,
        witness_fee=0,
        z_squared=9,
        nonce_hash=ZERO_HASH,
    )
