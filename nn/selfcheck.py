"""Whether an engine computes exactly on this machine: a few small networks, against the reference.

A node asks this of an engine before it trusts it, at every start. It checks the machine rather than the code:
a linear algebra library that computes in a narrower type than it was asked for, drops bits, or lets a sum of
products run into the end of a type must cost the node its engine, never its chain.

The networks are small, and made for what can go wrong: sums that climb to the limit of float32 and to the
largest peak and fall again, products of the largest neighbours, every kind of segment with narrow and wide
weights and values, maps with padding, strides and groups, gates, and a growth on kept values. Their numbers
follow from their indices, so they are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np

from engram.nn.engine import REFERENCE, Engine, NumpyEngine
from engram.nn.evaluate import Features, unstarted
from engram.nn.fixed import INT32_MAX
from engram.nn.gemm import FLOAT32_LIMIT
from engram.nn.growth import Growth, grown_spec, prove_growth
from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    DenseSquare,
    HiddenSegment,
    Interval,
    MaxPool,
    Output,
)
from engram.nn.logits import GATE
from engram.nn.loss import LossKind, Measure, score_rows
from engram.nn.parameters import Parameters, SegmentParameters, prove_bounds
from engram.nn.spec import NetworkSpec

ROWS: Final = 67
"""Rows of each network: more than a card takes as its fewest, and not a multiple of anything."""

COLUMNS: Final = 16
"""Columns of the products whose sums climb, four of each course."""


@dataclass(frozen=True)
class _Case:
    """A network and rows, and what may be appended to it."""

    what: str
    spec: NetworkSpec
    parameters: Parameters
    features: Features
    growth: Growth | None = None
    added: Parameters = ()


def first_wrong(engine: Engine) -> str | None:
    """Names the first check in which the engine differs from the reference by any bit; None if none does."""
    for case in _cases():
        if not _agrees(engine, case):
            return case.what
    return None


def is_exact(engine: Engine) -> bool:
    """Whether the engine agrees with the reference in every check of this module."""
    return first_wrong(engine) is None


def _agrees(engine: Engine, case: _Case) -> bool:
    """Logits, losses of every kind, kept values, and a growth on these."""
    bounds = prove_bounds(case.spec, case.parameters)
    peaks, start = (*bounds.hidden, *bounds.outputs), unstarted(case.spec, case.features)
    network = (case.spec, case.parameters, peaks)
    kept, right = engine.keep(*network, start), REFERENCE.keep(*network, start).on_host()
    mine = kept.on_host()
    if not all(map(np.array_equal, (*mine.layers, mine.sums), (*right.layers, right.sums))):
        return False
    if isinstance(engine, NumpyEngine):
        return True  # what makes logits and losses of these values is the reference's own code
    logits = REFERENCE.logits(case.spec, (), (), right)
    if not np.array_equal(engine.logits(*network, start), logits):
        return False
    labels = (np.arange(ROWS) % (case.spec.classes + 1)).astype(np.uint16)
    for kind in LossKind:
        measure = Measure(kind, labels, case.spec.classes + 1)
        found, wanted = engine.scores(*network, start, measure), score_rows(measure, logits)
        if not all(map(np.array_equal, (found.losses, found.right), (wanted.losses, wanted.right))):
            return False
    if case.growth is None:
        return True
    proved = prove_growth(case.spec, case.growth, case.added)
    grown = (grown_spec(case.spec, case.growth), case.added, (*proved.hidden, *proved.outputs))
    return np.array_equal(engine.logits(*grown, kept), REFERENCE.logits(*grown, right))


def _cases() -> Iterator[_Case]:
    yield _climbing("sums to the limit of float32", 127, FLOAT32_LIMIT - 1)
    yield _climbing("sums to the largest peak", 32_767, INT32_MAX)
    yield _small("layers of every dense kind", _DENSE, _DENSE_GROWTH)
    yield _small("layers of every kind that reads maps", _MAPS, None)


def _climbing(what: str, weight: int, peak: int) -> _Case:
    """One product whose partial sums climb to the odd `peak` and fall again."""
    count = 2 * (peak // (2 * 255 * weight))
    bits = 8 if weight < 128 else 16
    segment = Output(layer=0, lo=0, hi=count, first=0, width=COLUMNS, shift=0, weight_bits=bits)
    weights = np.full((count, COLUMNS), weight, dtype=np.int8 if bits == 8 else np.int16)
    weights[:, 1::2] = -weight
    weights[count // 2 :, 2::4] = -weight
    bias = np.full(COLUMNS, peak - 255 * weight * count, dtype=np.int32)
    bias[1::2] *= -1
    features = np.full((ROWS, count), 255, dtype=np.uint8)
    features[1::2, ::3] = 254
    spec = NetworkSpec(count, COLUMNS, (), (), (segment,))
    return _Case(what, spec, (SegmentParameters(weights, bias),), features)


def _small(what: str, spec: NetworkSpec, growth: Growth | None) -> _Case:
    values = (np.arange(ROWS * spec.inputs, dtype=np.int64) * 7_919 % 509).clip(0, 255)
    features = values.astype(np.uint8).reshape(ROWS, spec.inputs)
    features[0], features[1] = 0, 255
    added: Parameters = ()
    if growth is not None:
        added = tuple(map(_numbers, chain(growth.hidden, growth.outputs)))
    return _Case(what, spec, tuple(map(_numbers, chain(spec.hidden, spec.outputs))), features, growth, added)


def _numbers(segment: HiddenSegment | Output) -> SegmentParameters:
    """Weights over the whole range of their type, the extremes among them, and biases of a usual size."""
    shape, columns = segment.parameter_shapes()
    limit = (1 << segment.weight_bits - 1) - 1
    size, width = int(np.prod(shape)), int(np.prod(columns))
    spread = np.arange(size, dtype=np.int64) * 104_729 % (2 * limit + 1) - limit
    weights = np.where(np.arange(size) % 5 == 0, spread, np.clip(spread * 3, -limit, limit))
    bias = np.arange(width, dtype=np.int64) * 7_001 % 4_001 - 2_000
    return SegmentParameters(
        weights.reshape(shape).astype(f"int{segment.weight_bits}"), bias.astype(np.int32).reshape(columns)
    )


_DENSE: Final = NetworkSpec(
    inputs=40,
    classes=3,
    components=(0, 1, 2, 1),
    hidden=(
        DenseRelu(layer=1, lo=0, hi=40, width=17, shift=9, bits=8, weight_bits=8),
        DenseRelu(layer=1, lo=0, hi=40, width=8, shift=9, bits=8, weight_bits=8),
        DenseSquare(layer=1, lo=3, hi=33, width=9, s1=15, h=9, s2=6, bits=10, weight_bits=16),
        DenseRelu(layer=1, lo=5, hi=6, width=7, shift=6, bits=8, weight_bits=8),
        DenseRoot(layer=1, lo=1, hi=40, width=6, shift=4, bits=8, weight_bits=8),
        DenseRelu(layer=2, lo=2, hi=34, width=20, shift=13, bits=16, weight_bits=16),
        DenseRelu(layer=3, lo=0, hi=20, width=33, shift=12, bits=8, weight_bits=8, more=(Interval(0, 0, 7),)),
    ),
    outputs=(
        Output(layer=3, lo=0, hi=33, first=0, width=4, shift=-2, weight_bits=8),
        Output(layer=1, lo=1, hi=30, first=1, width=2, shift=3, weight_bits=16),
        Output(layer=0, lo=0, hi=20, first=3, width=1, shift=0, weight_bits=16),
        Output(layer=0, lo=20, hi=40, first=3, width=1, shift=0, weight_bits=16),
    ),
)
_DENSE_GROWTH: Final = Growth(
    classes=2,
    hidden=(
        DenseRelu(layer=1, lo=0, hi=40, width=11, shift=8, bits=8, weight_bits=8),
        DenseSquare(layer=2, lo=25, hi=58, width=5, s1=9, h=8, s2=5, bits=8, weight_bits=8),
        DenseRelu(layer=3, lo=0, hi=25, width=4, shift=9, bits=8, weight_bits=8),
    ),
    outputs=(
        Output(layer=1, lo=0, hi=58, first=4, width=3, shift=1, weight_bits=8),
        Output(layer=3, lo=20, hi=37, first=5, width=1, shift=0, weight_bits=8),
    ),
    components=(GATE, 3, 4),
)
_MAPS: Final = NetworkSpec(
    inputs=128,
    classes=2,
    components=(),
    hidden=(
        ConvRelu(
            1,
            0,
            128,
            8,
            8,
            channels=6,
            kernel=3,
            stride=1,
            padding=1,
            groups=1,
            shift=8,
            bits=8,
            weight_bits=8,
        ),
        ConvSquare(
            1,
            0,
            128,
            8,
            8,
            channels=4,
            kernel=2,
            stride=2,
            padding=0,
            groups=2,
            s1=12,
            h=7,
            s2=6,
            bits=8,
            weight_bits=16,
        ),
        ConvRoot(
            2,
            0,
            384,
            8,
            8,
            channels=6,
            kernel=3,
            stride=2,
            padding=1,
            groups=6,
            shift=3,
            bits=8,
            weight_bits=8,
        ),
        MaxPool(2, 0, 384, 8, 8, kernel=3, stride=2, padding=1, shift=6, bits=9, weight_bits=8),
    ),
    outputs=(
        Output(layer=2, lo=0, hi=192, first=0, width=2, shift=2, weight_bits=8),
        Output(layer=1, lo=384, hi=448, first=0, width=2, shift=2, weight_bits=8),
    ),
)
