"""Networks as PyTorch modules of integers, and PyTorch modules of floats as networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.library.errors import LayerUnsupported
from engram.library.network import Network
from engram.nn.growth import grown_spec
from engram.nn.network import NetworkSpec
from engram.participant.datasets import load_digits
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

torch = pytest.importorskip("torch", reason="PyTorch is not here: `make test-torch` brings it")
nn, functional = torch.nn, torch.nn.functional
Base: Any = torch.nn.Module

DIGITS = load_digits().take(np.arange(600))
X, Y = DIGITS.features, DIGITS.labels
IMAGES = X.reshape(-1, 8, 8)


def same(network: Network) -> None:
    features = random_features(network.inputs, 30, 7)
    found = network.to_torch()(torch.from_numpy(features))
    assert found.dtype == torch.int64
    assert np.array_equal(found.numpy(), network.logits(features))


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(0, 2**32), st.sampled_from((2.0**-14, 2.0**-6, 1.0)))
def test_every_kind_of_network_is_the_same(spec: NetworkSpec, seed: int, share: float) -> None:
    same(Network(spec, network_parameters(spec, seed, share)))


@settings(max_examples=12, deadline=None)
@given(st.data(), st.integers(0, 2**32), st.sampled_from((2.0**-14, 2.0**-6, 1.0)))
def test_gates_are_the_same(data: st.DataObject, seed: int, share: float) -> None:
    spec = TWO_LAYERS
    for _ in range(data.draw(st.integers(1, 3))):
        widths = dict(enumerate(spec.totals.widths))
        spec = grown_spec(spec, data.draw(strict_growths(spec, widths, gate=True)))
    same(Network(spec, network_parameters(spec, seed, share)))


@pytest.mark.parametrize(
    "network",
    [grown(), grown(GROWTH), plain(SMALL_MAPS), plain(BRANCHED, share=0.1), plain(CONVOLVED)],
    ids=["gated", "grown", "maps", "branched", "convolved"],
)
def test_it_is_kept_and_moved_as_a_module(network: Network) -> None:
    same(network)
    module = network.to_torch()
    assert list(module.parameters()) == []
    assert not any(each.is_floating_point() for each in module.buffers())
    other = network.to_torch()
    for buffer in other.buffers():
        buffer.zero_()
    other.load_state_dict(module.state_dict())
    features = torch.from_numpy(random_features(network.inputs, 8))
    assert torch.equal(other(features), module(features))
    assert module(features[:0]).shape == (0, network.classes)


def trained(module: Any, rows: Any, labels: Any = Y, steps: int = 60) -> Any:
    torch.manual_seed(1)
    for layer in module.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    x, y = torch.from_numpy(rows.astype(np.float32)), torch.from_numpy(labels.astype(np.int64))
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return module


class Functions(Base):  # type: ignore[misc]
    """As people write it, with functions between the layers and a pooling before a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, groups=2)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(8, 10)

    def forward(self, x: Any) -> Any:
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = torch.relu(self.conv2(x))
        return functional.log_softmax(self.out(self.drop(x.view(x.size(0), -1))), dim=1)


def test_dense_layers_become_integers() -> None:
    module = trained(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), X / 16)
    network, fidelity = Network.from_torch(module, X, scale=1 / 16)
    with torch.no_grad():
        wanted = module(torch.from_numpy(X.astype(np.float32) / 16))
    assert fidelity.agreement > 0.99
    assert fidelity.agreeing == int((network.predict(X) == wanted.argmax(dim=1).numpy()).sum())
    assert np.allclose(network.predict_proba(X), wanted.softmax(dim=1).numpy(), atol=0.05)
    assert fidelity.labels == tuple(range(10))


@pytest.mark.parametrize(
    "module",
    [
        Functions(),
        nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(36, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.BatchNorm1d(16),
            nn.Linear(16, 10),
        ),
    ],
    ids=["functions", "normalised"],
)
def test_images_become_integers(module: Any) -> None:
    trained(module, IMAGES[:, None] / 16)
    network, fidelity = Network.from_torch(module, IMAGES, scale=1 / 16)
    assert fidelity.agreement > 0.98, fidelity
    assert fidelity.mean_difference < 0.01
    assert module.training, "the module itself is left as it was"
    assert np.array_equal(network.predict(IMAGES), network.predict(X))
    deep = Network.from_torch(module, IMAGES[:, None], scale=1 / 16).network
    assert deep == network


def test_two_classes_with_one_logit() -> None:
    module = nn.Sequential(nn.Linear(64, 1), nn.Sigmoid())
    with torch.no_grad():
        module[0].weight[:] = torch.linspace(-0.5, 0.5, 64)
    network, fidelity = Network.from_torch(module, X, scale=1 / 16)
    assert (network.classes, fidelity.labels) == (2, (0, 1))
    assert fidelity.largest_difference < 0.01


class Skips(Base):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        return self.out(torch.relu(self.first(x)) + x)


class Branches(Base):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        return self.out(x) if x.sum() > 0 else self.out(-x)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Skips(), "add"),
        (Branches(), "depends on its values"),
        (nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)), "Tanh"),
        (nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 10)), "no ReLU"),
        (nn.Sequential(nn.Linear(64, 10), nn.ReLU()), "without ReLU"),
        (nn.Sequential(nn.Softmax(1), nn.Linear(64, 10)), "only stands at the end"),
        (nn.Sequential(nn.Linear(63, 10)), "does not fit what it reads"),
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 10)), "needs maps"),
    ],
)
def test_what_no_chain_expresses_is_named(module: Any, said: str) -> None:
    with pytest.raises(LayerUnsupported) as refusal:
        Network.from_torch(module, X)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Conv2d(1, 2, (3, 1)), "not square"),
        (nn.Conv2d(1, 2, 3, dilation=2), "dilated"),
        (nn.Conv2d(1, 2, 3, padding="same"), "padding as a number"),
        (nn.Conv2d(1, 2, 3, stride=(1, 2)), "different ways"),
        (nn.Conv2d(1, 2, 1, stride=2), "stride or a padding"),
        (nn.MaxPool2d(2, ceil_mode=True), "rounds sizes up"),
        (nn.BatchNorm2d(1, track_running_stats=False), "each batch"),
    ],
)
def test_maps_that_no_chain_has_are_named(layer: Any, said: str) -> None:
    with pytest.raises(LayerUnsupported) as refusal:
        Network.from_torch(nn.Sequential(layer, nn.Flatten(), nn.Linear(9, 2)), IMAGES)
    assert said in str(refusal.value)
