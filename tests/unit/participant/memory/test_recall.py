"""Recall: which memory answers, what the gate is fitted to, and what it costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from engram.nn.network import forward, predict
from engram.participant.memory import mixtures
from engram.participant.memory.consolidation import Settings
from engram.participant.memory.errors import (
    BankMismatch,
    ConstantFeatures,
    FeatureCountMismatch,
    FeaturesNotIntegers,
    NothingKnown,
    StatisticsMissing,
)
from engram.participant.memory.fast import FastLimits, FastMemory, FastRule
from engram.participant.memory.fast_classes import ClassEntry
from engram.participant.memory.recall import REFIT_SHARE, Recall
from engram.participant.memory.recall_gate import DrawnSides, GateSides, SummedSides, fit_gate
from engram.participant.memory.ridge import Matrix
from engram.participant.memory.slow import SlowMemory
from engram.participant.memory.statistics import make
from engram.participant.view import ChainView
from engram.primitives.errors import ChainError
from tests.support.proven_model import LineNode, ProvenModel, trust_of
from tests.support.recalling import NEW, OLD, digits_model

MODEL = digits_model()
SUMS = SummedSides(MODEL.banks, MODEL.statistics)
TEST, LABELS = MODEL.test.features, MODEL.test.labels.astype(np.int64)
IS_NEW = np.isin(LABELS, NEW)


@cache
def slow_memory() -> SlowMemory:
    """A slow memory that has verified the digits' model."""
    proven = ProvenModel(MODEL.spec, MODEL.parameters)
    line = proven.line(12)
    memory = SlowMemory(trust_of(), lambda: line.head.timestamp_ms)
    asyncio.run(memory.refresh(ChainView(LineNode(line, proven))))
    return memory


def fast_memory(each: int = 50) -> FastMemory:
    """A fast memory with so many rows of each new digit."""
    memory, train = FastMemory(MODEL.reader, FastLimits()), MODEL.train
    for label in NEW:
        memory.learn(train.features[train.labels == label][:each], train.labels[train.labels == label][:each])
    return memory


@cache
def drawn_sides() -> DrawnSides:
    values, labels = MODEL.trunk.run(MODEL.train.features), MODEL.train.labels
    rng = np.random.default_rng(0)
    given = {label: mixtures.fit(values[labels == label], components=1, rank=10, rng=rng) for label in OLD}
    return DrawnSides.of(MODEL.banks, given, Settings(rank=10, drawn=300))


@pytest.mark.parametrize("sides", [SUMS, drawn_sides()])
@pytest.mark.parametrize("rule", FastRule)
def test_both_memories_answer_and_the_gate_costs_little(sides: GateSides, rule: FastRule) -> None:
    recall = Recall(fast_memory(), slow_memory(), sides, rule=rule)
    report = recall.report(TEST, LABELS, IS_NEW)
    assert report.oracle > 0.93
    assert report.oracle - report.accuracy < 0.04
    assert report.old_to_fast < 0.05
    assert report.new_to_slow < 0.2
    answers = recall.answer(TEST)
    assert np.mean((answers.labels == LABELS) & (answers.fast == IS_NEW)) == report.accuracy
    assert (answers.version, answers.age_ms) == (1, 0)
    known = predict(forward(MODEL.spec, MODEL.parameters, TEST))
    assert np.array_equal(answers.labels[~answers.fast], known[~answers.fast])
    assert set(answers.labels[answers.fast]) <= set(NEW)


def test_the_report_is_what_its_fields_say() -> None:
    recall = Recall(fast_memory(8), slow_memory(), SUMS)
    report, answers = recall.report(TEST, LABELS, IS_NEW), recall.answer(TEST)
    assert report.rows == len(TEST)
    assert report.old_to_fast == np.mean(answers.fast[~IS_NEW])
    assert report.new_to_slow == np.mean(~answers.fast[IS_NEW])
    alone = Recall(recall.fast, SlowMemory(trust_of(), lambda: 0), None)
    right = [
        slow_memory().answer(TEST[~IS_NEW]).classes == LABELS[~IS_NEW],
        alone.answer(TEST[IS_NEW]).labels == LABELS[IS_NEW],
    ]
    assert report.oracle == pytest.approx(np.mean(np.concatenate(right)))
    assert np.isnan(recall.report(TEST[IS_NEW], LABELS[IS_NEW], IS_NEW[IS_NEW]).old_to_fast)
    assert np.isnan(recall.report(TEST[~IS_NEW], LABELS[~IS_NEW], IS_NEW[~IS_NEW]).new_to_slow)


def test_the_gate_is_the_ridge_of_rows_that_weigh_by_their_side() -> None:
    old, new = MODEL.train.of_classes(OLD), MODEL.train.of_classes(NEW).take(np.arange(60))
    values = [MODEL.trunk.run(part.features) for part in (old, new)]
    gate = fit_gate(
        make(MODEL.banks, values[0], old.labels), make(MODEL.banks, values[1], new.labels), neurons=100
    )
    h: Matrix = np.concatenate([MODEL.banks.activations(part)[:, :100] for part in values]).astype(float)
    side = np.repeat([0, 1], [old.rows, new.rows])
    weight = np.where(side == 0, 0.5 / old.rows, 0.5 / new.rows)
    labels = np.concatenate([old.labels, new.labels])
    targets = np.stack([side == 0, labels == 8, labels == 9], axis=1).astype(float)
    mean, middle = weight @ h, weight @ targets
    scatter = (h - mean).T @ ((h - mean) * weight[:, np.newaxis])
    scatter += gate.ridge * np.trace(scatter) / 100 * np.eye(100)
    wanted = np.linalg.solve(scatter, (h - mean).T @ ((targets - middle) * weight[:, np.newaxis]))
    assert np.allclose(gate.weights, wanted, rtol=1e-6, atol=1e-12)
    rows = MODEL.banks.activations(MODEL.trunk.run(TEST))
    scores = (rows[:, :100].astype(float) - mean) @ wanted + middle
    assert np.allclose(gate.scores(rows), scores[:, 1:].max(axis=1) - scores[:, 0])


