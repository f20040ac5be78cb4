"""Training on real digits: learns, keeps the old integers, claims what the chain computes."""

from __future__ import annotations

import numpy as np
import pytest

from engram.nn.growth import Policy, append, grown_spec, merge_parameters
from engram.nn.layers import DenseRelu, DenseSquare, HiddenSegment, Output
from engram.nn.loss import LossKind, Score
from engram.nn.network import Parameters, SegmentParameters, forward
from engram.nn.parameters import prove_bounds
from engram.nn.spec import NetworkLimits, NetworkSpec
from engram.participant import datasets
from engram.participant.training import trainer
from engram.participant.training.architect import dense_network
from engram.participant.training.qat import Budget
from engram.participant.training.shapes import Reach

SOFTMAX = LossKind.SOFTMAX_CROSS_ENTROPY
Q24 = 2**24


@pytest.fixture(scope="module")
def digits() -> datasets.Dataset:
    return datasets.load_digits().shuffled(np.random.default_rng(7))


@pytest.fixture(scope="module")
def trained(digits: datasets.Dataset) -> tuple[NetworkSpec, Parameters, datasets.Dataset]:
    rng = np.random.default_rng(1)
    old = digits.of_classes(range(6))
    own, unseen = old.take(np.arange(400)), old.take(np.arange(400, 700))
    spec, fresh = dense_network(own, (32,), 6, rng)
    return spec, trainer.train(spec, fresh, own, Budget(steps=600, batch=32), rng), unseen


def nats(score: Score) -> float:
    return score.loss / Q24 / score.rows


def test_training_learns_unseen_digits_within_integer_ranges(
    trained: tuple[NetworkSpec, Parameters, datasets.Dataset],
) -> None:
    spec, parameters, unseen = trained
    score = trainer.evaluate(spec, parameters, unseen, SOFTMAX)
    assert score.correct >= 0.93 * score.rows
    assert nats(score) < 0.25
    prove_bounds(spec, parameters)


def test_the_same_seed_gives_the_same_integers(digits: datasets.Dataset) -> None:
    own = digits.take(np.arange(100))

    def run(seed: int) -> list[bytes]:
        rng = np.random.default_rng(seed)
        spec, fresh = dense_network(own, (8,), 10, rng)
        result = trainer.train(spec, fresh, own, Budget(steps=20, batch=8), rng)
        return [block.weights.tobytes() + block.bias.tobytes() for block in result]

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_growth_learns_new_classes_and_keeps_old_logits_bit_for_bit(
    digits: datasets.Dataset, trained: tuple[NetworkSpec, Parameters, datasets.Dataset]
) -> None:
    spec, parameters, _ = trained
    own, unseen = digits.take(np.arange(900)), digits.take(np.arange(900, 1797))
    rng = np.random.default_rng(2)
    budget = Budget(steps=800, batch=32)
    growth, added = trainer.grow(spec, parameters, own, new_classes=4, neurons=24, budget=budget, rng=rng)
    whole, merged = grown_spec(spec, growth), merge_parameters(spec, parameters, growth, added)
    assert trainer.evaluate(whole, merged, unseen, SOFTMAX).correct >= 0.9 * unseen.rows
    old = forward(spec, parameters, unseen.features)
    assert forward(whole, merged, unseen.features)[:, :6].tolist() == old.tolist()


def test_square_neurons_components_and_two_layers_learn_as_well(digits: datasets.Dataset) -> None:
    rng = np.random.default_rng(5)
    own = digits.of_classes((0, 1, 2)).take(np.arange(300))
    hidden = (DenseRelu(1, 0, 64, 16, 5, 8, 8), DenseSquare(2, 0, 16, 12, 5, 7, 6, 8, 8))
    spec = NetworkSpec(64, 3, (0, 1, 2, 0), hidden, (Output(2, 0, 12, 0, 4, -4, 8),))
    fresh = tuple(
        SegmentParameters(rng.integers(-60, 61, shape).astype(np.int8), np.zeros(shape[1], np.int32))
        for shape in ((64, 16), (16, 12), (12, 4))
    )
    before = trainer.evaluate(spec, fresh, own, SOFTMAX)
    after = trainer.evaluate(
        spec, trainer.train(spec, fresh, own, Budget(steps=600, batch=32), rng), own, SOFTMAX
    )
    assert nats(after) < 0.3 < nats(before)


