"""The records of hospitals: who has which rows, what rows look like on a chain, and what is handed over."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from engram.participant.datasets import concatenate
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.hospitals.baselines import balanced_accuracy, plain_accuracy, tally
from engram.participant.experiments.hospitals.division import PART_ROWS, PARTS, Division, divide
from engram.participant.experiments.hospitals.encoding import Encoder
from engram.participant.experiments.hospitals.federation import Federation
from engram.participant.experiments.hospitals.records import GROUPS, OWNERS, Records, parse
from engram.participant.memory.errors import TooFewRowsToHide
from engram.participant.memory.statistics import LEAST_ROWS, make


@cache
def records() -> Records:
    return parse(DataFolder().thyroid())


@cache
def division() -> Division:
    return divide(records(), 3)


def test_records_of_no_group_or_of_several_are_left_out() -> None:
    found = records()
    assert (found.rows, found.left_out) == (8_890, 282)
    assert np.bincount(found.labels).tolist() == [6_771, 593, 182, 376, 436, 336, 196]
    assert np.bincount(found.owners)[OWNERS.index("WEST")] == 3
    female, unknown = found.flags[:, -2], found.flags[:, -1]
    assert not np.any(female & unknown)
    assert np.isnan(found.measured["TSH"]).sum() > 500


def test_a_row_says_what_is_missing_and_where_its_values_lie() -> None:
    encoder = Encoder.fitted(records(), records().labels == 0)
    rows = encoder.encode(records())
    assert rows.dtype == np.uint8
    missing = np.isnan(records().measured["TSH"])
    at = 1 + 1 + len(encoder.knots["age"]) - 1  # the columns of the age: flag, place, stretches
    assert np.array_equal(rows[:, at] > 0, missing)
    assert not rows[missing, at + 1 : at + len(encoder.knots["TSH"]) + 1].any()
    order = np.argsort(records().measured["TSH"][~missing], kind="stable")
    place = rows[~missing, at + 1][order].astype(int)
    assert np.all(np.diff(place) >= 0), "a larger value never has a lower place"


def test_the_encoder_knows_nothing_of_rows_that_it_was_not_fitted_on() -> None:
    fitted = records().labels < 2
    changed = {name: np.where(fitted, values, 999.0) for name, values in records().measured.items()}
    assert Encoder.fitted(replace(records(), measured=changed), fitted) == Encoder.fitted(records(), fitted)


def test_every_row_is_learned_from_or_opened_or_a_test_row() -> None:
    given = division()
    everything = [*given.training, *given.test, *given.opened, *given.witnessed]
    assert sum(each.rows for each in everything) == records().rows
    whole = concatenate(everything)
    assert np.array_equal(np.bincount(whole.labels), np.bincount(records().labels))


def test_parts_hold_what_their_round_needs() -> None:
    for arrival, opened, witnessed in zip(
        division().rounds, division().opened, division().witnessed, strict=True
    ):
        assert (opened.rows, witnessed.rows) == (PARTS * PART_ROWS, PART_ROWS)
        assert arrival.opener != arrival.witness
        assert set(opened.labels.tolist()) == set(range(arrival.known))
        known = arrival.known if arrival.founding else arrival.classes[0]
        assert set(witnessed.labels.tolist()) == set(range(known)), "a witness of what was there before"


def test_sums_of_all_owners_are_exactly_those_of_all_rows() -> None:
    federation = Federation(division(), division().rounds[0].opener, 0)
    files = [each for owner in range(len(OWNERS)) for each in federation.files_of(owner, 1)]
    merged = federation.merged(reversed(files), 1)
    whole = concatenate(division().training).of_classes([2])
    made = make(federation.banks, whole.features, whole.labels)
    sums, _ = merged[2]
    assert np.array_equal(sums.gram, made.gram)
    assert np.array_equal(sums.sums, made.sums)
    assert sorted(merged) == list(range(len(GROUPS)))


def test_who_has_too_few_rows_hands_nothing_over() -> None:
    federation = Federation(division(), division().rounds[0].opener, 0)
    assert federation.files_of(OWNERS.index("WEST"), LEAST_ROWS) == []
    small = OWNERS.index("SVHD")
    assert [each.label for each in federation.files_of(small, LEAST_ROWS)] == [0]
    few = [each for each in federation.files_of(small, 1) if each.rows < LEAST_ROWS]
    with pytest.raises(TooFewRowsToHide):
        federation.merged(few, LEAST_ROWS)


def test_balanced_accuracy_counts_classes_and_not_rows() -> None:
    labels = np.array([0] * 8 + [1] * 2, dtype=np.uint16)
    right = tally(np.zeros(10, dtype=np.int64), labels)
    assert right == {0: (8, 8), 1: (0, 2)}
    assert balanced_accuracy(right) == 0.5
    assert plain_accuracy(right) == 0.8
