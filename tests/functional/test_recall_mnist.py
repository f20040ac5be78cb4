"""MNIST with eight digits in the slow memory and two in the fast one, as in FearNet's test before sleep."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from engram.nn.growth import Policy
from engram.participant.datasets import load_mnist_folder
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.fast import FastLimits, FastMemory, FastRule
from engram.participant.memory.founding import found
from engram.participant.memory.head import whole_network
from engram.participant.memory.reading import reader_of
from engram.participant.memory.recall import Recall
from engram.participant.memory.recall_gate import SummedSides
from engram.participant.memory.slow import SlowMemory
from engram.participant.memory.trunk import convolution_trunk
from engram.participant.view import ChainView
from tests.support.mnist import mnist_folder
from tests.support.proven_model import LineNode, ProvenModel, trust_of

OLD, NEW = range(8), (8, 9)
TRAINED, TESTED = 4_000, 1_500


@pytest.mark.slow
def test_the_gate_costs_little_beside_one_that_always_knows() -> None:
    """Fewer rows than MNIST has, so that it takes seconds; the figures are lower for that."""
    data = load_mnist_folder(mnist_folder())
    train = data.train.shuffled(np.random.default_rng(0))
    old = train.of_classes(OLD).take(np.arange(TRAINED))
    test = data.test.shuffled(np.random.default_rng(1)).take(np.arange(TESTED))
    trunk = convolution_trunk(old.features, seed=bytes(32))
    values = trunk.run(old.features)
    rule = declare(values, seed=bytes(32), width=500, count=1)
    made = found("gate", rule, values, old.labels, policy=Policy.RELATIVE)
    assert made.statistics is not None
    spec, parameters = whole_network(trunk, made.spec, made.parameters)
    proven = ProvenModel(spec, parameters)
    line = proven.line(12)
    slow = SlowMemory(trust_of(), lambda: line.head.timestamp_ms)
    asyncio.run(slow.refresh(ChainView(LineNode(line, proven))))
    fast = FastMemory(reader_of(trunk, spec, parameters), FastLimits())
    recall = Recall(fast, slow, SummedSides(Banks(rule), made.statistics), rule=FastRule.NEIGHBOUR)
    for each, least, cost in ((50, 0.95, 0.03), (300, 0.965, 0.02)):
        for label in NEW:
            mine = train.of_classes((label,))
            fast.learn(mine.features[:each], mine.labels[:each])
        report = recall.report(test.features, test.labels.astype(np.int64), np.isin(test.labels, NEW))
        assert report.accuracy > least
        assert report.oracle - report.accuracy < cost
        assert report.old_to_fast < 0.02
