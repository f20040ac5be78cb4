"""A network as an ONNX model: the same integers in onnxruntime, and the same network when it is read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.library.errors import ExportMismatch, LayerUnsupported
from engram.library.network import Network
from engram.nn.growth import grown_spec
from engram.nn.layers import Interval, Output
from engram.nn.layers.reading import Reading
from engram.nn.layers.steps import Clip
from engram.nn.network import NetworkSpec
from engram.node.errors import NotAFile
from engram.participant.errors import ModelFileInvalid, WeightsMismatch
from tests.support.library_networks import grown, plain
from tests.support.nn_convolved import BRANCHED, CONVOLVED, SMALL_MAPS
from tests.support.nn_samples import (
    GROWTH,
    TWO_LAYERS,
    network_parameters,
    networks,
    random_features,
    strict_growths,
)

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

SHARES = (2.0**-14, 2.0**-6, 1.0)
"""From small weights to such as drive every sum to the end of 32 bits."""


def run(model: Any, features: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"features": features})[0]


def same(network: Network) -> None:
    features = random_features(network.inputs, 30, 7)
    found = run(network.to_onnx(), features)
    assert found.dtype == np.int64
    assert np.array_equal(found, network.logits(features))


@settings(max_examples=40)
@given(networks(), st.integers(0, 2**32), st.sampled_from(SHARES))
def test_every_kind_of_network_is_the_same(spec: NetworkSpec, seed: int, share: float) -> None:
    same(Network(spec, network_parameters(spec, seed, share)))


@settings(max_examples=12)
@given(st.data(), st.integers(0, 2**32))
def test_gates_are_the_same(data: st.DataObject, seed: int) -> None:
    spec = TWO_LAYERS
    widths = {0: 12, 1: 10, 2: 5}
    for _ in range(data.draw(st.integers(1, 3))):
        growth = data.draw(strict_growths(spec, widths, gate=True))
        spec = grown_spec(spec, growth)
        widths = dict(enumerate(spec.totals.widths))
    same(Network(spec, network_parameters(spec, seed, data.draw(st.sampled_from(SHARES)))))


@pytest.mark.parametrize(
    "network",
    [grown(), grown(GROWTH), plain(SMALL_MAPS), plain(BRANCHED, share=0.1), plain(CONVOLVED)],
    ids=["gated", "grown", "maps", "branched", "convolved"],
)
def test_it_is_read_back_as_it_was(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    network.to_onnx(path)
    found = Network.from_onnx(path)
    assert found == network
    assert found.root == network.root
    features = random_features(network.inputs, 5)
    assert np.array_equal(run(onnx.load(path), features), network.logits(features))


def test_no_rows_and_many() -> None:
    network = plain(BRANCHED, share=0.1)
    model = network.to_onnx()
    for rows in (0, 1, 257):
        features = random_features(network.inputs, rows)
        assert np.array_equal(run(model, features), network.logits(features))


def test_the_graph_holds_no_float() -> None:
    model = onnx.shape_inference.infer_shapes(grown().to_onnx())
    kinds = {each.type.tensor_type.elem_type for each in model.graph.value_info}
    kinds |= {each.data_type for each in model.graph.initializer}
    names = {onnx.TensorProto.DataType.Name(kind) for kind in kinds}
    assert names <= {"INT8", "INT16", "INT32", "INT64", "UINT8", "BOOL"}


def test_a_changed_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = plain().to_onnx()
    (bias,) = (each for each in model.graph.initializer if each.name == "hidden_0_bias")
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] += 1
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, path)
    with pytest.raises(WeightsMismatch, match="hidden_0_bias"):
        Network.from_onnx(path)


def test_a_changed_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = plain().to_onnx()
    chosen = next(node for node in model.graph.node if node.op_type == "Add")
    chosen.op_type = "Sub"
    onnx.save(model, path)
    with pytest.raises(ExportMismatch) as refusal:
        Network.from_onnx(path)
    assert "logit" in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"no model at all", b"PK\x03\x04"])
def test_a_file_that_is_no_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(ModelFileInvalid):
        Network.from_onnx(path)
    path.write_bytes(content)
    with pytest.raises(ModelFileInvalid, match=r"model\.onnx"):
        Network.from_onnx(path)
    with pytest.raises(NotAFile):
        Network.from_onnx(tmp_path)


def test_a_model_that_names_other_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(plain().to_onnx(), path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(ModelFileInvalid, match="regular file"):
        Network.from_onnx(path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileInvalid, match="other files"):
        Network.from_onnx(path)


def test_a_line_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for line in ("", "{}", "[]", "[1]", "[" * 10_000):
        model = plain().to_onnx()
        model.metadata_props[0].value = line
        onnx.save(model, path)
        with pytest.raises(ModelFileInvalid, match="changed"):
            Network.from_onnx(path)


@dataclass(frozen=True)
class Scaled(Reading):
    """A layer of a later chain: h = clip(x·w + b, 0, 255), with one weight for all."""

    layer: int
    lo: int
    hi: int
    weight_bits: int = 8
    bits: int = 8
    more: tuple[Interval, ...] = ()

    @property
    def reads(self) -> int:
        return self.layer - 1

    @property
    def width(self) -> int:
        return self.hi - self.lo

    def check(self) -> None:
        self.check_intervals()

    def parameter_shapes(self) -> tuple[Any, Any]:
        return (1,), (1,)

    def macs_per_row(self) -> int:
        return self.width

    def reach(self, weights: Any, bias: Any, x_max: int) -> int:
        return int(abs(weights.astype(int)).max()) * x_max + int(abs(bias.astype(int)).max())

    def accumulate(self, x: Any, weights: Any, bias: Any, out: Any = None) -> Any:
        return x * weights + bias

    def steps(self) -> tuple[Clip, ...]:
        return (Clip(0, 255),)


def test_a_layer_that_nobody_has_told_it_of_is_named() -> None:
    layer: Any = Scaled(1, 0, 4)
    spec = NetworkSpec(4, 2, (), (layer,), (Output(1, 0, 4, 0, 2, 0, 8),))
    network = Network(spec, network_parameters(spec))
    with pytest.raises(LayerUnsupported, match="hidden_0 is a Scaled"):
        network.to_onnx()
