"""The digits that ship with Engram, as a model that knows eight of them and rows of the other two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from engram.nn.growth import Policy
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec
from engram.participant.datasets import Dataset, load_digits
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.consolidation import Settings
from engram.participant.memory.founding import found
from engram.participant.memory.head import whole_network
from engram.participant.memory.reading import FrozenReader, reader_of
from engram.participant.memory.statistics import Statistics
from engram.participant.memory.trunk import Trunk, convolution_trunk

OLD = range(8)
NEW = (8, 9)
TRAINED = 1_200


@dataclass(frozen=True, eq=False)
class DigitsModel:
    """A founded network of eight digits, and what its founder hands over."""

    trunk: Trunk
    spec: NetworkSpec
    parameters: Parameters
    reader: FrozenReader
    banks: Banks
    statistics: Statistics
    train: Dataset
    """Of all ten digits."""
    test: Dataset


@cache
def digits_model() -> DigitsModel:
    """The model; the same at every call."""
    digits = load_digits().shuffled(np.random.default_rng(0))
    train, test = digits.take(np.arange(TRAINED)), digits.take(np.arange(TRAINED, digits.rows))
    old = train.of_classes(OLD)
    trunk = convolution_trunk(old.features[:300], seed=bytes(32), side=8, values=64)
    values = trunk.run(old.features)
    rule = declare(values, seed=bytes(32), width=80, count=2)
    made = found("gate", rule, values, old.labels, policy=Policy.RELATIVE, settings=Settings(ridge=1e-3))
    assert made.statistics is not None, "the engine solves from sums"
    spec, parameters = whole_network(trunk, made.spec, made.parameters)
    reader = reader_of(trunk, spec, parameters)
    return DigitsModel(trunk, spec, parameters, reader, Banks(rule), made.statistics, train, test)
