"""Files of mixtures: canonical bytes, merging in any order, and what is refused."""

from __future__ import annotations

import zlib
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from engram.participant.memory.errors import (
    BankMismatch,
    MixturesForged,
    MixturesMalformed,
    StatisticsRepeated,
    TooFewRowsToHide,
)
from engram.participant.memory.mixture_set import MixtureSet, check_set, make_set, merge_sets
from engram.participant.memory.mixtures import Component, sample
from engram.participant.memory.mixtures_file import (
    MIXTURES_MAGIC,
    canonical_set,
    read_set,
    set_id,
    write_set,
)
from engram.primitives.types import Hash

BANK: Hash = bytes(range(32))
VALUES = 12


def rows_of(seed: int, count: int) -> np.ndarray:
    """Rows that vary around a middle of their own."""
    rng = np.random.default_rng(seed)
    middle = rng.integers(60, 180, VALUES)
    return np.clip(np.rint(middle + rng.normal(size=(count, VALUES)) * 20), 0, 255).astype(np.uint8)


def made(*labels: int, rows: int = 60, seed: int = 0, components: int = 1) -> MixtureSet:
    values = np.concatenate([rows_of(seed + label, rows) for label in labels])
    given = np.repeat(np.array(labels), rows)
    return make_set(BANK, values, given, components=components, rank=3, seed=seed)


def test_what_is_written_is_read_again() -> None:
    given = made(2, 5, components=2)
    found = read_set(write_set(given), BANK, VALUES)
    assert canonical_set(found) == canonical_set(given)
    assert found.classes == (2, 5)
    assert found.count(5) == 60
    assert sum(each.share for each in found.mixtures[2]) == pytest.approx(1)


def test_sets_merge_to_the_same_bytes_in_any_order_and_grouping() -> None:
    parts = [made(0, 1), made(1, 2, seed=10, rows=40), made(1, seed=20, rows=25)]
    named = [(each, set_id(each)) for each in parts]
    names = {set_id(merge_sets(order)) for order in permutations(named)}
    pair = merge_sets(named[:2])
    names.add(set_id(merge_sets([named[2], (pair, set_id(pair))])))
    assert len(names) == 1
    whole = merge_sets(named)
    assert whole.count(1) == 60 + 40 + 25
    assert whole.sources == tuple(sorted(own for _, own in named))
    drawn = sample(whole.mixtures[1], 2_000, np.random.default_rng(0))
    expected = np.concatenate([rows_of(1, 60), rows_of(11, 40), rows_of(21, 25)]).mean(axis=0)
    assert np.abs(drawn.mean(axis=0) - expected).max() < 5


def test_the_same_set_does_not_count_twice() -> None:
    one, other = made(0), made(1)
    both = merge_sets([(one, set_id(one)), (other, set_id(other))])
    with pytest.raises(StatisticsRepeated):
        merge_sets([(both, set_id(both)), (one, set_id(one))])


def test_a_component_of_few_rows_is_neither_made_nor_read() -> None:
    with pytest.raises(TooFewRowsToHide):
        made(0, rows=19)
    with pytest.raises(TooFewRowsToHide):
        made(0, rows=30, components=4)
    with pytest.raises(TooFewRowsToHide):
        read_set(write_set(made(0, rows=30)), least_rows=31)


def test_another_bank_is_refused() -> None:
    raw = write_set(made(0))
    with pytest.raises(BankMismatch):
        read_set(raw, bytes(32), VALUES)
    with pytest.raises(BankMismatch):
        read_set(raw, BANK, VALUES + 1)


def changed(change: dict[str, object]) -> MixtureSet:
    given = made(0)
    component = replace(given.mixtures[0][0], **change)  # type: ignore[arg-type]  # the names are its own
    return replace(given, mixtures={0: (component,)})


FIRST: Component = made(0).mixtures[0][0]


@pytest.mark.parametrize(
    "change",
    [
        {"mean": FIRST.mean * np.nan},
        {"mean": FIRST.mean + 200},
        {"mean": FIRST.mean - 200},
        {"rest": 0.0},
        {"rest": float("inf")},
        {"variances": FIRST.variances[::-1]},
        {"variances": FIRST.variances * 1e4},
        {"directions": FIRST.directions * 2},
        {"directions": FIRST.directions[:, [0, 0, 1]]},
    ],
)
def test_mixtures_that_no_rows_have_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(MixturesForged):
        read_set(write_set(changed(change)), BANK, VALUES)


def test_more_directions_than_rows_are_refused() -> None:
    given = made(0, rows=60)
    with pytest.raises(MixturesForged):
        check_set(replace(given, rows={0: (3,)}), BANK, VALUES, least_rows=1)


RAW = write_set(made(0, 1))
BODY = canonical_set(made(0, 1))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"engram statistics 1\n" + RAW,
        RAW[:-1],
        RAW + b"x",
        MIXTURES_MAGIC,
        MIXTURES_MAGIC + b"not deflated",
        MIXTURES_MAGIC + zlib.compress(BODY[:-4]),
        MIXTURES_MAGIC + zlib.compress(BODY + bytes(4)),
        MIXTURES_MAGIC + zlib.compress(BODY[:3]),
        MIXTURES_MAGIC + zlib.compress(BODY[:20]),
    ],
)
def test_damaged_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(MixturesMalformed):
        read_set(raw, BANK, VALUES)


def test_no_changed_byte_is_an_error_of_the_program() -> None:
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        body = bytearray(BODY)
        body[rng.integers(0, 160)] ^= 1 << rng.integers(0, 8)
        try:
            read_set(MIXTURES_MAGIC + zlib.compress(bytes(body)), BANK, VALUES)
        except (MixturesMalformed, MixturesForged, BankMismatch, TooFewRowsToHide):
            refused += 1
    assert refused > 100
