"""The fast memory: answers in frozen features, and bad input that changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engram.nn.layers.reading import Interval
from engram.participant.errors import DatasetLabelOutOfRange
from engram.participant.memory.errors import (
    ClassNameInvalid,
    FastMemoryMismatch,
    FastMemoryTooSmall,
    FeatureCountMismatch,
    FeaturesNotIntegers,
    IntervalUnknown,
    NothingLearned,
)
from engram.participant.memory.fast import EXAMPLE_BYTES, FastLimits, FastMemory, FastRule
from engram.participant.memory.fast_classes import ClassEntry
from engram.participant.memory.reading import FrozenReader
from engram.primitives.errors import ChainError
from tests.support.fast_disk import INPUTS, LIMITS, READER, batch, facts
from tests.support.recalling import digits_model

MODEL = digits_model()
GOOD = np.zeros((2, INPUTS), dtype=np.uint8)


def taught(per_class: int = 40) -> FastMemory:
    """A memory with some examples of each digit."""
    memory = FastMemory(MODEL.reader, FastLimits(rows=10 * per_class))
    memory.learn(MODEL.train.features, MODEL.train.labels)
    return memory


@pytest.mark.parametrize(("rule", "least"), [(FastRule.MEAN, 0.75), (FastRule.NEIGHBOUR, 0.92)])
def test_it_answers_at_once(rule: FastRule, least: float) -> None:
    answers = taught().answer(MODEL.test.features, rule=rule)
    assert np.mean(answers.labels == MODEL.test.labels) > least
    assert answers.margins.min() >= 0


@pytest.mark.parametrize("rule", FastRule)
def test_distances_are_those_of_the_definition(rule: FastRule) -> None:
    memory = taught(5)
    known, rows = memory.examples(), MODEL.test.features[:30]
    values = MODEL.reader.read(rows).astype(np.float64)
    found = []
    for label in memory.labels:
        mine = known.values[known.labels == label].astype(np.float64)
        points = mine.mean(axis=0, keepdims=True) if rule is FastRule.MEAN else mine
        found.append(np.linalg.norm(values[:, np.newaxis] - points, axis=2).min(axis=1))
    wanted = np.stack(found, axis=1)
    answers = memory.answer(rows, rule=rule)
    assert np.array_equal(answers.labels, np.array(memory.labels)[wanted.argmin(axis=1)])
    assert np.allclose(answers.distances, wanted.min(axis=1), rtol=1e-3, atol=0.1)
    two = np.sort(wanted, axis=1)
    assert np.allclose(answers.margins, two[:, 1] - two[:, 0], rtol=1e-2, atol=0.2)


def test_values_are_those_of_the_trunk_and_stay_when_the_network_grows() -> None:
    rows = MODEL.test.features[:7]
    assert np.array_equal(MODEL.reader.read(rows), MODEL.trunk.run(rows))
    at = Interval(0, 3, 9)
    assert np.array_equal(FrozenReader(MODEL.spec, MODEL.parameters, at).read(rows), rows[:, 3:9])
    assert MODEL.reader.read(rows[:0]).shape == (0, 64)
    for wrong in (Interval(9, 0, 1), Interval(0, 0, 65), Interval(0, 5, 5)):
        with pytest.raises(IntervalUnknown):
            FrozenReader(MODEL.spec, MODEL.parameters, wrong)


def test_a_class_is_known_from_its_first_example_and_gone_with_its_last() -> None:
    memory = FastMemory(READER, LIMITS)
    with pytest.raises(NothingLearned):
        memory.answer(GOOD)
    memory.learn(np.full((1, INPUTS), 200, dtype=np.uint8), np.array([65_535]))
    answers = memory.answer(GOOD)
    assert answers.labels.tolist() == [65_535] * 2
    assert np.isinf(answers.margins).all()
    with pytest.raises(NothingLearned):
        memory.answer(GOOD, among=[3])
    memory.learn(GOOD[:1], np.array([3]))
    assert memory.answer(GOOD).labels.tolist() == [3, 3]
    assert memory.answer(GOOD, among=[65_535]).labels.tolist() == [65_535] * 2
    memory.forget([3], memory.next_number)
    assert memory.labels == (65_535,)
    assert not (memory._rows == 0).all(axis=1)[list(memory._slots.values())].any()


def test_what_is_forgotten_stands_in_no_array() -> None:
    memory = FastMemory(READER, LIMITS)
    secret = np.array([[201, 202, 203, 204]], dtype=np.uint8)
    memory.learn(secret, np.array([1]))
    memory.learn(GOOD, np.array([2, 2]))
    assert secret.tobytes() in memory._rows.tobytes()
    memory.forget([1], memory.next_number)
    assert secret.tobytes() not in memory._rows.tobytes()
    assert secret.astype(np.uint16).tobytes() not in memory._values.tobytes()
    assert 1 not in memory._sums


def test_examples_that_arrived_meanwhile_stay() -> None:
    memory = FastMemory(READER, LIMITS)
    memory.learn(GOOD, np.array([1, 2]))
    taken = memory.examples([1, 2])
    memory.learn(GOOD + 9, np.array([1, 3]))
    assert memory.forget([1, 2], taken.before) == 2
    assert memory.counts == {1: 1, 3: 1}
    assert (memory.examples([1]).rows == 9).all()


def test_another_network_reads_the_examples_again() -> None:
    memory = taught(5)
    before = memory.examples()
    features = FrozenReader(MODEL.spec, MODEL.parameters, Interval(0, 0, 64))
    memory.reread(features)
    after = memory.examples()
    assert np.array_equal(before.rows, after.rows)
    assert np.array_equal(after.values, after.rows)
    assert np.allclose(memory.means()[1][0], after.rows[after.labels == 0].mean(axis=0))
    with pytest.raises(FastMemoryMismatch):
        memory.reread(READER)


def test_limits_are_the_tighter_of_rows_and_bytes() -> None:
    each = INPUTS + 2 * INPUTS + EXAMPLE_BYTES
    assert FastLimits(rows=5, bytes=10**9).capacity(INPUTS, INPUTS) == 5
    assert FastLimits(rows=5, bytes=3 * each + 1).capacity(INPUTS, INPUTS) == 3
    memory = FastMemory(READER, FastLimits(rows=5, bytes=3 * each))
    for number in range(9):
        memory.learn(*batch(number))
        assert memory.size_bytes <= 3 * each
    for limits in (FastLimits(rows=0), FastLimits(bytes=each - 1)):
        with pytest.raises(FastMemoryTooSmall):
            FastMemory(READER, limits)


BAD: list[tuple[Any, Any, type[ChainError]]] = [
    (np.full((2, INPUTS), np.nan), np.array([1, 2]), FeaturesNotIntegers),
    (np.full((2, INPUTS), 0.5), np.array([1, 2]), FeaturesNotIntegers),
    (np.full((2, INPUTS), 256), np.array([1, 2]), FeaturesNotIntegers),
    (np.full((2, INPUTS), "a"), np.array([1, 2]), FeaturesNotIntegers),
    (np.zeros((2, INPUTS + 1), np.uint8), np.array([1, 2]), FeatureCountMismatch),
    (np.zeros(INPUTS, np.uint8), np.array([1]), FeatureCountMismatch),
    (GOOD, np.array([1]), FeatureCountMismatch),
    (GOOD, np.array([[1, 2]]), FeatureCountMismatch),
    (GOOD, np.array([1, -1]), DatasetLabelOutOfRange),
    (GOOD, np.array([1, 65_536]), DatasetLabelOutOfRange),
    (GOOD, np.array([1, 1.5]), DatasetLabelOutOfRange),
    (GOOD, np.array([1, np.nan]), DatasetLabelOutOfRange),
    (GOOD, np.array(["a", "b"]), DatasetLabelOutOfRange),
]


@pytest.mark.parametrize(("rows", "labels", "error"), BAD)
def test_bad_input_is_an_error_and_changes_nothing(rows: Any, labels: Any, error: type[ChainError]) -> None:
    memory = FastMemory(READER, LIMITS, 3)
    memory.learn(*batch(1))
    before = facts(memory)
    with pytest.raises(error):
        memory.learn(rows, labels)
    assert facts(memory) == before


@pytest.mark.parametrize("name", ["x" * 65, "ä" * 33, "a\nb", " a", "\udc80"])
def test_bad_names_are_refused(name: str) -> None:
    memory = FastMemory(READER, LIMITS)
    with pytest.raises(ClassNameInvalid):
        memory.set_entry(1, ClassEntry(name))
    for label in (-1, 65_536, True):
        with pytest.raises(DatasetLabelOutOfRange):
            memory.set_entry(label, ClassEntry("zebra"))
    with pytest.raises(DatasetLabelOutOfRange):
        memory.set_entry(1, ClassEntry("zebra", 65_536))
    assert memory.table == {}
    memory.set_entry(1, ClassEntry("zebra", 9))
    assert memory.entry(1) == ClassEntry("zebra", 9)
