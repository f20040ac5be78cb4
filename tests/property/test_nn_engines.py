"""Every engine gives the integers of the plain-Python oracle, for random and for extreme networks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn import evaluate
from engram.nn.engine import FAST, REFERENCE
from engram.nn.network import NetworkSpec, SegmentParameters, forward
from engram.nn.parameters import prove_bounds
from engram.nn.spec import check_spec
from engram.primitives.codec import decode, encode, from_json, to_json
from tests.support import nn_reference
from tests.support.faults import plays
from tests.support.nn_samples import LIMITS, network_parameters, networks, random_features

SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from((1.0, 2.0**-5, 2.0**-7, 2.0**-12, 2.0**-18))


@plays(28, share=0.3)
@given(networks(), SEEDS, SHARES)
def test_engines_agree_with_the_oracle(spec: NetworkSpec, seed: int, share: float) -> None:
    check_spec(spec, LIMITS)
    parameters = network_parameters(spec, seed, share)
    features = random_features(spec.inputs, 5, seed)
    expected = [nn_reference.row_logits(spec, parameters, row) for row in features.tolist()]
    for engine in (FAST, REFERENCE):
        assert forward(spec, parameters, features, engine=engine).tolist() == expected


@plays(28, share=0.4)
@given(networks(), SEEDS)
def test_engines_agree_on_extreme_weights(spec: NetworkSpec, seed: int) -> None:
    """Signs at random, magnitudes at the limit of what the bounds allow."""
    parameters = tuple(
        SegmentParameters(
            (np.sign(given.weights) * np.abs(given.weights).max()).astype(given.weights.dtype), given.bias
        )
        for given in network_parameters(spec, seed, 1.0)
    )
    features = np.where(random_features(spec.inputs, 6, seed) < 128, 0, 255).astype(np.uint8)
    fast = forward(spec, parameters, features)
    assert fast.tolist() == [nn_reference.row_logits(spec, parameters, row) for row in features.tolist()]
    assert np.array_equal(fast, forward(spec, parameters, features, engine=REFERENCE))


@plays(28, share=0.3)
@given(networks(), SEEDS)
def test_no_accumulator_leaves_its_proved_bound(spec: NetworkSpec, seed: int) -> None:
    parameters = network_parameters(spec, seed, 2.0**-4)
    bounds = prove_bounds(spec, parameters)
    features = np.where(random_features(spec.inputs, 4, seed) < 128, 0, 255).astype(np.uint8)
    first = [
        (b, p, peak)
        for b, p, peak in zip(spec.hidden, parameters, bounds.hidden, strict=False)
        if b.layer == 1
    ]
    for segment, given_, peak in first:
        for row in features.tolist():
            assert (
                max(
                    map(
                        abs,
                        nn_reference.accumulators(segment, given_, nn_reference.operands_of(segment, [row])),
                    )
                )
                <= peak
            )


@given(networks(), SEEDS, st.integers(1, 7))
def test_the_size_of_a_chunk_does_not_matter(spec: NetworkSpec, seed: int, rows: int) -> None:
    parameters, features = network_parameters(spec, seed), random_features(spec.inputs, 9, seed)
    whole = forward(spec, parameters, features)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "chunk_rows", lambda neurons, components: rows)
        assert np.array_equal(forward(spec, parameters, features), whole)
    one_by_one = [forward(spec, parameters, features[at : at + 1]) for at in range(len(features))]
    assert np.array_equal(np.concatenate(one_by_one), whole)


@given(networks())
def test_a_spec_survives_bytes_and_json(spec: NetworkSpec) -> None:
    assert decode(NetworkSpec, encode(spec)) == spec
    assert from_json(NetworkSpec, to_json(spec)) == spec
