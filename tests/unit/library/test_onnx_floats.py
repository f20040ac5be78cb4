"""Models of floats in ONNX as networks: dense layers, convolutions and what stands between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.library.errors import LayerUnsupported
from engram.library.network import Network
from engram.participant.datasets import load_digits
from tests.support.library_networks import plain

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

X = load_digits().features[:300]
IMAGES = X.reshape(-1, 1, 8, 8)
Layer = tuple[str, list[Any], dict[str, Any]]
RNG = np.random.default_rng(4)


def drawn(*shape: int) -> Any:
    return (RNG.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)


def model(
    path: Path, shape: tuple[int, ...], *layers: tuple[Any, ...], kind: int = TensorProto.FLOAT
) -> Path:
    """A model of layers (operator, constants, settings), each of which reads the one before."""
    nodes, constants, now, kind = [], [], "x", TensorProto.FLOAT
    for number, (operator, values, settings) in enumerate(layers):
        names = [f"c{number}_{place}" for place in range(len(values))]
        constants += [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(names, values, strict=True)]
        nodes.append(helper.make_node(operator, [now, *names], [f"v{number}"], **settings))
        now = f"v{number}"
    graph = helper.make_graph(
        nodes,
        "floats",
        [helper.make_tensor_value_info("x", kind, ["rows", *shape])],
        [helper.make_tensor_value_info(now, kind, ["rows", "classes"])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path)
    return path


def answers(path: Path, rows: Any) -> Any:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": rows.astype(np.float32)})[0]


MLP: tuple[Layer, ...] = (
    ("Div", [np.float32(16)], {}),
    ("MatMul", [drawn(64, 32)], {}),
    ("Add", [drawn(32)], {}),
    ("Relu", [], {}),
    ("Gemm", [drawn(5, 32), drawn(5)], {"transB": 1}),
    ("Softmax", [], {"axis": 1}),
)
CONVOLVED: tuple[Layer, ...] = (
    ("Conv", [drawn(4, 1, 3, 3), drawn(4)], {"pads": [1, 1, 1, 1]}),
    (
        "BatchNormalization",
        [np.abs(drawn(4)) + 0.5, drawn(4), drawn(4), np.abs(drawn(4)) + 1],
        {"epsilon": 1e-3},
    ),
    ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("Relu", [], {}),
    ("Conv", [drawn(6, 2, 2, 2)], {"group": 2, "kernel_shape": [2, 2]}),
    ("Add", [drawn(1, 6, 1, 1)], {}),
    ("Relu", [], {}),
    ("Reshape", [np.array([-1, 54])], {}),
    ("Gemm", [drawn(54, 3), drawn(3)], {"alpha": 0.5}),
)


def test_dense_layers(tmp_path: Path) -> None:
    path = model(tmp_path / "mlp.onnx", (64,), *MLP)
    network, fidelity = Network.from_onnx(path, X)
    wanted = answers(path, X)
    assert fidelity.largest_difference == pytest.approx(
        np.abs(network.predict_proba(X) - wanted).max(), abs=1e-6
    )
    assert fidelity.largest_difference < 0.01
    assert fidelity.agreeing == np.count_nonzero(network.predict(X) == wanted.argmax(axis=1)) > 290


def test_convolutions(tmp_path: Path) -> None:
    path = model(tmp_path / "maps.onnx", (1, 8, 8), *CONVOLVED)
    network, fidelity = Network.from_onnx(path, IMAGES, scale=1 / 16)
    wanted = answers(path, IMAGES / 16)
    assert [type(each).__name__ for each in network.spec.hidden] == ["ConvRelu", "MaxPool", "ConvRelu"]
    assert fidelity.largest_difference < 0.01
    assert np.mean(network.predict(IMAGES) == wanted.argmax(axis=1)) == fidelity.agreement > 0.96
    assert np.abs(network.logits(X) / 2**16 - wanted).max() < 0.02, "logits are nats"


def test_two_classes_with_one_logit(tmp_path: Path) -> None:
    layers: tuple[Layer, ...] = (("Gemm", [drawn(64, 1), drawn(1)], {}), ("Sigmoid", [], {}))
    path = model(tmp_path / "one.onnx", (64,), *layers)
    network, fidelity = Network.from_onnx(path, X, scale=1 / 16)
    assert fidelity.largest_difference < 0.01
    assert np.array_equal(network.predict(X), answers(path, X / 16)[:, 0] > 0.5)


@pytest.mark.parametrize(
    ("shape", "layers", "said"),
    [
        ((64,), (("Tanh", [], {}),), "Tanh"),
        ((64,), (("Softmax", [], {}), *MLP), "only stands at the end"),
        ((64,), MLP[1:3], None),
        ((64,), (*MLP[1:3], MLP[4]), "no ReLU"),
        ((1, 8, 8), (("Conv", [drawn(2, 1, 3, 3)], {"auto_pad": "SAME_UPPER"}),), "pads by itself"),
        ((1, 8, 8), (("Conv", [drawn(2, 1, 3, 3)], {"strides": [1, 2]}),), "different ways"),
        ((1, 8, 8), (("Reshape", [np.array([-1, 8, 8])], {}),), "another shape"),
        ((8, 8), (), "no fixed size"),
        ((64,), (("Gemm", [drawn(63, 4)], {}),), "does not fit"),
    ],
)
def test_what_no_chain_expresses_is_named(
    shape: tuple[int, ...], layers: tuple[Any, ...], said: str | None, tmp_path: Path
) -> None:
    path = model(tmp_path / "model.onnx", shape, *(layers or (("Relu", [], {}),)))
    if said is None:
        assert Network.from_onnx(path, X).network.spec.hidden == ()
        return
    with pytest.raises(LayerUnsupported) as refusal:
        Network.from_onnx(path, X.reshape(-1, *shape))
    assert said in str(refusal.value)


def test_a_skip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "skip.onnx"
    found = onnx.load(model(path, (64,), *MLP[1:4], ("Add", [drawn(32)], {})))
    found.graph.node[3].input[1] = "v0"
    onnx.save(found, path)
    with pytest.raises(LayerUnsupported, match="does not read the value before it alone"):
        Network.from_onnx(path, X)


def test_what_it_has_written_itself_is_no_model_of_floats(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    plain().to_onnx(path)
    with pytest.raises(LayerUnsupported, match="no floats"):
        Network.from_onnx(path, X[:, :12])
