"""Runs of segments are evaluated as one segment, with the same integers, and what they cost follows."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn import evaluate
from engram.nn.engine import FAST, REFERENCE
from engram.nn.growth import Growth, Policy, append, forward_frozen, forward_growth, growth_chunk_rows
from engram.nn.layers import DenseRelu, DenseSquare, Output
from engram.nn.layers.joining import runs
from engram.nn.network import NetworkSpec, forward
from engram.nn.parameters import Parameters
from engram.nn.spec import check_spec, layer_widths
from engram.nn.totals import Totals
from tests.support.nn_reference import row_logits
from tests.support.nn_samples import (
    LIMITS,
    growth_parameters,
    network_parameters,
    random_features,
    random_parameters,
)

SEEDS = st.integers(0, 2**32 - 1)
INPUTS, CLASSES = 5, 3
SHAPES: tuple[DenseRelu | DenseSquare, ...] = (
    DenseRelu(1, 0, INPUTS, 1, 4, 8, 8),
    DenseRelu(1, 0, INPUTS, 1, 3, 8, 8),
    DenseRelu(1, 1, INPUTS, 1, 4, 8, 16),
    DenseSquare(1, 0, INPUTS, 1, 4, 6, 2, 8, 8),
)


@st.composite
def long_lines(draw: st.DrawFn) -> tuple[NetworkSpec, tuple[Growth, ...]]:
    """A network of one segment, and growths by neurons of few shapes: many of them form runs."""
    spec = NetworkSpec(INPUTS, CLASSES, (), (), (Output(0, 0, INPUTS, 0, CLASSES, 0, 8),))
    growths: list[Growth] = []
    for _ in range(draw(st.integers(1, 12))):
        made = dict(enumerate(layer_widths(spec)))
        shape = draw(st.sampled_from(SHAPES))
        width = draw(st.integers(1, 3))
        first = made.get(1, 0)
        shift, lo = draw(st.sampled_from([-2, 0, 2])), draw(st.integers(0, width - 1))
        output = Output(1, first + lo, first + width, 0, CLASSES, shift, 8)
        growth = Growth(0, (replace(shape, width=width),), (output,), ())
        growths.append(growth)
        spec = append(spec, growth, policy=Policy.GATED, limits=LIMITS)
    return spec, tuple(growths)


@given(long_lines(), SEEDS)
def test_runs_give_the_integers_of_their_segments(
    line: tuple[NetworkSpec, tuple[Growth, ...]], seed: int
) -> None:
    spec, _ = line
    parameters, features = network_parameters(spec, seed), random_features(INPUTS, 7, seed)
    found = forward(spec, parameters, features)
    assert found.tolist() == [row_logits(spec, parameters, row) for row in features.tolist()]
    assert np.array_equal(found, forward(spec, parameters, features, engine=REFERENCE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "runs", lambda segments: [(segment,) for segment in segments])
        assert np.array_equal(found, forward(spec, parameters, features))


@given(long_lines())
def test_totals_grow_by_what_is_appended(line: tuple[NetworkSpec, tuple[Growth, ...]]) -> None:
    spec, _ = line
    assert spec.totals == Totals.of(spec.inputs, spec.hidden, spec.outputs)
    assert spec.totals.runs == len(runs(spec.hidden)) + len(runs(spec.outputs))
    check_spec(spec, LIMITS)


@given(long_lines(), SEEDS)
def test_a_growth_of_a_long_line_runs_on_what_is_kept(
    line: tuple[NetworkSpec, tuple[Growth, ...]], seed: int
) -> None:
    spec, _ = line
    growth = Growth(
        1,
        (DenseRelu(1, 0, INPUTS, 2, 4, 8, 8),),
        (Output(1, layer_widths(spec)[1] - 1, layer_widths(spec)[1] + 2, CLASSES, 1, 0, 8),),
        (),
    )
    grown = append(spec, growth, policy=Policy.STRICT, limits=LIMITS)
    old: Parameters = network_parameters(spec, seed)
    new = growth_parameters(spec, growth, seed + 1)
    whole = (*old[: len(spec.hidden)], *new[:1], *old[len(spec.hidden) :], *new[1:])
    features = random_features(INPUTS, 7, seed)
    for engine in (FAST, REFERENCE):
        frozen = forward_frozen(spec, old, features, engine=engine)
        found = forward_growth(spec, frozen, growth, new, engine=engine)
        assert np.array_equal(found, forward(grown, whole, features))


def test_a_run_of_outputs_may_add_up_beyond_32_bits() -> None:
    count = 300
    hidden = tuple(DenseRelu(1, 0, 1, 1, 0, 16, 16) for _ in range(count))
    outputs = tuple(Output(1, at, at + 1, 0, 1, 0, 16) for at in range(count))
    spec = NetworkSpec(1, 1, (), hidden, outputs)
    check_spec(spec, LIMITS)
    assert [len(run) for run in (*runs(hidden), *runs(outputs))] == [count, count]
    parameters = random_parameters(spec, spec.hidden + spec.outputs, np.random.default_rng(1))
    weights = [replace(given, weights=np.full_like(given.weights, 32_767)) for given in parameters]
    numbers = tuple(replace(given, bias=np.full_like(given.bias, 2**30 - 1)) for given in weights[:count])
    numbers += tuple(replace(given, bias=np.full_like(given.bias, -5)) for given in weights[count:])
    features = np.array([[255], [0], [1]], dtype=np.uint8)
    found = forward(spec, numbers, features)
    assert found.tolist() == [row_logits(spec, numbers, row) for row in features.tolist()]


def test_segments_that_round_or_read_elsewhere_form_no_run() -> None:
    output = Output(1, 0, 2, 0, 3, 0, 8)
    following = replace(output, lo=2, hi=5)
    rounding = replace(output, shift=1)
    apart = [
        (rounding, replace(rounding, lo=2, hi=5)),
        (output, replace(following, lo=3)),
        (output, replace(following, first=1)),
        (output, replace(following, width=2)),
        (output, replace(following, weight_bits=16)),
        (output, replace(following, shift=-1)),
    ]
    assert [len(runs(pair)) for pair in apart] == [2] * len(apart)
    assert len(runs((output, following))) == 1


def test_a_growth_takes_no_more_room_on_a_long_network() -> None:
    growth = Growth(0, (DenseRelu(1, 0, 4, 16, 4, 8, 8),), (), ())
    chunks = []
    for width in (16, 60_000):
        spec = NetworkSpec(4, 2, (), (DenseRelu(1, 0, 4, width, 4, 8, 8),), (Output(1, 0, 16, 0, 2, 0, 8),))
        reads = Output(1, width, width + 16, 0, 2, 0, 8)
        chunks.append(growth_chunk_rows(spec, replace(growth, outputs=(reads,))))
    assert all(before == after for before, after in pairwise(chunks))
