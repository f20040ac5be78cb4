"""Searches for the block that takes longest to judge for what it is charged.

The charge of a transaction is a formula of shapes. No formula fits every shape, so odd networks are drawn at
random and scored with nothing in the cache. The slowest of them per charged multiply-accumulate is taken to
fill a block of each preset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.measure import Row, seconds
from engram.consensus import chainspec
from engram.nn.data import parse_part, part_bytes
from engram.nn.layers import ConvRelu, DenseRelu, DenseSquare, HiddenSegment, Output
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded
from engram.nn.spec import NetworkLimits, check_spec
from engram.nn.tensor import Explicit, tensor_bytes
from engram.primitives.errors import Invalid
from engram.primitives.types import Hash
from engram.statemachine.additions import SegmentSources, TrainUpdate
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import WholeNetwork
from engram.statemachine.record import TensorSource
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import DataPart, Scorer, network_macs

SHARE: Final = 0.10
"""The part of the block time that the dearest block may take on one core."""
LEAST_S: Final = 0.02
"""Shorter scorings say more about the clock than about the network."""
MOST_MACS: Final = 1_000_000_000
RULES: Final = Rules()


@dataclass(frozen=True)
class Drawn:
    """A network and the number of rows of a part for it."""

    parameters: TrainUpdate
    read: Callable[[Hash], bytes]
    raw: bytes
    rows: int
    inputs: int
    classes: int
    charged: int


def rows(quick: bool) -> Iterable[Row]:
    drawn = [found for seed in range(12 if quick else 150) if (found := draw(seed)) is not None]
    slowest_ps = max((ps for found in drawn if (ps := _ps_per_mac(found)) is not None), default=0.0)
    float32_ps = float32_ps_per_mac()
    for spec in (
        chainspec.main(),
        chainspec.test(),
        chainspec.consortium((), 0),
    ):
        block_s = slowest_ps * spec.rules.max_block_macs / 1e12
        share = block_s / (spec.block_time_ms / 1_000)
        yield Row(
            f"dearest_block_of_{spec.name}_s",
            block_s,
            float32_ps * spec.rules.max_block_macs / 1e12,
            share,
            f"share of the block time <= {SHARE:.2f}",
            share <= SHARE,
        )


def draw(seed: int) -> Drawn | None:
    """An odd network of the size that a block may hold; None if the rules refuse it."""
    rng = np.random.default_rng(seed)
    spec = _spec(rng)
    try:
        check_spec(spec, NetworkLimits())
    except Invalid:
        return None
    blobs: dict[Hash, bytes] = {}
    sources = [_sources(rng, segment, blobs) for segment in (*spec.hidden, *spec.outputs)]
    parameters = TrainUpdate(spec, tuple(sources[: len(spec.hidden)]), tuple(sources[len(spec.hidden) :]))
    count = int(min(rng.choice([1, 3, 100, 1_025, 20_000]), 16_000_000 // spec.inputs))
    while count > 1 and network_macs(RULES, parameters, count) > MOST_MACS:
        count //= 2
    features = rng.integers(0, 256, (count, spec.inputs)).astype(np.uint8)
    labels = rng.integers(0, spec.classes, count).astype(np.uint16)
    return Drawn(
        parameters,
        blobs.__getitem__,
        part_bytes(features, labels),
        count,
        spec.inputs,
        spec.classes,
        network_macs(RULES, parameters, count),
    )


def _spec(rng: np.random.Generator) -> NetworkSpec:
    inputs, classes = int(rng.choice([1, 64, 784, 4_096, 65_536])), int(rng.choice([2, 10, 256, 1_024]))
    bits, weight_bits = int(rng.choice([1, 8, 16])), int(rng.choice([8, 16]))
    near = min(inputs, int(rng.choice([1, 64])))
    kind = rng.choice(["wide", "many", "deep", "square", "none", "components", "conv", "conv"])
    if kind == "conv":
        return _convolving(rng, classes, bits, weight_bits)
    hidden: tuple[HiddenSegment, ...] = ()
    if kind == "many":
        width = int(rng.choice([1, 2, 64]))
        hidden = tuple(DenseRelu(1, 0, near, width, 0, bits, weight_bits) for _ in range(256))
        outputs = tuple(Output(1, place, place + 1, 0, classes, 0, 8) for place in range(256))
        return NetworkSpec(inputs, classes, (), hidden, outputs)
    if kind == "deep":
        width = int(rng.choice([1, 16, 256]))
        lows = [near if layer == 1 else width for layer in range(1, 17)]
        hidden = tuple(
            DenseRelu(layer, 0, low, width, 1, bits, weight_bits) for layer, low in enumerate(lows, 1)
        )
        return NetworkSpec(inputs, classes, (), hidden, (Output(16, 0, width, 0, classes, 0, 8),))
    if kind == "components":
        components = (0, 1) * int(rng.choice([8, 256, 2_048]))
        outputs = (Output(0, 0, near, 0, len(components), 0, weight_bits),)
        return NetworkSpec(inputs, 2, components, (), outputs)
    if kind == "none":
        return NetworkSpec(inputs, classes, (), (), (Output(0, 0, near, 0, classes, 0, weight_bits),))
    width = int(rng.choice([16, 256, 2_048]))
    if kind == "square":
        hidden = (DenseSquare(1, 0, near, width, 1, 7, 1, bits, weight_bits),)
    else:
        hidden = (DenseRelu(1, 0, inputs, width, 1, bits, weight_bits),)
    return NetworkSpec(inputs, classes, (), hidden, (Output(1, 0, width, 0, classes, 0, 8),))


def _convolving(rng: np.random.Generator, classes: int, bits: int, weight_bits: int) -> NetworkSpec:
    """A convolution of odd shape: few large maps or many small ones, with or without groups."""
    side, maps = int(rng.choice([1, 4, 7, 28, 128])), int(rng.choice([1, 4, 64]))
    kernel = min(side, int(rng.choice([1, 2, 3, 7])))
    groups = int(rng.choice([1, maps]))
    segment = ConvRelu(
        *(1, 0, maps * side * side, side, side, groups * int(rng.choice([1, 2, 16])), kernel),
        *(int(rng.integers(1, kernel + 1)), int(rng.integers(0, kernel)), groups, 1, bits, weight_bits),
    )
    near = min(segment.width, 64)
    outputs = (Output(1, 0, near, 0, classes, 0, 8),)
    return NetworkSpec(maps * side * side, classes, (), (segment,), outputs)


def _sources(
    rng: np.random.Generator, segment: HiddenSegment | Output, blobs: dict[Hash, bytes]
) -> SegmentSources:
    shape, columns = segment.parameter_shapes()
    dtype = np.int8 if segment.weight_bits == 8 else np.int16
    weights: TensorSource
    if isinstance(segment, DenseRelu) and rng.random() < 0.2:
        weights = Seeded(2, rng.bytes(32), 1 if segment.weight_bits == 8 else 2, shape, ())
    else:
        weights = _explicit(tensor_bytes(rng.integers(-3, 4, shape).astype(dtype)), blobs)
    bias = _explicit(tensor_bytes(rng.integers(-9, 9, columns).astype(np.int32)), blobs)
    return SegmentSources(weights, bias)


def _explicit(raw: bytes, blobs: dict[Hash, bytes]) -> Explicit:
    blobs[blob_id(raw)] = raw
    return Explicit(blob_id(raw))


def _ps_per_mac(found: Drawn) -> float | None:
    """Picoseconds for each charged MAC, the better of two runs; None if the network is refused or quick."""

    def score() -> None:
        part = DataPart(
            bytes(32),
            lambda: parse_part(found.raw, rows=found.rows, inputs=found.inputs, classes=found.classes),
        )
        whole = found.parameters
        network = WholeNetwork(bytes(32), whole.spec, (*whole.hidden, *whole.outputs), found.read)
        Scorer().score_network(network, part, found.classes, LossKind.SOFTMAX_CROSS_ENTROPY)

    try:
        best_s = min(seconds(score) for _ in range(2))
    except Invalid:
        return None
    return best_s / found.charged * 1e12 if best_s >= LEAST_S else None


def float32_ps_per_mac() -> float:
    """Of a plain float32 product of matrices on this machine."""
    left, right = np.ones((2_048, 784), np.float32), np.ones((784, 256), np.float32)
    best_s = min(seconds(lambda: left @ right) for _ in range(3))
    return best_s / (2_048 * 784 * 256) * 1e12
