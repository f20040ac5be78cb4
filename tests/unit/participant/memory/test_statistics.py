"""Statistics: exact, named by their content, and refused where no rows can have them."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engram.participant.memory.banks import BankRule, Banks
from engram.participant.memory.definite import check_definite
from engram.participant.memory.errors import (
    BankMismatch,
    FeatureCountMismatch,
    FeaturesNotIntegers,
    StatisticsForged,
    StatisticsMalformed,
    StatisticsMissing,
    StatisticsRepeated,
    SumsOverflow,
    TooFewRowsToHide,
)
from engram.participant.memory.statistics import (
    Statistics,
    added,
    balanced,
    by_class,
    check,
    make,
    merge,
    repeated,
    without,
)
from engram.participant.memory.statistics_file import MAGIC, canonical, content_id, read, write

BANKS = Banks(BankRule(bytes([128] * 6), 7, 2, 2, (), bytes(32), 3, 900))
BANK, NEURONS = BANKS.rule.bank_id, BANKS.rule.neurons
RNG = np.random.default_rng(5)
ROWS = RNG.integers(0, 256, (150, 6)).astype(np.uint8)
LABELS = np.repeat(np.array([2, 5, 9], dtype=np.uint16), 50)


def honest() -> Statistics:
    return make(BANKS, ROWS, LABELS)


def test_sums_are_those_of_the_activations() -> None:
    statistics, h = honest(), BANKS.activations(ROWS).astype(np.int64)
    assert statistics.classes == (2, 5, 9)
    assert statistics.counts.tolist() == [50, 50, 50]
    assert np.array_equal(statistics.gram, h.T @ h)
    assert np.array_equal(statistics.sums, np.stack([h[k == LABELS].sum(axis=0) for k in (2, 5, 9)]))
    check(statistics, BANK, NEURONS)


def test_a_file_comes_back_as_it_was() -> None:
    statistics = honest()
    again = read(write(statistics), BANK, NEURONS)
    assert canonical(again) == canonical(statistics)
    assert content_id(again) == content_id(statistics)
    assert np.array_equal(again.gram, statistics.gram)


def test_names_never_change() -> None:
    """Owners with different releases must find the same names for the same sums."""
    rows = (np.arange(240).reshape(40, 6) * 37 % 256).astype(np.uint8)
    statistics = make(BANKS, rows, np.repeat(np.array([0, 3]), 20))
    assert BANK.hex() == "3946de1611cd44112df1fe907bd2505fd1afb79427e04e4051f7a25a8a80ee9c"
    assert content_id(statistics).hex() == "b9dbe8b26f249bedff6b7e1bbe09e6f8ac25ec2d86b61b183fcbb051939f78e9"


def test_a_rows_repetition_multiplies_the_sums() -> None:
    thrice = make(BANKS, np.tile(ROWS, (3, 1)), np.tile(LABELS, 3))
    assert canonical(repeated(honest(), 3)) == canonical(thrice)


def test_a_part_can_be_taken_out_of_the_whole() -> None:
    kept = np.arange(150) < 100
    whole, part = honest(), make(BANKS, ROWS[~kept], LABELS[~kept])
    rest = without(whole, part)
    assert canonical(rest) == canonical(make(BANKS, ROWS[kept], LABELS[kept]))
    with pytest.raises(StatisticsMissing):
        without(rest, part)
    with pytest.raises(StatisticsForged):
        without(part, repeated(part, 2))
    with pytest.raises(BankMismatch):
        without(whole, replace(part, bank=bytes(32)))


def test_classes_of_few_rows_can_be_made_to_count_as_much() -> None:
    kept = np.arange(150) < 110
    parts = by_class(BANKS, ROWS[kept], LABELS[kept], least_rows=1)
    assert [each.rows for each in parts] == [50, 50, 10]
    whole = balanced(parts, 50)
    assert whole.counts.tolist() == [50, 50, 50]
    assert np.array_equal(whole.gram, parts[0].gram + parts[1].gram + 5 * parts[2].gram)


def test_sums_of_classes_come_in_the_asked_order() -> None:
    statistics = honest()
    counts, sums = statistics.of_classes([9, 2])
    assert counts.tolist() == [50, 50]
    assert np.array_equal(sums, statistics.sums[[2, 0]])
    with pytest.raises(StatisticsMissing):
        statistics.of_classes([2, 3])


def moved(row: int, column: int, by: int, *, both: bool = True) -> Callable[[Statistics], Statistics]:
    def forge(honest: Statistics) -> Statistics:
        gram = honest.gram.copy()
        gram[row, column] += by
        if both and row != column:
            gram[column, row] += by
        return replace(honest, gram=gram)

    return forge


def with_sum(place: int, neuron: int, value: int) -> Callable[[Statistics], Statistics]:
    def forge(honest: Statistics) -> Statistics:
        sums = honest.sums.copy()
        sums[place, neuron] = value
        return replace(honest, sums=sums)

    return forge


FORGED: dict[str, Callable[[Statistics], Statistics]] = {
    "not symmetric": moved(0, 3, 1, both=False),
    "negative square": moved(2, 2, -(10**9)),
    "odd square": moved(4, 4, 1),
    "square above its sum": moved(4, 4, 10**8),
    "more than Cauchy and Schwarz allow": moved(1, 6, 10**7),
    "negative product": moved(1, 6, -(10**8)),
    "negative sum": with_sum(0, 0, -2),
    "sum above the rows": with_sum(1, 0, 255 * 51),
    "a mean that leaves no variance": with_sum(1, 0, 255 * 50),
    "counts beyond the sums' room": lambda honest: replace(honest, counts=honest.counts[:2]),
    "classes that fall": lambda honest: replace(honest, classes=(5, 2, 9)),
}


@pytest.mark.parametrize("name", FORGED)
def test_sums_that_no_rows_have_are_refused(name: str) -> None:
    with pytest.raises(StatisticsForged):
        check(FORGED[name](honest()), BANK, NEURONS)


def test_sums_of_no_real_rows_are_found_by_the_slow_check() -> None:
    check_definite(honest())
    gram = honest().gram.copy()
    first, second = np.argsort(np.diagonal(gram))[-2:]
    gram[first, second] = gram[second, first] = int(np.sqrt(float(gram[first, first]) * gram[second, second]))
    forged = replace(honest(), gram=gram)
    check(forged, BANK, NEURONS)
    with pytest.raises(StatisticsForged):
        check_definite(forged)


def test_a_forged_file_is_refused_when_it_is_read() -> None:
    forged = moved(1, 6, 10**7)(honest())
    with pytest.raises(StatisticsForged):
        read(write(forged), BANK, NEURONS)


def test_few_rows_are_refused_by_who_makes_and_who_reads() -> None:
    with pytest.raises(TooFewRowsToHide):
        make(BANKS, ROWS, LABELS, least_rows=51)
    with pytest.raises(TooFewRowsToHide):
        read(write(make(BANKS, ROWS[:60], LABELS[:60], least_rows=10)), BANK, NEURONS)


def test_another_banks_sums_are_refused() -> None:
    with pytest.raises(BankMismatch):
        read(write(honest()), bytes(32), NEURONS)
    with pytest.raises(BankMismatch):
        check(honest(), BANK, NEURONS + 1)
    foreign = replace(honest(), bank=bytes(32))
    with pytest.raises(BankMismatch):
        merge([(honest(), bytes([1] * 32)), (foreign, bytes([2] * 32))])
    with pytest.raises(BankMismatch):
        added([honest(), foreign])


def test_the_same_file_is_not_counted_twice() -> None:
    first, second = make(BANKS, ROWS[:100], LABELS[:100]), make(BANKS, ROWS[100:], LABELS[100:])
    names = content_id(first), content_id(second)
    both = merge([(first, names[0]), (second, names[1])])
    assert both.sources == tuple(sorted(names))
    with pytest.raises(StatisticsRepeated):
        merge([(both, content_id(both)), (second, names[1])])


def test_nothing_to_merge_and_sums_beyond_64_bits_are_refused() -> None:
    with pytest.raises(StatisticsMissing):
        merge([])
    with pytest.raises(SumsOverflow):
        repeated(honest(), 2**40)
    huge = replace(honest(), counts=np.array([2**62, 2**62, 2**62]))
    with pytest.raises(SumsOverflow):
        check(huge, BANK, NEURONS)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"rows",
        MAGIC,
        MAGIC + b"not deflated",
        MAGIC + zlib.compress(b""),
        MAGIC + zlib.compress(b"\xff\xff\xff\x7f" + bytes(40)),
        write(honest())[:-3],
        write(honest()) + b"\0",
        MAGIC + zlib.compress(canonical(honest()) + b"\0"),
        MAGIC + zlib.compress(canonical(honest())[:-8]),
        MAGIC + zlib.compress(bytes(2**23)),
    ],
)
def test_damaged_files_are_refused(raw: bytes) -> None:
    with pytest.raises(StatisticsMalformed):
        read(raw, BANK, NEURONS)


def test_no_more_is_unpacked_than_the_header_asks_for() -> None:
    raw = MAGIC + zlib.compress(canonical(honest()) + bytes(2**26))
    tracemalloc.start()
    with pytest.raises(StatisticsMalformed):
        read(raw, honest().bank, honest().neurons)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**25


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(FeatureCountMismatch):
        make(BANKS, ROWS[:, :5], LABELS)
    with pytest.raises(FeatureCountMismatch):
        make(BANKS, ROWS, LABELS[:-1])
    with pytest.raises(FeaturesNotIntegers):
        make(BANKS, np.full((150, 6), np.nan), LABELS)
