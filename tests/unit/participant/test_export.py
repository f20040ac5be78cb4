"""Files for other tools: what is written is what is read, and a damaged file is named."""

import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.nn.data import PartData
from engram.nn.errors import ShapeMismatch
from engram.nn.tensor import tensor_bytes
from engram.participant.datasets import load
from engram.participant.errors import FeatureOutOfRange, ModelFileInvalid, WeightsMismatch
from engram.participant.export import load_version, load_weights, read_saved, save_parts, save_version
from engram.participant.testsets import inference
from engram.statemachine.content import blob_id
from engram.statemachine.records import Version
from tests.support.chain_models import founded_model
from tests.support.nn_samples import TWO_LAYERS, network_parameters

PARAMETERS = network_parameters(TWO_LAYERS)
(VERSION,) = (record for record in founded_model().records if isinstance(record, Version))
assert VERSION.addition is not None, "the sample brings a whole network"
LINE = (VERSION.addition,)


def test_a_version_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    assert save_version(path, VERSION, LINE, TWO_LAYERS, PARAMETERS) == tmp_path / "model.json"
    spec, parameters = load_version(path)
    assert spec == TWO_LAYERS
    for read, written in zip(parameters, PARAMETERS, strict=True):
        assert read.weights.dtype == written.weights.dtype
        assert np.array_equal(read.weights, written.weights)
        assert np.array_equal(read.bias, written.bias)
    assert (found := read_saved(path)).version == VERSION
    assert found.network.root == VERSION.root


def test_the_record_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    save_version(path, replace(VERSION, root=bytes(32)), LINE, TWO_LAYERS, PARAMETERS)
    with pytest.raises(ModelFileInvalid, match="another root"):
        read_saved(path)


def test_files_that_are_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with pytest.raises(ModelFileInvalid):
        load_version(path)
    record = save_version(path, VERSION, LINE, TWO_LAYERS, PARAMETERS)
    good = record.read_text()
    content = json.loads(good)
    line = content["line"]
    wrong: tuple[Any, ...] = [], {}, None, line * 2, [line]
    broken = [{**content, "line": other} for other in wrong]
    texts = ["", "{}", "[]", good.replace('"classes"', '"klasses"'), good[:-5], *map(json.dumps, broken)]
    for text in texts:
        record.write_text(text)
        with pytest.raises(ModelFileInvalid):
            load_version(path)
    record.write_text(good)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelFileInvalid):
        load_version(path)


def test_integers_that_do_not_fit_the_spec(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    save_version(path, VERSION, LINE, TWO_LAYERS, PARAMETERS)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["hidden_0_weights"] = arrays["hidden_0_weights"][:-1]
    np.savez(path, **arrays)
    with pytest.raises(ShapeMismatch):
        load_version(path)


def test_a_file_with_more_or_fewer_arrays_is_another_version(tmp_path: Path) -> None:
    """A grown version has all arrays of the version before, and is not taken for it."""
    path = tmp_path / "model.npz"
    save_version(path, VERSION, LINE, TWO_LAYERS, PARAMETERS)
    network = read_saved(path).network
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays, hidden_9_weights=arrays["hidden_0_weights"])
    with pytest.raises(WeightsMismatch, match="also holds hidden_9_weights"):
        load_weights(path, network)
    with pytest.raises(WeightsMismatch, match="also holds hidden_9_weights"):
        load_version(path)
    del arrays["output_0_bias"]
    np.savez(path, **arrays)
    with pytest.raises(WeightsMismatch, match="lacks output_0_bias"):
        load_weights(path, network)


def test_an_array_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """Of two arrays with one name, readers may take different ones."""
    path = tmp_path / "model.npz"
    save_version(path, VERSION, LINE, TWO_LAYERS, PARAMETERS)
    network = read_saved(path).network
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("output_0_bias.npy", archive.read("output_0_bias.npy"))
    with pytest.raises(ModelFileInvalid, match="occurs twice"):
        load_weights(path, network)


def test_no_file_is_said_to_be_safe_to_load_as_a_pickle(tmp_path: Path) -> None:
    """numpy advises to load what it cannot read with `allow_pickle`, which would run a stranger's code."""
    path = tmp_path / "model.npz"
    save_version(path, VERSION, LINE, TWO_LAYERS, PARAMETERS)
    network = read_saved(path).network
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, allow_pickle=True, **{**arrays, "output_0_bias": np.array([object()])})
    files = [path.read_bytes(), b"no archive", pickle.dumps({"a": 1}), b"", path.read_bytes()[:-40]]
    np.save(tmp_path / "one.npy", arrays["output_0_bias"])
    for content in (*files, (tmp_path / "one.npy").read_bytes()):
        path.write_bytes(content)
        for read in (lambda: load_weights(path, network), lambda: load_version(path)):
            with pytest.raises(ModelFileInvalid) as caught:
                read()
            assert "pickle" not in str(caught.value).lower()
            assert "unsafe" not in str(caught.value).lower()


def test_another_tensor_is_named_with_what_was_expected_and_found(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    save_version(path, VERSION, LINE, TWO_LAYERS, PARAMETERS)
    network = read_saved(path).network
    with np.load(path) as archive:
        arrays = dict(archive)
    other = arrays["hidden_0_bias"] + np.int32(1)
    right, wrong = (blob_id(tensor_bytes(array)) for array in (arrays["hidden_0_bias"], other))
    np.savez(path, **{**arrays, "hidden_0_bias": other})
    with pytest.raises(WeightsMismatch, match="tensor hidden_0_bias is not that of") as caught:
        load_weights(path, network)
    assert (caught.value.expected, caught.value.got) == (right, wrong)
    del arrays["hidden_0_bias"]
    np.savez(path, **arrays)
    with pytest.raises(WeightsMismatch, match=r"expected 12 tensors, got 11 tensors") as caught:
        load_weights(path, network)


def test_parts_make_one_data_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    parts = [
        (
            bytes([index]) * 32,
            PartData(rng.integers(0, 256, (rows, 3), np.uint8), np.full(rows, index, np.uint16)),
        )
        for index, rows in enumerate((2, 3))
    ]
    path = tmp_path / "parts.npz"
    assert save_parts(path, parts) == 5
    data = load(str(path))
    assert data.labels.tolist() == [0, 0, 1, 1, 1]
    assert np.array_equal(data.features, np.concatenate([part.features for _, part in parts]))
    with np.load(path) as archive:
        assert archive["part"].tolist() == [0, 0, 1, 1, 1]
        assert [bytes(row) for row in archive["commitments"]] == [name for name, _ in parts]


@pytest.mark.parametrize("rows", [[], [[]], [[1], [1, 2]], [[256]], [[-1]]])
def test_rows_that_no_model_reads(rows: list[list[int]]) -> None:
    with pytest.raises(FeatureOutOfRange):
        inference(bytes(32), None, rows)
