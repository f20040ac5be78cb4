"""The network in PyTorch: its values are those of the chain, its gradients those of the numpy trainer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from engram.nn.growth import forward_frozen
from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    DenseSquare,
    HiddenSegment,
    MaxPool,
    Output,
)
from engram.nn.layers.reading import Interval
from engram.nn.logits import GATE
from engram.nn.loss import LossKind
from engram.nn.network import Parameters, SegmentParameters, forward
from engram.nn.spec import NetworkLimits, NetworkSpec, check_appended
from engram.participant.training import layers, qat

torch = pytest.importorskip("torch", reason="PyTorch is not here: `make test-torch` brings it")
network = pytest.importorskip("engram.participant.training.torch_network")

SIDE = 6
INPUTS = 2 * SIDE * SIDE
HIDDEN: dict[str, HiddenSegment] = {
    "dense_relu": DenseRelu(1, 0, INPUTS, 5, 6, 8, 8),
    "dense_square": DenseSquare(1, 0, INPUTS, 5, 5, 7, 6, 8, 8),
    "dense_root": DenseRoot(1, 0, INPUTS, 5, 8, 6, 16),
    "conv_relu": ConvRelu(1, 0, INPUTS, SIDE, SIDE, 4, 3, 2, 1, 2, 5, 8, 8),
    "conv_square": ConvSquare(1, 0, INPUTS, SIDE, SIDE, 4, 3, 1, 0, 1, 5, 7, 6, 8, 8),
    "conv_root": ConvRoot(1, 0, INPUTS, SIDE, SIDE, 2, 3, 3, 2, 1, 0, 7, 8),
    "max_pool": MaxPool(1, 0, INPUTS, SIDE, SIDE, 2, 2, 1, 3, 8, 8),
}


def of_kind(
    hidden: Sequence[HiddenSegment], components: tuple[int, ...] = (), classes: int = 3
) -> NetworkSpec:
    """The hidden segments of layer 1, and two output segments; the second reads two layers."""
    width, count = sum(segment.width for segment in hidden), len(components) or classes
    outputs = (
        Output(1, 0, width, 0, count, -2, 8),
        Output(1, 1, width, 1, 2, 1, 16, (Interval(0, 4, 30),)),
    )
    spec = NetworkSpec(INPUTS, classes, components, tuple(hidden), outputs)
    check_appended(spec, (INPUTS,), spec.hidden, spec.outputs, NetworkLimits())
    return spec


def drawn(spec: NetworkSpec, rng: np.random.Generator) -> Parameters:
    made = []
    for segment in (*spec.hidden, *spec.outputs):
        weights, bias = segment.parameter_shapes()
        low, top = (-20, 20) if segment.weight_bits == 8 else (-900, 900)
        low = 3 if isinstance(segment, MaxPool) else low
        dtype = np.int8 if segment.weight_bits == 8 else np.int16
        made.append(
            SegmentParameters(
                rng.integers(low, top + 1, weights).astype(dtype),
                rng.integers(-200, 201, bias).astype(np.int32),
            )
        )
    return tuple(made)


SPECS = {
    **{name: of_kind([segment]) for name, segment in HIDDEN.items()},
    "two_segments": of_kind(
        [HIDDEN["dense_relu"], ConvRelu(1, 0, INPUTS, SIDE, SIDE, 4, 3, 2, 1, 2, 12, 8, 16)]
    ),
    "components": of_kind([HIDDEN["dense_relu"]], (0, 1, 2, 1, 0)),
    "gates": of_kind([HIDDEN["dense_square"]], (0, 1, 0, GATE, 2, 3, GATE, 4), 5),
}


def test_every_kind_that_numpy_trains_is_there() -> None:
    assert {*network.KINDS, Output} == set(layers.KINDS)
    assert {type(segment) for segment in HIDDEN.values()} == set(network.KINDS)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_values_are_those_of_the_chain(spec: NetworkSpec) -> None:
    rng = np.random.default_rng(1)
    parameters = drawn(spec, rng)
    features = rng.integers(0, 256, (20, INPUTS)).astype(np.uint8)
    module = network.QuantizedNetwork(spec, parameters, (True,) * len(parameters))
    x = torch.from_numpy(features).float()
    values = [layer.detach().numpy() for layer in module.layers(x)]
    exact = forward_frozen(spec, parameters, features).layers
    for found, wanted in zip(values, exact, strict=True):
        assert np.array_equal(found, wanted)
    assert len(np.unique(values[1])) > 5, "the values say something"
    logits = module(x).detach().numpy() * 2**16
    assert np.allclose(logits, forward(spec, parameters, features), atol=64, rtol=1e-5)
    for given, exported in zip(parameters, module.integers(), strict=True):
        assert np.array_equal(exported.weights, given.weights)
        assert np.array_equal(exported.bias, given.bias)


@pytest.mark.parametrize("loss_kind", [LossKind.SOFTMAX_CROSS_ENTROPY, LossKind.SQUARED_ERROR])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_gradients_are_those_of_the_numpy_trainer(spec: NetworkSpec, loss_kind: LossKind) -> None:
    rng = np.random.default_rng(2)
    parameters = drawn(spec, rng)
    # All values of a row differ, so that no pooling has to choose between equal ones.
    features = np.stack([rng.permutation(256)[:INPUTS] for _ in range(16)]).astype(np.uint8)
    labels = rng.integers(0, spec.classes, 16)
    numbers = [(each.weights.astype(np.float32), each.bias.astype(np.float32)) for each in parameters]
    learns = (True,) * len(parameters)
    loss, wanted = qat.gradients_of(spec, numbers, learns, features.astype(np.float32), labels, loss_kind)
    module = network.QuantizedNetwork(spec, parameters, learns)
    logits = module(torch.from_numpy(features).float())
    found = network.loss_of_rows(logits, torch.from_numpy(labels), loss_kind) / 16
    found.backward()
    assert float(found.detach()) == pytest.approx(loss, rel=1e-4)
    for position, (weights, bias) in wanted.items():
        assert np.abs(weights).max() > 0
        close(module.weights[position].grad.numpy(), weights)
        close(module.biases[position].grad.numpy() / module.units[position], bias)


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max() + 1e-12
