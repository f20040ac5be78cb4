"""Which part joins a model's retention parts, and which leaves a full list."""

from dataclasses import replace
from typing import Final

import pytest

from engram.nn.fixed import ln_q24
from engram.primitives.codec import decode, encode
from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.draw import rank
from engram.statemachine.rounds.records import OpenedPart, PartScore, RetentionScore, Round
from engram.statemachine.rounds.retention import entry_bar, joining_part, limit_parts, next_retention
from engram.statemachine.rules import Rules
from tests.support.round_samples import a_candidate, a_model
from tests.support.rounds import make_part, train_terms

SEED = b"\x33" * 32
ROUND = Round(
    bytes(32),
    bytes(32),
    bytes(20),
    train_terms([make_part(index, parts=4) for index in range(4)], rows=120),
    opened=1,
    version=0,
    base=bytes(32),
    classes=5,
    seed=SEED,
)


def opened(name: int, *, complete: bool = True) -> OpenedPart:
    return OpenedPart(bytes([name]) * 32, bytes(20), PartScore(9, 9), complete)


def kept(name: int, classes: int, rows: int = 100) -> RetentionPart:
    return RetentionPart(bytes([name]) * 32, rows, classes, 1, 1)


def by_rank(*names: int) -> list[int]:
    return sorted(names, key=lambda name: rank(SEED, bytes([name]) * 32))


def test_the_lowest_rank_of_the_parts_with_every_class_joins() -> None:
    first, second, third = by_rank(1, 2, 3)
    round_ = replace(
        ROUND,
        validation_opened=(opened(first, complete=False),),
        sealed_opened=(opened(third), opened(second)),
    )
    winner = replace(
        a_candidate(1, 0, 0), validation=(PartScore(1, 1),), sealed=(PartScore(33, 3), PartScore(22, 2))
    )
    joined = joining_part(a_model(), round_, winner)
    assert joined == RetentionPart(bytes([second]) * 32, rows=120, classes=5, correct=2, bar=3_240)


def test_an_incomplete_part_joins_where_there_is_no_other() -> None:
    round_ = replace(ROUND, validation_opened=(opened(1, complete=False),))
    winner = replace(a_candidate(1, 0, 0), validation=(PartScore(4, 3),), sealed=())
    assert joining_part(a_model(), round_, winner).part == bytes([1]) * 32


LN_5: Final = 27_001_887
"""ln_q24(5)."""


@pytest.mark.parametrize(
    ("threshold_ppm", "loss", "expected"),
    [
        (100_000, 2_700_187, 2_700_188),
        (100_000, 2_700_189, 2_700_189),
        (100_000, 0, 2_700_188),
        (1_000_000, 1, LN_5),
        (1, 0, 27),
    ],
)
def test_the_bar_is_the_loss_or_that_of_the_threshold(threshold_ppm: int, loss: int, expected: int) -> None:
    assert ln_q24(5) == LN_5
    assert entry_bar(replace(a_model(), threshold_ppm=threshold_ppm), 5, 1, loss) == expected


def test_one_class_has_no_threshold_loss() -> None:
    assert entry_bar(a_model(), 1, 1_000, 7) == 7


def test_what_the_null_growth_costs_is_added_to_what_stays() -> None:
    model = replace(a_model(replace(kept(7, 2), bar=100), replace(kept(8, 3), bar=200)), threshold_ppm=0)
    scores = tuple(
        RetentionScore(bytes([name]) * 32, PartScore(5, 5), increase) for name, increase in ((8, 20), (7, 10))
    )
    round_ = replace(ROUND, validation_opened=(opened(1),))
    winner = replace(a_candidate(1, 0, 0, retention=scores), validation=(PartScore(4, 3),), sealed=())
    assert [part.bar for part in next_retention(Rules(), model, round_, winner)] == [110, 220, 4]


def test_a_bar_that_would_pass_its_width_stays_at_the_end_of_it() -> None:
    full = replace(kept(1, 2), bar=2**64 - 10)
    model = replace(a_model(), retention=(full,))
    scores = (RetentionScore(full.part, PartScore(1, 1), 2**55),)
    round_ = replace(ROUND, validation_opened=(opened(2),))
    winner = replace(a_candidate(1, 0, 0, retention=scores), validation=(PartScore(4, 3),), sealed=())
    grown = replace(model, retention=next_retention(Rules(), model, round_, winner))
    assert grown.retention[0].bar == 2**64 - 1
    assert decode(Model, encode(grown)) == grown


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