@pytest.mark.parametrize("kind", [DenseRelu, DenseSquare])
@pytest.mark.parametrize("weight_bits", [8, 16])
@pytest.mark.parametrize("loss_kind", [1, 2, 3])
def test_every_layer_and_width_of_weights_learns_every_loss(
    digits: datasets.Dataset, kind: type[HiddenSegment], weight_bits: int, loss_kind: int
) -> None:
    rng, old = np.random.default_rng(1), digits.of_classes(range(6))
    own, unseen = old.take(np.arange(300)), old.take(np.arange(400, 700))
    spec, fresh = dense_network(own, (24,), 6, rng, kind=kind, weight_bits=weight_bits)
    parameters = trainer.train(spec, fresh, own, Budget(steps=250, batch=32), rng, None, LossKind(loss_kind))
    prove_bounds(spec, parameters)
    assert {block.weights.dtype for block in parameters} == {np.dtype(f"int{weight_bits}")}
    before, after = (
        trainer.evaluate(spec, each, unseen, LossKind(loss_kind)) for each in (fresh, parameters)
    )
    assert after.loss < before.loss / 4
    assert after.correct >= 0.9 * after.rows


def test_squared_error_is_trained_by_its_own_gradient(digits: datasets.Dataset) -> None:
    own = digits.of_classes(range(6)).take(np.arange(300))
    losses = []
    for trained_for in (1, 2):
        rng = np.random.default_rng(1)
        spec, fresh = dense_network(own, (24,), 6, rng)
        found = trainer.train(spec, fresh, own, Budget(steps=250, batch=32), rng, None, LossKind(trained_for))
        losses.append(trainer.evaluate(spec, found, own, LossKind.SQUARED_ERROR).loss)
    assert losses[1] < losses[0] / 10


@pytest.mark.parametrize("hidden", [(), (16,), (16, 8)])
@pytest.mark.parametrize("neurons", [0, 12])
def test_networks_of_any_depth_grow_with_and_without_neurons(
    digits: datasets.Dataset, hidden: tuple[int, ...], neurons: int
) -> None:
    rng, own = np.random.default_rng(1), digits.take(np.arange(600))
    old, unseen = own.of_classes(range(6)), digits.take(np.arange(900, 1_200))
    spec, fresh = dense_network(old, hidden, 6, rng)
    parameters = trainer.train(spec, fresh, old, Budget(steps=300, batch=32), rng)
    growth, added = trainer.grow(
        spec,
        parameters,
        own,
        new_classes=4,
        neurons=neurons,
        budget=Budget(steps=300, batch=32),
        rng=rng,
    )
    whole = append(spec, growth, policy=Policy.STRICT, limits=NetworkLimits())
    score = trainer.evaluate(whole, merge_parameters(spec, parameters, growth, added), unseen, SOFTMAX)
    assert score.correct >= 0.75 * score.rows


@pytest.mark.parametrize(("policy", "reach"), [(Policy.STRICT, 4), (Policy.GATED, 0)])
def test_capacity_growth_feeds_what_the_policy_allows(
    digits: datasets.Dataset, policy: Policy, reach: int
) -> None:
    rng, own = np.random.default_rng(1), digits.of_classes(range(6)).take(np.arange(400))
    spec, fresh = dense_network(own, (3,), 6, rng)
    parameters = trainer.train(spec, fresh, own, Budget(steps=200, batch=32), rng)
    growth, added = trainer.grow(
        spec,
        parameters,
        own,
        new_classes=0,
        neurons=16,
        budget=Budget(steps=300, batch=32),
        rng=rng,
        reach=Reach(policy, reach),
    )
    whole = append(spec, growth, policy=policy, limits=NetworkLimits(), capacity_from=reach)
    merged = merge_parameters(spec, parameters, growth, added)
    before, after = (
        trainer.evaluate(network, given, own, SOFTMAX)
        for network, given in ((spec, parameters), (whole, merged))
    )
    assert after.loss < before.loss
    logits = forward(spec, parameters, own.features)[:, :reach]
    assert forward(whole, merged, own.features)[:, :reach].tolist() == logits.tolist()
