"""What frozen segments make is kept for a training, and the integers that come out are the same."""

from __future__ import annotations

import numpy as np
import pytest

from engram.nn.growth import Growth, grown_spec, merge_parameters
from engram.nn.layers import ConvRelu, DenseRelu, DenseSquare, Interval, MaxPool, Output
from engram.nn.network import NetworkSpec, Parameters
from engram.participant.datasets import Dataset
from engram.participant.training import frozen, qat
from engram.participant.training.frozen import NOTHING, frozen_prefix
from engram.participant.training.qat import Budget
from tests.support.nn_samples import growth_parameters, network_parameters, random_features

ROWS = 60
MAPS = NetworkSpec(
    inputs=36,
    classes=2,
    components=(),
    hidden=(
        ConvRelu(1, 0, 36, 6, 6, 3, 3, 1, 1, 1, 3, 8, 8),
        MaxPool(2, 0, 108, 6, 6, 2, 2, 0, 0, 10, 8),
        DenseRelu(3, 0, 27, 6, 1, 8, 8),
    ),
    outputs=(Output(3, 0, 6, 0, 2, -4, 8),),
)
BESIDE = Growth(
    1,
    (
        DenseSquare(2, 0, 108, 4, 3, 9, 6, 8, 8),
        DenseRelu(3, 20, 31, 5, 2, 8, 8, (Interval(0, 0, 7),)),
        DenseRelu(4, 0, 11, 3, 1, 8, 8),
    ),
    (Output(4, 0, 3, 2, 1, -6, 8), Output(3, 0, 11, 2, 1, -6, 8)),
    (),
)
"""Reads old and new neurons of every layer, wide values among them, and makes a layer of its own."""


def matter() -> tuple[NetworkSpec, Parameters, tuple[bool, ...], Dataset]:
    old, new = network_parameters(MAPS, 3, 2.0**-9), growth_parameters(MAPS, BESIDE, 4, 2.0**-9)
    start = merge_parameters(MAPS, old, BESIDE, new)
    known = {id(each) for each in old}
    labels = (np.arange(ROWS) % 3).astype(np.uint16)
    data = Dataset(random_features(36, ROWS), labels)
    return grown_spec(MAPS, BESIDE), start, tuple(id(each) not in known for each in start), data


def test_it_changes_no_integer(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, start, learns, data = matter()
    budget = Budget(steps=40, batch=16)
    prefix = frozen_prefix(spec, start, learns, data.features, budget.steps * budget.batch)
    assert prefix.segments == len(MAPS.hidden)
    assert sorted(prefix.layers) == [1, 2, 3]
    assert prefix.layers[2].dtype == np.uint16
    found = qat.fit(spec, start, learns, data, budget, np.random.default_rng(1))
    monkeypatch.setattr(frozen, "MOST_BYTES", 0)
    assert frozen_prefix(spec, start, learns, data.features, 640) is NOTHING
    wanted = qat.fit(spec, start, learns, data, budget, np.random.default_rng(1))
    moved = 0
    for one, other, learned, before in zip(found, wanted, learns, start, strict=True):
        assert np.array_equal(one.weights, other.weights)
        assert np.array_equal(one.bias, other.bias)
        moved += learned and not np.array_equal(one.weights, before.weights)
    assert moved == sum(learns)


def test_it_is_left_out_where_it_would_cost_more_than_it_saves() -> None:
    spec, start, learns, data = matter()
    assert frozen_prefix(spec, start, learns, data.features, ROWS - 1) is NOTHING
    assert frozen_prefix(spec, start, (True,) * len(start), data.features, ROWS) is NOTHING
    only_last = tuple(number == len(start) - 1 for number in range(len(start)))
    assert frozen_prefix(spec, start, only_last, data.features, ROWS).segments == len(spec.hidden)
