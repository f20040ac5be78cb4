"""Growth changes nothing that exists, and costs nothing but what is new: bit for bit, for random growths."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.engine import FAST, REFERENCE
from engram.nn.growth import (
    Growth,
    Policy,
    adopt,
    append,
    forward_frozen,
    forward_growth,
    merge_parameters,
    null_growth_logits,
    prove_growth,
)
from engram.nn.layers import Output
from engram.nn.network import NetworkSpec, forward
from engram.nn.parameters import Bounds, prove_bounds
from engram.nn.spec import component_count, layer_widths, macs_per_row
from engram.primitives.codec import decode, encode
from tests.support.nn_samples import (
    LIMITS,
    growth_parameters,
    network_parameters,
    networks,
    random_features,
    strict_growths,
)

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def grown_networks(draw: st.DrawFn) -> tuple[NetworkSpec, Growth]:
    spec = draw(networks())
    return spec, draw(strict_growths(spec, dict(enumerate(layer_widths(spec)))))


@given(grown_networks(), SEEDS)
def test_new_segments_alone_give_the_full_forward_pass(pair: tuple[NetworkSpec, Growth], seed: int) -> None:
    spec, growth = pair
    grown = append(spec, growth, policy=Policy.STRICT, limits=LIMITS)
    old, new = network_parameters(spec, seed), growth_parameters(spec, growth, seed + 1)
    whole = merge_parameters(spec, old, growth, new)
    features = random_features(spec.inputs, 6, seed)
    full = forward(grown, whole, features)
    for engine in (FAST, REFERENCE):
        frozen = forward_frozen(spec, old, features, engine=engine)
        assert np.array_equal(forward_growth(spec, frozen, growth, new, engine=engine), full)


@given(grown_networks(), SEEDS)
def test_strict_growth_keeps_every_old_logit(pair: tuple[NetworkSpec, Growth], seed: int) -> None:
    spec, growth = pair
    grown = append(spec, growth, policy=Policy.STRICT, limits=LIMITS)
    old, new = network_parameters(spec, seed), growth_parameters(spec, growth, seed + 1)
    features = random_features(spec.inputs, 6, seed)
    before = forward(spec, old, features)
    after = forward(grown, merge_parameters(spec, old, growth, new), features)
    assert np.array_equal(after[:, : spec.classes], before)


@given(grown_networks(), SEEDS)
def test_old_and_new_bounds_are_the_bounds_of_the_whole(pair: tuple[NetworkSpec, Growth], seed: int) -> None:
    spec, growth = pair
    grown = append(spec, growth, policy=Policy.STRICT, limits=LIMITS)
    old, new = network_parameters(spec, seed), growth_parameters(spec, growth, seed + 1)
    mine, theirs = prove_bounds(spec, old), prove_growth(spec, growth, new)
    whole = prove_bounds(grown, merge_parameters(spec, old, growth, new))
    assert whole == Bounds(mine.hidden + theirs.hidden, mine.outputs + theirs.outputs)


@given(grown_networks(), SEEDS)
def test_a_growth_of_silent_outputs_is_the_null_growth(pair: tuple[NetworkSpec, Growth], seed: int) -> None:
    spec, growth = pair
    old, features = network_parameters(spec, seed), random_features(spec.inputs, 4, seed)
    first = component_count(spec)
    silent = Growth(growth.classes, (), (Output(0, 0, spec.inputs, first, 1, 0, 8),), growth.components)
    zero = growth_parameters(spec, silent, seed, share=0.0)
    after = forward_growth(spec, forward_frozen(spec, old, features), silent, zero)
    assert np.array_equal(after, null_growth_logits(forward(spec, old, features), growth.classes))


@st.composite
def hosts_and_donors(draw: st.DrawFn) -> tuple[NetworkSpec, NetworkSpec]:
    host = draw(networks())
    return host, draw(networks(inputs=host.inputs))


@given(hosts_and_donors(), SEEDS)
def test_an_adopted_donor_gives_its_own_logits(pair: tuple[NetworkSpec, NetworkSpec], seed: int) -> None:
    host, donor = pair
    growth = adopt(host, donor, new_classes=donor.classes)
    grown = append(host, growth, policy=Policy.STRICT, limits=LIMITS)
    mine, theirs = network_parameters(host, seed), network_parameters(donor, seed + 1)
    features = random_features(host.inputs, 5, seed)
    after = forward(grown, merge_parameters(host, mine, growth, theirs), features)
    assert np.array_equal(after[:, : host.classes], forward(host, mine, features))
    assert np.array_equal(after[:, host.classes :], forward(donor, theirs, features))
    assert macs_per_row(grown) == macs_per_row(host) + macs_per_row(donor)


@given(grown_networks())
def test_a_growth_survives_bytes(pair: tuple[NetworkSpec, Growth]) -> None:
    assert decode(Growth, encode(pair[1])) == pair[1]
