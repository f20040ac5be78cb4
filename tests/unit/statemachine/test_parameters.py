"""Sources of parameters, what a network that somebody brings must be like, and loading it from records."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from engram.nn.dtypes import INT8
from engram.nn.growth import grown_spec
from engram.nn.seeded import Seeded
from engram.nn.tensor import Explicit, tensor_bytes
from engram.nn.totals import tensor_bytes_of
from engram.primitives.errors import Invalid
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine import errors
from engram.statemachine.additions import GrowUpdate, TrainUpdate, explicit_tensors, parameters_root
from engram.statemachine.loading import open_growth, open_network, version_network
from engram.statemachine.parameters import GrownNetwork, WholeNetwork
from engram.statemachine.record import TensorSource, u32
from engram.statemachine.records import Version
from tests.support import chain_models as models
from tests.support.ledger import Ledger
from tests.support.nn_samples import (
    GROWTH,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
)

RAW = models.raw_part()
WHOLE = models.whole(TWO_LAYERS, network_parameters(TWO_LAYERS))
ADDED = growth_parameters(TWO_LAYERS, GROWTH)
_SOURCES = models.sources(ADDED)
GROWN = GrowUpdate(GROWTH, _SOURCES[: len(GROWTH.hidden)], _SOURCES[len(GROWTH.hidden) :])


@pytest.fixture
def ledger() -> Ledger:
    return models.model_ledger(RAW)


def opened(ledger: Ledger, update: TrainUpdate) -> WholeNetwork:
    """The network of a TRAIN update of the model's founder, whose tensors the chain has."""
    return open_network(ledger.state, ledger.ctx, parameters_root(ZERO_HASH, models.FOUNDER, update), update)


def first_weights(weights: TensorSource) -> TrainUpdate:
    """The sample's network, with other weights in its first segment."""
    return replace(WHOLE, hidden=(replace(WHOLE.hidden[0], weights=weights), *WHOLE.hidden[1:]))


def test_a_version_loads_its_tensors(ledger: Ledger) -> None:
    version = ledger.state.get(Version, models.MODEL_ID, u32(0))
    network = version_network(ledger.state, ledger.ctx, version)
    parameters, bounds = network.load()
    assert network.root == version.root
    for got, wanted in zip(parameters, network_parameters(TWO_LAYERS), strict=True):
        np.testing.assert_array_equal(got.weights, wanted.weights)
        np.testing.assert_array_equal(got.bias, wanted.bias)
    assert network.load() == (parameters, bounds)


def test_a_seeded_tensor_needs_no_bytes(ledger: Ledger) -> None:
    network = opened(ledger, first_weights(Seeded(1, ZERO_HASH, INT8, (12, 6))))
    assert not network.load()[0][0].weights.any()


@pytest.mark.parametrize("shape", [(6, 12), (12,), (2**32 - 1, 2**32 - 1)])
def test_a_seeded_tensor_of_another_shape_is_never_made(ledger: Ledger, shape: tuple[int, ...]) -> None:
    with pytest.raises(Invalid) as caught:
        opened(ledger, first_weights(Seeded(1, ZERO_HASH, INT8, shape)))
    assert caught.value.code == "shape_mismatch"


def test_a_spec_of_huge_dimensions_is_refused_by_name(ledger: Ledger) -> None:
    with pytest.raises(Invalid) as caught:
        opened(ledger, replace(WHOLE, spec=replace(TWO_LAYERS, inputs=2**32 - 1)))
    assert caught.value.code == "dimension_out_of_range"


def test_a_tensor_of_another_size_is_refused_before_it_is_read(ledger: Ledger) -> None:
    ledger.blobs.clear()
    with pytest.raises(Invalid) as caught:
        opened(ledger, first_weights(WHOLE.hidden[1].weights))
    assert caught.value.code == "shape_mismatch"


@pytest.mark.parametrize(
    "update",
    [
        replace(WHOLE, hidden=WHOLE.hidden[:2]),
        replace(WHOLE, outputs=WHOLE.outputs[:2]),
        replace(WHOLE, hidden=(*WHOLE.hidden, WHOLE.outputs[0]), outputs=WHOLE.outputs[1:]),
    ],
)
def test_segments_and_sources_that_differ_in_number(ledger: Ledger, update: TrainUpdate) -> None:
    with pytest.raises(Invalid) as caught:
        opened(ledger, update)
    assert caught.value.code == "shape_mismatch"


def test_a_tensor_that_the_chain_does_not_know(ledger: Ledger) -> None:
    with pytest.raises(errors.UnknownBlob):
        opened(ledger, first_weights(Explicit(b"\x01" * 32)))


def grown(ledger: Ledger, update: GrowUpdate, brought: Mapping[Hash, bytes]) -> GrownNetwork:
    """The network of a growth of the sample."""
    base = opened(ledger, WHOLE)
    root = parameters_root(base.root, models.FOUNDER, update)
    return open_growth(ledger.state, ledger.ctx, root, base, update, brought)


@pytest.mark.parametrize(
    "update",
    [
        replace(GROWN, hidden=GROWN.hidden[:2]),
        replace(GROWN, outputs=GROWN.outputs[:1]),
        replace(GROWN, hidden=(*GROWN.hidden, GROWN.outputs[0]), outputs=GROWN.outputs[1:]),
        replace(GROWN, outputs=(GROWN.outputs[1], GROWN.outputs[0])),
    ],
)
def test_a_growth_brings_two_tensors_of_the_right_size_for_each_segment(
    ledger: Ledger, update: GrowUpdate
) -> None:
    with pytest.raises(Invalid) as caught:
        grown(ledger, update, models.tensor_blobs(ADDED))
    assert caught.value.code == "shape_mismatch"


def test_a_growth_reads_nothing_of_the_network_below_until_it_is_loaded(ledger: Ledger) -> None:
    ledger.blobs.clear()
    top = grown(ledger, GROWN, models.tensor_blobs(ADDED))
    for got, wanted in zip(top.load_growth(), ADDED, strict=True):
        np.testing.assert_array_equal(got.weights, wanted.weights)
    with pytest.raises(errors.MissingBlob):
        top.load()


def test_what_a_record_holds_references_to() -> None:
    segments = (*WHOLE.hidden, *WHOLE.outputs)
    tensors = explicit_tensors(segments)
    assert len(tensors) == 2 * len(segments)
    seeded = replace(segments[0], weights=Seeded(1, ZERO_HASH, INT8, (12, 6)))
    assert explicit_tensors([seeded]) == tensors[1:2]


def test_parameter_bytes_are_those_of_the_tensors() -> None:
    numbers = network_parameters(TWO_LAYERS)
    tensors = [array for segment in numbers for array in (segment.weights, segment.bias)]
    assert TWO_LAYERS.totals.parameter_bytes == sum(len(tensor_bytes(array)) for array in tensors)


def test_bytes_of_a_growth_are_those_of_the_new_tensors() -> None:
    tensors = [array for segment in ADDED for array in (segment.weights, segment.bias)]
    size = sum(len(tensor_bytes(array)) for array in tensors)
    assert sum(map(tensor_bytes_of, (*GROWTH.hidden, *GROWTH.outputs))) == size
    before, after = (spec.totals.parameter_bytes for spec in (TWO_LAYERS, grown_spec(TWO_LAYERS, GROWTH)))
    assert after == before + size
