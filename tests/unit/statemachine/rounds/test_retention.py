"""Which part joins a model's retention parts, and which leaves a full list."""

from dataclasses import replace

import pytest

from engram.statemachine.records import RetentionPart
from engram.statemachine.rounds.draw import rank
from engram.statemachine.rounds.records import OpenedPart, RoundKind
from engram.statemachine.rounds.retention import joining_part, limit_parts, next_retention
from engram.statemachine.rules import Rules
from tests.support.round_samples import a_model, a_round

SEED = b"\x33" * 32
_SAMPLE = a_round(kind=RoundKind.GROW)
ROUND = replace(_SAMPLE, seed=SEED, classes=5, terms=replace(_SAMPLE.terms, rows=120))


def opened(name: int, *, complete: bool = True) -> OpenedPart:
    return OpenedPart(bytes([name]) * 32, bytes(20), 8, 8, 9, complete)


def kept(name: int, classes: int, rows: int = 100) -> RetentionPart:
    return RetentionPart(bytes([name]) * 32, rows, classes)


def by_rank(*names: int) -> list[int]:
    return sorted(names, key=lambda name: rank(SEED, bytes([name]) * 32))


def test_the_lowest_rank_of_the_parts_with_every_class_joins() -> None:
    first, second, third = by_rank(1, 2, 3)
    round_ = replace(
        ROUND, validation_opened=(opened(first, complete=False),), unseen=(opened(third), opened(second))
    )
    assert joining_part(round_) == RetentionPart(bytes([second]) * 32, rows=120, classes=5)


def test_an_incomplete_part_joins_where_there_is_no_other() -> None:
    round_ = replace(ROUND, validation_opened=(opened(1, complete=False),), unseen=())
    assert joining_part(round_).part == bytes([1]) * 32


def test_what_was_kept_stays_in_its_order() -> None:
    model = a_model(kept(7, 2), kept(8, 3))
    found = next_retention(Rules(), model, replace(ROUND, validation_opened=(opened(1),), unseen=()))
    assert [part.part[0] for part in found] == [7, 8, 1]


def test_the_rows_of_all_parts_are_limited_too() -> None:
    low, high = by_rank(2, 3)
    parts = (kept(1, 2, rows=60), kept(low, 3, rows=60), kept(high, 3, rows=60), kept(4, 4, rows=60))
    few = Rules(max_retention_rows=239, min_retention_rows=1)
    assert [part.part[0] for part in limit_parts(few, ROUND, parts)] == [1, high, 4]
    enough = replace(few, max_retention_rows=240)
    assert limit_parts(enough, ROUND, parts) == parts
    alone = replace(few, max_retention_rows=1)
    assert limit_parts(alone, ROUND, parts) == parts[-1:], "the newest stays even if it is too large"


def names_left(limit: int, *parts: RetentionPart) -> list[int]:
    rules = Rules(max_retention_parts=limit)
    return [part.part[0] for part in limit_parts(rules, ROUND, parts)]


def test_nothing_leaves_a_list_that_is_not_full() -> None:
    assert names_left(3, kept(1, 2), kept(2, 2), kept(3, 2)) == [1, 2, 3]


def test_the_only_part_of_a_number_of_classes_stays() -> None:
    low, high = by_rank(2, 3)
    assert names_left(3, kept(1, 2), kept(low, 3), kept(high, 3), kept(4, 4)) == [1, high, 4]


def test_small_parts_leave_first() -> None:
    low, high = by_rank(2, 3)
    assert names_left(3, kept(1, 2), kept(low, 3), kept(high, 3, rows=99), kept(4, 4)) == [1, low, 4]


def test_the_most_frequent_number_of_classes_gives_one_up() -> None:
    low, *rest = by_rank(1, 2, 3)
    parts = [kept(name, 2) for name in (low, *rest)]
    assert names_left(5, kept(8, 3), *parts, kept(9, 3), kept(10, 4)) == [8, *rest, 9, 10]


def test_where_every_part_is_the_only_one_the_newest_still_stays() -> None:
    low, high = by_rank(1, 2)
    assert names_left(2, kept(low, 2), kept(high, 3), kept(9, 4)) == [high, 9]


def test_the_newest_stays_even_if_it_is_small() -> None:
    assert names_left(1, kept(1, 2), kept(2, 2, rows=1)) == [2]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_as_many_leave_as_are_too_many(limit: int) -> None:
    assert len(names_left(limit, *(kept(name, 2) for name in range(1, 7)))) == limit
