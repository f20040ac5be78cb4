"""A training that ends early: which rows are set aside, when it ends, and that the best state is kept."""

from __future__ import annotations

import numpy as np
import pytest

from engram.nn.loss import LossKind
from engram.nn.network import Parameters
from engram.participant.datasets import Dataset
from engram.participant.errors import NotEnoughRows
from engram.participant.training import trainer
from engram.participant.training.qat import Budget
from engram.participant.training.stopping import HELD, MOST_HELD, Watch
from tests.support.nn_samples import TWO_LAYERS, network_parameters, random_features

SOFTMAX = LossKind.SOFTMAX_CROSS_ENTROPY


def rows_of(counts: dict[int, int]) -> Dataset:
    labels = np.concatenate([np.full(count, label) for label, count in counts.items()]).astype(np.uint16)
    return Dataset(random_features(TWO_LAYERS.inputs, len(labels)), labels)


def watching(data: Dataset, patience: int = 2, seed: int = 3) -> Watch:
    return Watch(TWO_LAYERS, data, patience, SOFTMAX, np.random.default_rng(seed))


def states(data: Dataset) -> tuple[Parameters, Parameters]:
    """A better and a worse state, by the loss on all rows."""
    found = [network_parameters(TWO_LAYERS, seed, 2.0**-9) for seed in range(8)]
    ordered = sorted(found, key=lambda each: trainer.evaluate(TWO_LAYERS, each, data, SOFTMAX).loss)
    return ordered[0], ordered[-1]


def test_a_tenth_of_each_class_is_set_aside() -> None:
    data = rows_of({0: 50, 1: 29, 2: 9})
    learned = watching(data).training
    left = np.bincount(learned.labels, minlength=3).tolist()
    assert left == [50 - 50 // HELD, 29 - 29 // HELD, 9]
    assert {row.tobytes() for row in learned.features} < {row.tobytes() for row in data.features}


def test_the_seed_alone_says_which_rows() -> None:
    data = rows_of({0: 50, 1: 50})
    one, same, other = (watching(data, seed=seed).training for seed in (3, 3, 4))
    assert np.array_equal(one.features, same.features)
    assert not np.array_equal(one.features, other.features)


def test_no_more_rows_than_help_are_set_aside() -> None:
    count = HELD * (MOST_HELD + 500)
    data = Dataset(np.zeros((count, TWO_LAYERS.inputs), np.uint8), np.zeros(count, np.uint16))
    assert watching(data).training.rows == count - MOST_HELD


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(NotEnoughRows):
        watching(rows_of({0: 9, 1: 9}))


def test_it_ends_after_so_many_checks_without_a_lower_loss_and_keeps_the_lowest() -> None:
    data = rows_of({0: 300, 1: 300, 2: 300})
    better, worse = states(data)
    watch = watching(data, patience=2)
    assert [watch.ends(each) for each in (worse, better, worse, worse)] == [False, False, False, True]
    assert watch.best is better
    assert watching(data, patience=1).ends(worse) is False


def test_a_training_ends_early_and_returns_the_state_that_did_best() -> None:
    """Labels without any pattern: what is learned of some rows does not help with others."""
    data = rows_of({0: 60, 1: 60, 2: 60})
    start = network_parameters(TWO_LAYERS, 1, 2.0**-9)
    seen: list[int] = []

    def told(step: int, loss: float) -> None:
        seen.append(step)

    def trained(patience: int) -> Parameters:
        budget = Budget(steps=400, batch=16, learning_rate=4.0, patience=patience)
        return trainer.train(TWO_LAYERS, start, data, budget, np.random.default_rng(5), told, SOFTMAX)

    found = trained(3)
    ended = max(seen)
    assert ended < 400
    again = trained(3)
    for one, other in zip(found, again, strict=True):
        assert np.array_equal(one.weights, other.weights)
    seen.clear()
    trained(0)
    assert max(seen) == 400
