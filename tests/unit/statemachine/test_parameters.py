"""Sources of parameters, the root that names them, and loading them from records."""

from dataclasses import replace

import numpy as np
import pytest

from engram.nn.data import part_commitment
from engram.nn.dtypes import INT8
from engram.nn.growth import grown_spec
from engram.nn.seeded import Seeded
from engram.nn.tensor import Explicit, tensor_bytes
from engram.primitives.errors import Invalid
from engram.primitives.types import ZERO_HASH
from engram.statemachine import errors
from engram.statemachine.additions import explicit_tensors, parameters_root
from engram.statemachine.loading import open_network, version_network
from engram.statemachine.parameters import growth_between, growth_bytes, parameter_bytes
from engram.statemachine.record import Lineage, u32
from engram.statemachine.records import Version
from tests.support import chain_models as models
from tests.support.ledger import Ledger, key
from tests.support.nn_samples import (
    GROWTH,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
)

ALICE = key(1)
RAW = models.raw_part()
PART = part_commitment(models.SALT, RAW)


@pytest.fixture
def ledger() -> Ledger:
    return models.model_ledger(RAW)


def test_the_root_names_every_source_and_the_spec() -> None:
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    hidden, outputs = lineages[:3], lineages[3:]
    root = parameters_root(TWO_LAYERS, hidden, outputs)
    other = Explicit(b"\x01" * 32)
    changed = [
        parameters_root(TWO_LAYERS, (replace(hidden[0], weights=other), *hidden[1:]), outputs),
        parameters_root(TWO_LAYERS, (replace(hidden[0], bias=other), *hidden[1:]), outputs),
        parameters_root(TWO_LAYERS, hidden, (*outputs[:2], replace(outputs[2], bias=other))),
        parameters_root(replace(TWO_LAYERS, components=()), hidden, outputs),
    ]
    assert len({root, *changed}) == 5


def test_the_root_does_not_name_authors_and_versions() -> None:
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    others = tuple(replace(segment, version=9, author=b"\x09" * 20) for segment in lineages)
    roots = {parameters_root(TWO_LAYERS, segments[:3], segments[3:]) for segments in (lineages, others)}
    assert len(roots) == 1


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
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    zeros = Seeded(1, ZERO_HASH, INT8, (12, 6))
    hidden = (Lineage(zeros, lineages[0].bias, 0, models.FOUNDER), *lineages[1:3])
    network = open_network(ledger.state, ledger.ctx, TWO_LAYERS, hidden, lineages[3:])
    assert not network.load()[0][0].weights.any()


@pytest.mark.parametrize("shape", [(6, 12), (12,), (2**32 - 1, 2**32 - 1)])
def test_a_seeded_tensor_of_another_shape_is_never_made(ledger: Ledger, shape: tuple[int, ...]) -> None:
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    seeded = Seeded(1, ZERO_HASH, INT8, shape)
    hidden = (Lineage(seeded, lineages[0].bias, 0, models.FOUNDER), *lineages[1:3])
    with pytest.raises(Invalid) as caught:
        open_network(ledger.state, ledger.ctx, TWO_LAYERS, hidden, lineages[3:])
    assert caught.value.code == "shape_mismatch"


def test_a_spec_of_huge_dimensions_is_refused_by_name(ledger: Ledger) -> None:
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    huge = replace(TWO_LAYERS, inputs=2**32 - 1)
    with pytest.raises(Invalid) as caught:
        open_network(ledger.state, ledger.ctx, huge, lineages[:3], lineages[3:])
    assert caught.value.code == "dimension_out_of_range"


def test_a_tensor_of_another_size_is_refused_before_it_is_read(ledger: Ledger) -> None:
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    ledger.blobs.clear()
    hidden = (replace(lineages[0], weights=lineages[1].weights), *lineages[1:3])
    with pytest.raises(Invalid) as caught:
        open_network(ledger.state, ledger.ctx, TWO_LAYERS, hidden, lineages[3:])
    assert caught.value.code == "shape_mismatch"


def test_a_segment_without_tensors(ledger: Ledger) -> None:
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    with pytest.raises(Invalid) as caught:
        open_network(ledger.state, ledger.ctx, TWO_LAYERS, lineages[:2], lineages[3:])
    assert caught.value.code == "shape_mismatch"


def test_a_tensor_that_the_chain_does_not_know(ledger: Ledger) -> None:
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    hidden = (replace(lineages[0], weights=Explicit(b"\x01" * 32)), *lineages[1:3])
    with pytest.raises(errors.UnknownBlob):
        open_network(ledger.state, ledger.ctx, TWO_LAYERS, hidden, lineages[3:])


def test_what_a_record_holds_references_to() -> None:
    lineages = models.lineages(network_parameters(TWO_LAYERS))
    tensors = explicit_tensors(lineages)
    assert len(tensors) == 2 * len(lineages)
    seeded = replace(lineages[0], weights=Seeded(1, ZERO_HASH, INT8, (12, 6)))
    assert explicit_tensors([seeded]) == tensors[1:2]


def test_parameter_bytes_are_those_of_the_tensors() -> None:
    parameters = network_parameters(TWO_LAYERS)
    tensors = [array for segment in parameters for array in (segment.weights, segment.bias)]
    assert parameter_bytes(TWO_LAYERS) == sum(len(tensor_bytes(array)) for array in tensors)


def test_growth_bytes_are_those_of_the_new_tensors() -> None:
    added = growth_parameters(TWO_LAYERS, GROWTH)
    tensors = [array for segment in added for array in (segment.weights, segment.bias)]
    assert growth_bytes(TWO_LAYERS, GROWTH) == sum(len(tensor_bytes(array)) for array in tensors)


def test_the_growth_between_two_specs() -> None:
    assert growth_between(TWO_LAYERS, grown_spec(TWO_LAYERS, GROWTH)) == GROWTH
    with pytest.raises(AssertionError):
        growth_between(grown_spec(TWO_LAYERS, GROWTH), TWO_LAYERS)
