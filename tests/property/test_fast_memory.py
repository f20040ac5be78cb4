"""Laws of the fast memory: what a bounded sample keeps, and that disk and memory never differ."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.participant.memory.fast import FastLimits, FastMemory
from engram.participant.memory.reservoirs import Reservoirs, key_of
from tests.support.fast_disk import INPUTS, READER, facts, opened

STREAMS = st.lists(st.integers(0, 4), max_size=120)
CAPACITIES = st.integers(1, 25)
SEEDS = st.integers(0, 2**64 - 1)


def kept_of(sampling: Reservoirs, labels: list[int]) -> dict[int, int]:
    """Number -> label of what a sampling keeps of a stream."""
    kept: dict[int, int] = {}
    for number, label in enumerate(labels):
        lost = sampling.arrive(number, label)
        kept[number] = label
        if lost is not None:
            del kept[lost]
    return kept


@given(STREAMS, CAPACITIES, SEEDS)
def test_the_budget_holds_and_is_used(labels: list[int], capacity: int, seed: int) -> None:
    sampling = Reservoirs(seed, capacity)
    kept = kept_of(sampling, labels)
    assert len(kept) == sampling.size == min(capacity, len(labels))


@given(STREAMS, CAPACITIES, SEEDS)
def test_what_is_kept_of_a_class_are_its_smallest_keys(labels: list[int], capacity: int, seed: int) -> None:
    kept = kept_of(Reservoirs(seed, capacity), labels)
    for label in set(labels):
        arrived = sorted(
            (number for number, each in enumerate(labels) if each == label),
            key=lambda number: key_of(seed, number),
        )
        mine = {number for number, each in kept.items() if each == label}
        assert mine == set(arrived[: len(mine)])


@given(STREAMS, CAPACITIES, SEEDS)
def test_a_class_that_has_lost_has_at_most_one_less_than_the_largest(
    labels: list[int], capacity: int, seed: int
) -> None:
    kept, arrived = Counter(kept_of(Reservoirs(seed, capacity), labels).values()), Counter(labels)
    for label, count in arrived.items():
        assert kept[label] == count or kept[label] >= max(kept.values()) - 1


@given(STREAMS, CAPACITIES, CAPACITIES, SEEDS)
def test_a_smaller_capacity_keeps_the_laws(labels: list[int], capacity: int, smaller: int, seed: int) -> None:
    sampling = Reservoirs(seed, capacity)
    kept = kept_of(sampling, labels)
    for number in sampling.resize(smaller):
        del kept[number]
    assert len(kept) == sampling.size == min(capacity, smaller, len(labels))


@given(STREAMS, st.lists(st.integers(1, 9), min_size=1), CAPACITIES, SEEDS)
def test_batches_give_what_single_examples_give(
    labels: list[int], sizes: list[int], capacity: int, seed: int
) -> None:
    rows = np.arange(len(labels) * INPUTS, dtype=np.uint16).astype(np.uint8).reshape(-1, INPUTS)
    named = np.array(labels, dtype=np.int64)
    limits = FastLimits(rows=capacity)
    single, batched = FastMemory(READER, limits, seed), FastMemory(READER, limits, seed)
    for row, label in zip(rows, named, strict=True):
        single.learn(row[np.newaxis], label[np.newaxis])
    begin, turn = 0, 0
    while begin < len(labels):
        size = sizes[turn % len(sizes)]
        batched.learn(rows[begin : begin + size], named[begin : begin + size])
        begin, turn = begin + size, turn + 1
    assert facts(single) == facts(batched)


@given(STREAMS, CAPACITIES, st.sets(st.integers(0, 4)), st.integers(0, 120), SEEDS)
def test_forgetting_takes_exactly_what_was_named(
    labels: list[int], capacity: int, gone: set[int], before: int, seed: int
) -> None:
    memory = FastMemory(READER, FastLimits(rows=capacity), seed)
    rows = np.random.default_rng(0).integers(0, 256, (len(labels), INPUTS)).astype(np.uint8)
    memory.learn(rows, np.array(labels, dtype=np.int64))
    known = memory.examples()
    stays = known.where(~(np.isin(known.labels, list(gone)) & (known.numbers < before)))
    assert memory.forget(gone, before) == len(known.numbers) - len(stays.numbers)
    left = memory.examples()
    assert np.array_equal(left.numbers, stays.numbers)
    assert np.array_equal(left.rows, stays.rows)
    for label in memory.labels:
        labels_, means = memory.means()
        mine = left.values[left.labels == label].astype(np.float64).mean(axis=0)
        assert np.allclose(means[labels_ == label][0], mine, rtol=1e-6)
    memory.learn(rows[:capacity], np.zeros(min(capacity, len(rows)), dtype=np.int64))
    assert memory.size == min(capacity, len(stays.numbers) + min(capacity, len(rows)))


ACTIONS = st.lists(
    st.one_of(
        st.lists(st.integers(0, 3), min_size=1, max_size=6),
        st.tuples(st.sets(st.integers(0, 3)), st.integers(0, 60)),
        st.just("open"),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(ACTIONS, st.integers(1, 12))
def test_a_store_is_a_memory_however_often_it_is_opened_again(actions: list[object], capacity: int) -> None:
    limits = FastLimits(rows=capacity)
    memory = FastMemory(READER, limits, 3)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        store = opened(Path(folder), limits=limits)
        for action in actions:
            if isinstance(action, list):
                rows = rng.integers(0, 256, (len(action), INPUTS)).astype(np.uint8)
                assert store.learn(rows, np.array(action)) == memory.learn(rows, np.array(action))
            elif isinstance(action, tuple):
                assert store.forget(*action) == memory.forget(*action)
            else:
                store.close()
                store = opened(Path(folder), limits=limits)
            assert facts(store.memory) == facts(memory)
        store.close()
        with opened(Path(folder), limits=limits) as again:
            assert facts(again.memory) == facts(memory)