def test_one_memory_answers_alone_and_none_is_an_error() -> None:
    nobody = SlowMemory(trust_of(), lambda: 0)
    empty = FastMemory(MODEL.reader, FastLimits())
    with pytest.raises(NothingKnown):
        Recall(empty, nobody, SUMS).answer(TEST)
    fast = Recall(fast_memory(), nobody, None).answer(TEST)
    assert fast.fast.all()
    assert (fast.version, fast.age_ms) == (None, None)
    slow = Recall(empty, slow_memory(), None).answer(TEST)
    assert not slow.fast.any()
    assert np.isinf(slow.margins).all()
    with pytest.raises(StatisticsMissing):
        Recall(fast_memory(), slow_memory(), None).answer(TEST)


def test_a_class_that_the_chain_knows_answers_from_the_chain() -> None:
    fast = fast_memory()
    fast.set_entry(8, ClassEntry("eight", 8))
    recall = Recall(fast, slow_memory(), SUMS)
    answers = recall.answer(TEST)
    assert recall.fast_labels == (9,)
    assert set(answers.labels[answers.fast]) == {9}
    fast.set_entry(9, ClassEntry("nine", 9))
    assert not recall.answer(TEST).fast.any()


def test_the_gate_is_fitted_again_when_classes_or_enough_examples_change() -> None:
    fast, rows = fast_memory(50), MODEL.train.of_classes(NEW)
    recall = Recall(fast, slow_memory(), SUMS)
    recall.answer(TEST)
    first = recall._gate
    few = int(REFIT_SHARE * 100)
    fast.learn(rows.features[200 : 200 + few], rows.labels[200 : 200 + few])
    recall.answer(TEST)
    assert recall._gate is first
    fast.learn(rows.features[190:191], rows.labels[190:191])
    recall.answer(TEST)
    second = recall._gate
    assert second is not first
    fast.learn(rows.features[:1], np.array([77]))
    recall.answer(TEST)
    assert recall._gate is not second
    fast.forget([77], fast.next_number)
    assert 77 not in recall.answer(TEST).labels


BAD: list[tuple[Any, type[ChainError]]] = [
    (TEST[:, 1:], FeatureCountMismatch),
    (TEST[0], FeatureCountMismatch),
    (np.full((1, 64), np.nan), FeaturesNotIntegers),
    (np.full((1, 64), 256), FeaturesNotIntegers),
]


@pytest.mark.parametrize(("rows", "error"), BAD)
def test_bad_rows_are_refused(rows: Any, error: type[ChainError]) -> None:
    recall = Recall(fast_memory(), slow_memory(), SUMS)
    with pytest.raises(error):
        recall.answer(rows)
    with pytest.raises(error):
        recall.report(rows, LABELS[: len(rows)], IS_NEW[: len(rows)])
    assert recall.fast.size == 100


def test_what_does_not_fit_together_is_refused() -> None:
    recall = Recall(fast_memory(), slow_memory(), SUMS)
    for labels, new in ((LABELS[:-1], IS_NEW), (LABELS, IS_NEW[:-1])):
        with pytest.raises(FeatureCountMismatch):
            recall.report(TEST, labels, new)
    with pytest.raises(FeatureCountMismatch):
        recall.report(TEST[:0], LABELS[:0], IS_NEW[:0])
    with pytest.raises(BankMismatch):
        fit_gate(MODEL.statistics, replace(MODEL.statistics, bank=bytes(32)))
    with pytest.raises(StatisticsMissing):
        DrawnSides.of(MODEL.banks, {})
    small = replace(MODEL.banks.rule, center=MODEL.banks.rule.center[:-1])
    with pytest.raises(BankMismatch):
        Recall(fast_memory(), slow_memory(), SummedSides(type(MODEL.banks)(small), MODEL.statistics))
    same = FastMemory(MODEL.reader, FastLimits())
    same.learn(np.repeat(TEST[:1], 5, axis=0), np.full(5, 8))
    with pytest.raises(ConstantFeatures):
        Recall(same, slow_memory(), drawn_sides()).answer(TEST)
    assert same.size == 5


def test_no_rows_get_no_answers() -> None:
    for fast, slow in ((fast_memory(), slow_memory()), (fast_memory(), SlowMemory(trust_of(), lambda: 0))):
        for rule in FastRule:
            answers = Recall(fast, slow, SUMS, rule=rule).answer(TEST[:0])
            assert (answers.labels.shape, answers.fast.shape, answers.margins.shape) == ((0,), (0,), (0,))
    assert fast_memory().answer(TEST[:0]).labels.shape == (0,)
    assert slow_memory().answer(TEST[:0]).classes.shape == (0,)
