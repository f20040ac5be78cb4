"""The scorer: no cache and no engine changes a score; what a score costs."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import pytest

from engram.nn.data import PartData, parse_part, part_commitment
from engram.nn.dtypes import INT8, INT16, IntArray
from engram.nn.engine import REFERENCE, Frozen
from engram.nn.errors import UnknownGenerator
from engram.nn.growth import (
    forward_frozen,
    forward_growth,
    grown_spec,
    growth_chunk_rows,
    growth_macs_per_row,
    merge_parameters,
)
from engram.nn.loss import LossKind, RowScores
from engram.nn.network import NetworkSpec, Parameters
from engram.nn.seeded import Seeded, expand
from engram.nn.spec import call_macs, chunk_rows, component_count, logit_macs, macs_per_row, setup_macs
from engram.nn.tensor import Explicit
from engram.nn.totals import tensor_bytes_of
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import GrowUpdate, SegmentSources, TrainUpdate, parameters_root
from engram.statemachine.content import blob_id
from engram.statemachine.errors import MissingBlob
from engram.statemachine.loading import open_growth, open_network
from engram.statemachine.parameters import Composition, GrownNetwork, WholeNetwork
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import (
    DataPart,
    LoadedNetwork,
    Scorer,
    activations_key,
    growth_macs,
    loading_macs,
    network_macs,
    score_key,
)
from tests.support import chain_models as models
from tests.support.ledger import Blobs, Ledger, key
from tests.support.nn_samples import (
    GROWTH,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
    random_features,
)

ALICE = key(1)
RAW = models.raw_part()
PART = part_commitment(models.SALT, RAW)


@pytest.fixture
def ledger() -> Ledger:
    return models.model_ledger(RAW)


class Remembering:
    """A cache that keeps everything and counts what it was asked."""

    def __init__(self) -> None:
        self.scores: dict[Hash, RowScores] = {}
        self.activations: dict[Hash, Frozen] = {}
        self.parameters: dict[Hash, LoadedNetwork] = {}
        self.expansions: dict[Hash, IntArray] = {}

    def get(self, key: Hash) -> RowScores | None:
        return self.scores.get(key)

    def put(self, key: Hash, scores: RowScores) -> None:
        self.scores[key] = scores

    def once(self, key: Hash) -> AbstractContextManager[object]:
        return nullcontext()

    def get_activations(self, key: Hash) -> Frozen | None:
        return self.activations.get(key)

    def put_activations(self, key: Hash, activations: Frozen) -> None:
        self.activations[key] = activations

    def get_composition(self, root: Hash) -> Composition | None:
        return None

    def put_composition(self, composition: Composition) -> None:
        return None

    def get_network(self, root: Hash) -> LoadedNetwork | None:
        return self.parameters.get(root)

    def put_network(self, root: Hash, loaded: LoadedNetwork) -> None:
        self.parameters[root] = loaded

    def get_expansion(self, key: Hash) -> IntArray | None:
        return self.expansions.get(key)

    def put_expansion(self, key: Hash, array: IntArray) -> None:
        self.expansions[key] = array


def network_of(parameters: Parameters, spec: NetworkSpec = TWO_LAYERS) -> WholeNetwork:
    ledger, update = models.model_ledger(RAW), models.whole(spec, parameters)
    root = parameters_root(ZERO_HASH, models.FOUNDER, update)
    return open_network(ledger.state, ledger.ctx, root, update, models.tensor_blobs(parameters))


def part_of(raw: bytes = RAW, classes: int = 3) -> DataPart:
    rows = int.from_bytes(raw[:4], "little")
    return DataPart(blob_id(raw), lambda: parse_part(raw, rows=rows, inputs=12, classes=classes))


ADDED = growth_parameters(TWO_LAYERS, GROWTH)


def growth_on(base: WholeNetwork) -> GrownNetwork:
    """`GROWTH` with the numbers of `ADDED`, on top of a network."""
    ledger, sources, split = models.model_ledger(RAW), models.sources(ADDED), len(GROWTH.hidden)
    update = GrowUpdate(GROWTH, sources[:split], sources[split:])
    root = parameters_root(base.root, models.FOUNDER, update)
    return open_growth(ledger.state, ledger.ctx, root, base, update, models.tensor_blobs(ADDED))


def grown() -> tuple[WholeNetwork, GrownNetwork, WholeNetwork]:
    """A network, a growth on top of it, and the same numbers in one whole network."""
    numbers = network_parameters(TWO_LAYERS)
    merged = merge_parameters(TWO_LAYERS, numbers, GROWTH, ADDED)
    base = network_of(numbers)
    return base, growth_on(base), network_of(merged, grown_spec(TWO_LAYERS, GROWTH))


def test_the_score_is_that_of_a_forward_pass() -> None:
    network = network_of(network_parameters(TWO_LAYERS))
    assert (
        Scorer().score_network(network, part_of(), 3, LossKind.SOFTMAX_CROSS_ENTROPY)
        == models.expected_score()
    )


def test_the_score_is_the_sum_of_its_rows() -> None:
    rows = RowScores(np.array([2**28, 2**28, 5], np.int32), np.array([True, False, True]))
    assert (rows.total.loss, rows.total.correct, rows.total.rows) == (2**29 + 5, 2, 3)
    assert rows.size_bytes == 3 * 4 + 3


def test_a_row_of_a_class_that_is_not_asked_for_is_wrong() -> None:
    """Scored for its own two classes only, a network has no loss on rows of a third, and is not right."""
    network, part = network_of(network_parameters(TWO_LAYERS)), part_of(models.raw_part(classes=5), 5)
    few = Scorer().network_rows(network, part, 3, LossKind.SOFTMAX_CROSS_ENTROPY)
    many = Scorer().network_rows(network, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY)
    labels = part.load().labels
    assert few.losses.shape == many.losses.shape == labels.shape
    strange = labels >= 3
    assert strange.any(), "the part holds rows of classes that the network lacks"
    assert not few.right[strange].any()


def test_classes_that_a_network_lacks_have_logit_zero() -> None:
    network = network_of(network_parameters(TWO_LAYERS))
    assert Scorer().score_network(
        network, part_of(classes=5), 5, LossKind.SOFTMAX_CROSS_ENTROPY
    ) == models.expected_score(5)
    assert models.expected_score(5).loss > models.expected_score(3).loss


def test_a_growth_scores_as_the_whole_network_does() -> None:
    _, top, whole = grown()
    full = Scorer().score_network(whole, part_of(classes=5), 5, LossKind.SOFTMAX_CROSS_ENTROPY)
    assert Scorer().score_growth(top, part_of(classes=5), 5, LossKind.SOFTMAX_CROSS_ENTROPY) == full
    assert Scorer().score_network(top, part_of(classes=5), 5, LossKind.SOFTMAX_CROSS_ENTROPY) == full


@pytest.mark.parametrize("keep", [False, True])
def test_no_cache_and_no_engine_changes_a_score(keep: bool) -> None:
    base, top, _ = grown()
    cache = Remembering()
    plain, cached, slow = Scorer(), Scorer(cache), Scorer(engine=REFERENCE)
    part = part_of(classes=5)
    first = (
        plain.score_network(base, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY),
        plain.score_growth(top, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY),
    )
    for scorer in (cached, cached, slow):
        alone = scorer.score_network(base, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY, keep=keep)
        again = alone, scorer.score_growth(top, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY)
        assert again == first


def test_a_warm_growth_reads_neither_the_base_nor_its_tensors() -> None:
    base, top, whole = grown()
    cache = Remembering()
    scorer, part = Scorer(cache), part_of(classes=5)
    scorer.score_network(base, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY, keep=True)
    assert set(cache.activations) == {activations_key(base.root, part.id)}
    assert set(cache.parameters) == {base.root}
    cache.parameters.clear()
    pruned = Blobs()
    unread = WholeNetwork(
        base.root, base.spec, models.sources(network_parameters(TWO_LAYERS)), pruned.get_blob
    )
    with pytest.raises(MissingBlob):
        unread.load()
    full = Scorer().score_network(whole, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY)
    assert scorer.score_growth(growth_on(unread), part, 5, LossKind.SOFTMAX_CROSS_ENTROPY) == full
    assert scorer.score_growth(top, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY) == full


def test_without_a_cache_one_part_still_serves_many_growths() -> None:
    base, top, whole = grown()
    part, scorer = part_of(classes=5), Scorer()
    scorer.score_network(base, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY, keep=True)
    assert set(part.activations) == {base.root}
    first = part.activations[base.root]
    assert scorer.score_growth(top, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY) == scorer.score_network(
        whole, part, 5, LossKind.SOFTMAX_CROSS_ENTROPY
    )
    assert part.activations == {base.root: first}


def test_a_known_score_reads_nothing() -> None:
    base, _, _ = grown()
    cache = Remembering()
    first = Scorer(cache).score_network(base, part_of(), 3, LossKind.SOFTMAX_CROSS_ENTROPY)

    def unread() -> PartData:
        raise AssertionError("read")

    assert (
        Scorer(cache).score_network(base, DataPart(blob_id(RAW), unread), 3, LossKind.SOFTMAX_CROSS_ENTROPY)
        == first
    )


def test_numbers_that_are_remembered_are_read_once_for_all_parts() -> None:
    base, top, _ = grown()
    cache, kind = Remembering(), LossKind.SOFTMAX_CROSS_ENTROPY
    Scorer(cache).score_network(base, part_of(), 3, kind)
    unread = WholeNetwork(base.root, base.spec, (), Blobs().get_blob)
    other = models.raw_part(seed=6)
    expected = Scorer().score_network(base, part_of(other), 3, kind)
    assert Scorer(cache).score_network(unread, part_of(other), 3, kind) == expected
    Scorer(cache).score_network(top, part_of(classes=5), 5, kind)
    assert set(cache.parameters) == {base.root}, "those of a proposal are not kept"


def test_keys_name_everything_that_a_score_depends_on() -> None:
    one, two = b"\x01" * 32, b"\x02" * 32
    keys = [
        score_key(one, two, 3, LossKind.SOFTMAX_CROSS_ENTROPY),
        score_key(two, one, 3, LossKind.SOFTMAX_CROSS_ENTROPY),
        score_key(one, two, 4, LossKind.SOFTMAX_CROSS_ENTROPY),
        score_key(one, two, 3, LossKind.SQUARED_ERROR),
        activations_key(one, two),
    ]
    assert len(set(keys)) == len(keys)


def test_the_frozen_logits_stay_the_same_integers() -> None:
    base, top, _ = grown()
    features = random_features(12, 20)
    old = Scorer().logits(base, features)
    parameters, _ = base.load()
    frozen = forward_frozen(TWO_LAYERS, parameters, features)
    new = forward_growth(TWO_LAYERS, frozen, GROWTH, top.load_growth())
    np.testing.assert_array_equal(new[:, :3], old)


def test_the_whole_of_a_growth_has_the_numbers_and_bounds_of_one_network() -> None:
    _, top, whole = grown()
    (parameters, bounds), (numbers, proved) = top.load(), whole.load()
    assert (top.spec, bounds) == (whole.spec, proved)
    for got, wanted in zip(parameters, numbers, strict=True):
        np.testing.assert_array_equal(got.weights, wanted.weights)
        np.testing.assert_array_equal(got.bias, wanted.bias)


PLAIN = TrainUpdate(TWO_LAYERS, (), ())
"""As if all tensors were explicit."""


def test_the_charge_follows_declared_shapes() -> None:
    rules, loaded = Rules(), TWO_LAYERS.totals.parameter_bytes
    assert loading_macs(rules, PLAIN) == 128 * loaded + setup_macs(6, 6)
    whole = network_macs(rules, PLAIN, 20)
    chunk = chunk_rows(12 + 10 + 5, component_count(TWO_LAYERS))
    work = 20 * macs_per_row(TWO_LAYERS) + call_macs(6, 20, chunk)
    assert whole == work + 128 * len(RAW) + loading_macs(rules, PLAIN)
    assert network_macs(rules, PLAIN, 20, 5) == whole + 20 * logit_macs(2, 2)
    assert network_macs(rules, PLAIN, 20, 2) == whole


def test_a_growth_is_charged_for_itself() -> None:
    rules, segments = Rules(), (*GROWTH.hidden, *GROWTH.outputs)
    loaded, count = sum(map(tensor_bytes_of, segments)), len(segments)
    work = 20 * growth_macs_per_row(TWO_LAYERS, GROWTH)
    work += call_macs(count, 20, growth_chunk_rows(TWO_LAYERS, GROWTH))
    assert growth_macs(rules, TWO_LAYERS, GROWTH, (), 20) == work + 128 * loaded + setup_macs(count, count)


def test_seeded_tensors_are_charged_for_being_made() -> None:
    rules, explicit = Rules(), Explicit(bytes(32))
    ternary = SegmentSources(Seeded(2, bytes(32), INT8, (12, 6)), explicit)
    zeros = SegmentSources(Seeded(1, bytes(32), INT8, (12, 6)), explicit)
    drawn = 2**21 + 12 * 6 * 56 - 128 * (10 + 12 * 6)  # it is drawn and not read
    seeded = TrainUpdate(TWO_LAYERS, (ternary, zeros), ())
    assert loading_macs(rules, seeded) == loading_macs(rules, PLAIN) + drawn
    assert network_macs(rules, seeded, 20) == network_macs(rules, PLAIN, 20) + drawn
    assert TrainUpdate(TWO_LAYERS, (ternary, zeros), ()).drawn_bytes == 10 + 12 * 6
    plain = growth_macs(rules, TWO_LAYERS, GROWTH, (), 20)
    assert growth_macs(rules, TWO_LAYERS, GROWTH, (ternary,), 20) == plain + drawn


def test_a_drawn_tensor_is_kept_and_changes_no_number() -> None:
    cache = Remembering()
    scorer, drawn = Scorer(cache), Seeded(2, bytes(32), INT8, (12, 6))
    first = scorer.expand(drawn)
    assert scorer.expand(drawn) is first
    assert np.array_equal(first, expand(drawn))
    assert not np.array_equal(scorer.expand(replace(drawn, seed=b"1" * 32)), first)
    assert scorer.expand(replace(drawn, dtype=INT16)).dtype == np.int16
    kept = len(cache.expansions)
    scorer.expand(Seeded(1, bytes(32), INT8, (12, 6)))
    assert len(cache.expansions) == kept == 3, "zeros cost nothing, so they push nothing out"


def test_networks_of_the_chain_take_drawn_tensors_from_the_cache(ledger: Ledger) -> None:
    cache = Remembering()
    drawn = Seeded(2, bytes(32), INT8, (12, 6))
    whole = models.whole(TWO_LAYERS, network_parameters(TWO_LAYERS))
    seeded = replace(whole, hidden=(replace(whole.hidden[0], weights=drawn), *whole.hidden[1:]))
    ctx = replace(ledger.ctx, scorer=Scorer(cache))
    brought = models.tensor_blobs(network_parameters(TWO_LAYERS))
    loaded = [
        open_network(ledger.state, ctx, bytes([rival]) * 32, seeded, brought).load()[0] for rival in (1, 2)
    ]
    assert loaded[0][0].weights is loaded[1][0].weights is next(iter(cache.expansions.values()))


def test_a_seeded_tensor_that_nobody_can_make_has_no_price() -> None:
    unknown = SegmentSources(Seeded(99, bytes(32), INT8, (12, 6)), Explicit(bytes(32)))
    with pytest.raises(UnknownGenerator):
        network_macs(Rules(), TrainUpdate(TWO_LAYERS, (unknown,), ()), 20)
