"""`engram model evaluate --file` and `export`: a version in a file, without any node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engram.library.network import Network
from tests.support.cli import Shell
from tests.support.library_networks import grown
from tests.support.nn_samples import random_features

NETWORK = grown()
FEATURES = random_features(NETWORK.inputs, 40)
LABELS = np.arange(40) % 5


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A user who has no node, with a network and rows in files."""
    NETWORK.save(tmp_path / "model.npz")
    np.savez(tmp_path / "rows.npz", features=FEATURES, labels=LABELS.astype(np.uint16))
    return Shell(tmp_path / "data", {"ENGRAM_RPC": "http://127.0.0.1:1"})


def test_a_file_is_evaluated_as_the_library_does(shell: Shell, tmp_path: Path) -> None:
    asked = ("model", "evaluate", "--file", str(tmp_path / "model.npz"), "--data", str(tmp_path / "rows.npz"))
    found, wanted = shell.json(*asked), NETWORK.evaluate(FEATURES, LABELS)
    assert {name: found[name] for name in wanted.to_json()} == wanted.to_json()
    assert (found["root"], found["model"], found["version"]) == (NETWORK.root.hex(), None, None)
    old, new = found["steps"]
    assert (old["step"], old["first_class"], old["classes"], old["rows"]) == ("founded", 0, 3, 24)
    assert (new["step"], new["first_class"], new["classes"], new["rows"]) == ("growth 1", 3, 2, 16)
    assert (old["accuracy"], new["accuracy"]) == (wanted.accuracy_of(range(3)), wanted.accuracy_of([3, 4]))
    text = shell.text(*asked)
    assert f"{100 * wanted.accuracy:.2f} %" in text
    assert {"0-2", "founded", "3-4", "recall"} <= set(text.split())
    part = shell.json(*asked, "--take-classes", "1,3")
    assert part["support"] == [0, 8, 0, 8, 0]
    assert part["recall"][0] is None


def test_what_makes_no_sense_is_refused(shell: Shell, tmp_path: Path) -> None:
    file, rows = str(tmp_path / "model.npz"), str(tmp_path / "rows.npz")
    asked = ("model", "evaluate", "--file", file, "--data")
    assert shell.error("model", "evaluate", "3fa2", "--file", file, "--data", rows) == (64, "usage")
    assert shell.error(*asked, rows, "--version", "1") == (64, "usage")
    assert shell.error(*asked, rows, "--first-class", "3") == (65, "dataset_mismatch")
    assert shell.error(*asked, "digits") == (65, "dataset_mismatch")
    assert shell.error("model", "evaluate", "--file", rows, "--data", rows) == (65, "model_file_invalid")


def test_an_export_is_the_same_network(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    file, made = str(tmp_path / "model.npz"), tmp_path / "model.onnx"
    result = shell.json("model", "export", file, "--onnx", str(made))
    assert (result["root"], result["size_bytes"]) == (NETWORK.root.hex(), made.stat().st_size)
    assert Network.from_onnx(made) == NETWORK
    assert shell.error("model", "export", file, "--onnx", str(made)) == (65, "file_exists_already")
    assert "inputs" in shell.text("model", "export", file, "--onnx", str(made), "--force")
