"""A network in Python: its integers are the chain's, its files are proven, and bad input is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engram.library
from engram.library.errors import OnnxMissing, SklearnMissing
from engram.library.founding import NOBODY
from engram.library.network import Network
from engram.library.rows import CHUNK_VALUES
from engram.nn.errors import GateMisplaced, ShapeMismatch, WeightOutOfRange
from engram.nn.grown import check_grown
from engram.nn.growth import Policy, append, grown_spec
from engram.nn.logits import GATE
from engram.nn.loss import LossKind, score
from engram.nn.network import NetworkSpec, SegmentParameters, forward
from engram.nn.spec import NetworkLimits
from engram.node.errors import NotAFile
from engram.node.rpc.explain import explained
from engram.participant.agent import load_donor
from engram.participant.errors import (
    DatasetLabelOutOfRange,
    DatasetMismatch,
    FeatureOutOfRange,
    ModelFileInvalid,
    NotEnoughRows,
    WeightsMismatch,
)
from engram.participant.tables.errors import ValuesMissing
from engram.primitives.errors import ChainError
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import parameters_root
from tests.support.chain_models import founded_model, whole
from tests.support.library_networks import AUTHOR, grown, plain, saved
from tests.support.nn_samples import (
    GROWTH,
    RELATIVE,
    TWO_LAYERS,
    network_parameters,
    networks,
    random_features,
    strict_growths,
)


class Elsewhere:
    """What holds numbers that numpy cannot reach: as a sparse matrix does, or a tensor on a graphics card."""

    def __init__(self, *methods: str) -> None:
        for name in methods:
            setattr(self, name, lambda: FEATURES)

    def __array__(self, dtype: object = None, copy: object = None) -> None:
        raise TypeError("the numbers are on another device")


NETWORK = plain()
INPUTS = TWO_LAYERS.inputs
FEATURES = random_features(INPUTS, 40)


@given(networks(), st.integers(0, 2**32))
def test_it_computes_what_the_chain_computes(spec: NetworkSpec, seed: int) -> None:
    parameters = network_parameters(spec, seed, 0.1)
    network = Network(spec, parameters)
    features = random_features(spec.inputs, 9, seed)
    wanted = forward(spec, parameters, features)
    assert np.array_equal(network.logits(features), wanted)
    rows = [explained(row) for row in wanted.tolist()]
    assert network.predict(features).tolist() == [row["class"] for row in rows]
    found = network.predict_proba(features)
    assert found[np.arange(9), network.predict(features)].tolist() == [row["probability"] for row in rows]
    assert np.allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("kind", LossKind)
def test_an_evaluation_counts_what_the_chain_scores(kind: LossKind) -> None:
    labels = np.arange(40) % 3
    found = NETWORK.evaluate(FEATURES, labels, kind)
    wanted = score(kind, NETWORK.logits(FEATURES), labels)
    assert (found.loss_sum, found.correct, found.rows) == (wanted.loss, wanted.correct, wanted.rows)
    classes = NETWORK.predict(FEATURES)
    for label in range(3):
        for taken in range(3):
            assert found.confusion[label, taken] == np.count_nonzero((labels == label) & (classes == taken))
    assert found.accuracy_of(range(3)) == found.accuracy == found.correct / 40
    assert found.accuracy_of([1]) == found.recall[1]
    assert json.loads(json.dumps(found.to_json()))["recall"] == list(found.recall)


def test_an_evaluation_reads_as_a_table() -> None:
    found = NETWORK.evaluate(FEATURES, np.full(40, 2))
    assert found.recall[:2] == (None, None)
    assert found.accuracy_of([0, 1]) is None
    head, titles, *lines = str(found).splitlines()
    assert head.startswith(f"{found.correct} of 40 rows correct")
    assert titles.split()[:3] == ["class", "rows", "recall"]
    assert [line.split()[0] for line in lines] == ["2"]


def test_images_and_other_integers_are_the_same_rows() -> None:
    wanted = NETWORK.logits(FEATURES)
    for given_rows in (
        FEATURES.reshape(40, 3, 4),
        FEATURES.reshape(40, 2, 2, 3),
        FEATURES.astype(np.int64),
        FEATURES.astype(np.uint16)[:, ::-1][:, ::-1],
        FEATURES.tolist(),
    ):
        assert np.array_equal(NETWORK.logits(given_rows), wanted)


def test_many_rows_in_a_file_are_read_in_chunks(tmp_path: Path) -> None:
    rows = 2 * CHUNK_VALUES // (INPUTS + 3) + 5
    kept = np.memmap(tmp_path / "rows", dtype=np.uint8, mode="w+", shape=(rows, INPUTS))
    kept[:] = np.resize(FEATURES, (rows, INPUTS))
    found = NETWORK.predict(kept)
    assert np.array_equal(found, np.resize(NETWORK.predict(FEATURES), rows))
    evaluation = NETWORK.evaluate(kept, found)
    assert (evaluation.rows, evaluation.accuracy) == (rows, 1.0)
    kept_wide = kept.astype(np.int16)
    kept_wide[-1, 3] = 256
    with pytest.raises(FeatureOutOfRange, match=f"feature 3 of row {rows - 1}") as refusal:
        NETWORK.predict(kept_wide)
    assert refusal.value.got == 256


@pytest.mark.parametrize(
    ("rows", "error", "said"),
    [
        (FEATURES / 255, FeatureOutOfRange, "engram data convert"),
        (FEATURES.astype(np.float32), FeatureOutOfRange, "engram data convert"),
        (FEATURES > 9, FeatureOutOfRange, "uint8"),
        ([["a"] * INPUTS], FeatureOutOfRange, "uint8"),
        (FEATURES.astype(np.int64) - 1, FeatureOutOfRange, "not from 0 to 255"),
        (FEATURES[:, 1:], DatasetMismatch, "inputs"),
        (FEATURES[0], DatasetMismatch, r"X\[None\]"),
        (FEATURES.reshape(10, -1), DatasetMismatch, "inputs"),
        (np.uint8(3), DatasetMismatch, "inputs"),
        ([[1, 2], [3]], DatasetMismatch, "different lengths"),
        (np.ma.masked_array(FEATURES, mask=FEATURES > 9), ValuesMissing, "masked"),
        (Elsewhere("toarray"), DatasetMismatch, "toarray"),
        (Elsewhere("cpu"), DatasetMismatch, "on another device"),
    ],
)
def test_rows_that_do_not_fit_are_named(rows: Any, error: type[ChainError], said: str) -> None:
    for ask in (NETWORK.logits, NETWORK.predict, NETWORK.predict_proba):
        with pytest.raises(error, match=said):
            ask(rows)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (np.zeros(40), DatasetLabelOutOfRange),
        (["cat"] * 40, DatasetLabelOutOfRange),
        (np.zeros(39, int), DatasetMismatch),
        (np.zeros((40, 1), int), DatasetMismatch),
        (np.full(40, 3), DatasetMismatch),
        (np.full(40, -1), DatasetMismatch),
        (np.ma.masked_array(np.zeros(40, int), mask=[True, *[False] * 39]), ValuesMissing),
    ],
)
def test_labels_that_do_not_fit_are_named(labels: Any, error: type[ChainError]) -> None:
    with pytest.raises(error):
        NETWORK.evaluate(FEATURES, labels)


def test_no_rows() -> None:
    none = FEATURES[:0]
    assert NETWORK.predict(none).shape == (0,)
    assert NETWORK.predict_proba(none).shape == (0, 3)
    with pytest.raises(NotEnoughRows):
        NETWORK.evaluate(none, np.zeros(0, int))


def test_nothing_changes_it() -> None:
    own = network_parameters(TWO_LAYERS)
    network = Network(TWO_LAYERS, own)
    own[0].weights[:] = 0
    assert np.array_equal(network.logits(FEATURES), NETWORK.logits(FEATURES))
    with pytest.raises(ValueError, match="read-only"):
        network.parameters[0].weights[0, 0] = 1
    with pytest.raises(FrozenInstanceError):
        network.spec = TWO_LAYERS  # type: ignore[misc]


def test_numbers_that_no_chain_takes_are_refused() -> None:
    own = network_parameters(TWO_LAYERS)
    with pytest.raises(ShapeMismatch):
        Network(TWO_LAYERS, own[1:])
    low = SegmentParameters(np.full_like(own[0].weights, -128), own[0].bias)
    with pytest.raises(WeightOutOfRange):
        Network(TWO_LAYERS, (low, *own[1:]))
    lost = replace(TWO_LAYERS, outputs=(replace(TWO_LAYERS.outputs[0], layer=3),))
    with pytest.raises(ShapeMismatch):
        Network(lost, own)


def test_its_root_is_that_of_the_chain() -> None:
    sample = founded_model()
    update = whole(TWO_LAYERS, NETWORK.parameters)
    assert NETWORK.root == parameters_root(ZERO_HASH, NOBODY, update)
    (founded,) = (record for record in sample.records if hasattr(record, "added"))
    assert founded.added == update, "nothing but the author makes another root"
    network = grown()
    assert network.root == parameters_root(NETWORK.root, AUTHOR, saved().line[1].update)
    assert [list(step) for step in network.class_steps] == [[0, 1, 2], [3, 4]]
    assert [list(step) for step in NETWORK.class_steps] == [[0, 1, 2]]


@pytest.mark.parametrize("network", [NETWORK, grown(), grown(GROWTH)], ids=["plain", "gated", "grown"])
def test_it_is_read_as_it_was_saved(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    network.save(str(path))
    found = Network.load(str(path))
    assert found == network
    assert hash(found) == hash(network)
    assert found.root == network.root
    features = random_features(network.inputs, 20)
    assert np.array_equal(found.logits(features), network.logits(features))
    assert found != plain(seed=1)
    assert load_donor(path).spec == network.spec, "`engram participate --adopt` takes it"
    assert network.root.hex()[:12] in repr(found)


def test_a_network_that_cannot_be_saved_leaves_the_old_one(tmp_path: Path) -> None:
    """The weights were replaced before the file beside them was, and neither network was left."""
    path, record = tmp_path / "a.npz", tmp_path / "a.json"
    NETWORK.save(path)
    old = path.read_bytes()
    (kept := tmp_path / "kept").write_bytes(record.read_bytes())
    record.unlink()
    record.mkdir()
    with pytest.raises(NotAFile):
        plain(seed=2).save(path)
    record.rmdir()
    kept.rename(record)
    assert path.read_bytes() == old
    assert Network.load(path) == NETWORK
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.json", "a.npz"]


def test_a_damaged_archive_is_no_model(tmp_path: Path) -> None:
    """Some damages came as errors of zlib, or as the end of a file."""
    NETWORK.save(path := tmp_path / "a.npz")
    whole = path.read_bytes()
    for place in range(30, len(whole), len(whole) // 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(ModelFileInvalid, WeightsMismatch, ShapeMismatch):
            assert Network.load(path) == NETWORK
    path.write_bytes(b"")
    with pytest.raises(ModelFileInvalid):
        Network.load(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "model.npz", tmp_path / "other.npz"
    NETWORK.save(path)
    plain(seed=1).save(other)
    path.write_bytes(other.read_bytes())
    with pytest.raises(WeightsMismatch, match="hidden_0_weights"):
        Network.load(path)


def test_a_name_without_its_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileInvalid, match="npz"):
        NETWORK.save(tmp_path / "model.json")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_would_take_much_memory_is_refused_before(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    NETWORK.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["output_2_bias"] = np.zeros(2**22, np.int32)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ModelFileInvalid, match="output_2_bias would take 16,"):
        Network.load(path)


def test_a_spec_that_no_chain_holds_is_refused_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    NETWORK.save(path)
    record = path.with_suffix(".json")
    content = json.loads(record.read_text())
    content["line"][0]["update"]["spec"]["outputs"][0]["layer"] = 9
    record.write_text(json.dumps(content))
    with pytest.raises(ShapeMismatch):
        Network.load(path)


@given(st.data())
def test_what_a_relative_growth_makes_passes(data: st.DataObject) -> None:
    growth = data.draw(strict_growths(TWO_LAYERS, {0: 12, 1: 10, 2: 5}, gate=True))
    spec = append(TWO_LAYERS, growth, policy=Policy.RELATIVE, limits=NetworkLimits())
    check_grown(spec)


@pytest.mark.parametrize(
    "components",
    [(GATE, 0, 1, 2), (0, 1, GATE, 1, 2), (0, GATE, GATE, 1, 2), (0, 1, 2, GATE), (0, 2, GATE, 1)],
)
def test_gates_that_no_growth_has_put_there(components: tuple[int, ...]) -> None:
    spec = NetworkSpec(INPUTS, 3, components, TWO_LAYERS.hidden, TWO_LAYERS.outputs[:1])
    with pytest.raises(GateMisplaced):
        check_grown(spec)


def test_the_sample_of_a_growth_has_a_gate() -> None:
    assert grown_spec(TWO_LAYERS, RELATIVE).gates == 1


def test_the_import_brings_no_extra_and_no_node() -> None:
    program = "import sys, engram.library.network; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names = {name.partition(".")[0] for name in done.stdout.split()}
    assert not names & {"torch", "onnx", "onnxruntime", "sklearn", "matplotlib", "aiohttp"}
    assert "engram.node.client" not in done.stdout.split()


@pytest.mark.parametrize(
    ("library", "error", "ask"),
    [
        ("onnx", OnnxMissing, NETWORK.to_onnx),
        ("onnx", OnnxMissing, lambda: Network.from_onnx("model.onnx")),
        ("sklearn", SklearnMissing, lambda: Network.from_sklearn(object(), FEATURES)),
    ],
)
def test_a_missing_extra_is_named_with_its_remedy(
    library: str, error: type[ChainError], ask: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    for name in ("onnx_format", "onnx_graph", "onnx_logits", "sklearn_format"):
        monkeypatch.delitem(sys.modules, f"engram.library.{name}", raising=False)
        monkeypatch.delattr(engram.library, name, raising=False)
    with pytest.raises(error, match=rf'-m pip install "engram\[{library}\]"'):
        ask()
