"""What an owner hands over instead of rows: integer sums over the neurons of all declared banks.

For rows with activations h: the Gram matrix G = Σ h·hᵀ, and for each class the number of its rows and
s_k = Σ h. They are integers, so sums of several owners add up to exactly the sums of all their rows, in any
order. `sources` names the files that were added up, so nothing is counted twice.

What a file reveals: the mean of each class in these neurons, and second moments of all rows together. From
the sums of few rows the rows themselves can be found; so a file must have a least number of rows of each
class. From two files that differ in one row, that row can be found at any size.

`check` refuses sums that no rows can have, as far as that is cheap to see. It cannot see whether the rows
that somebody has summed up are real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.fixed import Int64Array
from engram.nn.network import Features
from engram.participant.memory.banks import CHUNK_ROWS, Banks
from engram.participant.memory.checks import check_features
from engram.participant.memory.errors import (
    BankMismatch,
    FeatureCountMismatch,
    StatisticsForged,
    StatisticsMissing,
    StatisticsRepeated,
    SumsOverflow,
    TooFewRowsToHide,
)
from engram.participant.memory.gram import add_gram, mirror
from engram.primitives.types import Hash

LEAST_ROWS: Final = 20
"""The least number of rows of a class in a file that leaves its owner, unless the owner asks for more."""
LARGEST: Final = 255
MAX_ROWS: Final = 2**46
"""The most rows whose products, each at most 255², surely fit 63 bits."""
_ROUNDING: Final = 1e-9
"""How far products in float64 may be off, relative to their size."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over rows; `make` and `merge` give valid ones, `check` judges those of strangers."""

    bank: Hash
    """The `bank_id` of the rule by whose neurons they are."""
    classes: tuple[int, ...]
    """The classes that have rows, rising."""
    counts: Int64Array
    """(classes,): the rows of each."""
    sums: Int64Array
    """(classes, neurons): s_k of each."""
    gram: Int64Array
    """(neurons, neurons)."""
    sources: tuple[Hash, ...] = ()
    """The ids of the files that were added up, rising; () for sums that were made from rows."""

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def neurons(self) -> int:
        return len(self.gram)

    def of_classes(self, classes: Sequence[int]) -> tuple[Int64Array, Int64Array]:
        """Counts and sums of these classes, in this order. Raises `StatisticsMissing`."""
        if missing := sorted(set(classes) - set(self.classes)):
            raise StatisticsMissing(expected=tuple(classes), got=f"no sums of class {missing[0]}")
        places = [self.classes.index(label) for label in classes]
        return self.counts[places], self.sums[places]


def make(
    banks: Banks, values: Features, labels: npt.NDArray[Any], *, least_rows: int = LEAST_ROWS
) -> Statistics:
    """The sums of rows whose trunk values are uint8 (n, values) and whose labels are integers (n,).

    `least_rows` is 1 for sums that stay with the owner of the rows. Raises `FeatureCountMismatch`,
    `FeaturesNotIntegers`, `TooFewRowsToHide`.
    """
    rows = check_features(values, banks.rule.values)
    if labels.shape != (len(rows),) or not len(rows):
        raise FeatureCountMismatch(
            "there must be one label for each row", expected=len(rows), got=labels.shape
        )
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    check_counts(counts, classes.tolist(), least_rows)
    neurons = banks.rule.neurons
    sums = np.zeros((len(classes), neurons), dtype=np.int64)
    gram = np.zeros((neurons, neurons), dtype=np.int64)
    for begin in range(0, len(rows), CHUNK_ROWS):
        activations = banks.activations(rows[begin : begin + CHUNK_ROWS])
        add_gram(gram, activations)
        for place in np.unique(places[begin : begin + CHUNK_ROWS]):
            mine = places[begin : begin + CHUNK_ROWS] == place
            sums[place] += activations[mine].sum(axis=0, dtype=np.int64)
    mirror(gram)
    labelled = tuple(int(label) for label in classes)
    return Statistics(banks.rule.bank_id, labelled, counts.astype(np.int64), sums, gram)


def check_counts(counts: npt.NDArray[Any], classes: Sequence[int], least_rows: int) -> None:
    """Refuses sums of too few rows of a class. Raises `TooFewRowsToHide`."""
    for label, count in zip(classes, counts.tolist(), strict=True):
        if count < least_rows:
            raise TooFewRowsToHide(f"class {label} has too few rows", expected=least_rows, got=count)


def merge(items: Sequence[tuple[Statistics, Hash]]) -> Statistics:
    """The sums of all rows of some statistics, each with its content id, see `statistics_file`.

    The result is the same for every order and grouping. Raises `StatisticsMissing` for none, `BankMismatch`,
    `StatisticsRepeated`, `SumsOverflow`.
    """
    if not items:
        raise StatisticsMissing("there are no sums to add up", expected="1 or more", got=0)
    first = items[0][0]
    named = sorted(source for each, own in items for source in (each.sources or (own,)))
    for before, after in pairwise(named):
        if before == after:
            raise StatisticsRepeated(got=after)
    for each, _ in items:
        if each.bank != first.bank or each.neurons != first.neurons:
            raise BankMismatch(expected=first.bank, got=each.bank)
    return replace(
        added([each for each, _ in items]), sources=tuple(named) if len(items) > 1 else first.sources
    )


def added(items: Sequence[Statistics]) -> Statistics:
    """The sums of statistics of one bank that its caller holds and knows to be of different rows.

    Raises `BankMismatch`, `SumsOverflow`.
    """
    first = items[0]
    if foreign := [each.bank for each in items if each.bank != first.bank]:
        raise BankMismatch(expected=first.bank, got=foreign[0])
    _check_size(sum(each.rows for each in items))
    classes = tuple(sorted({label for each in items for label in each.classes}))
    counts = np.zeros(len(classes), dtype=np.int64)
    sums = np.zeros((len(classes), first.neurons), dtype=np.int64)
    gram = np.zeros_like(first.gram)
    for each in items:
        places = [classes.index(label) for label in each.classes]
        counts[places] += each.counts
        sums[places] += each.sums
        gram += each.gram
    return Statistics(first.bank, classes, counts, sums, gram)


def without(whole: Statistics, part: Statistics) -> Statistics:
    """The sums of the rows of `whole` that are not those of `part`; classes without rows left are dropped.

    Raises `BankMismatch`, `StatisticsMissing` for a class that `whole` lacks, `StatisticsForged` if `part`
    has more rows of a class than `whole`.
    """
    if whole.bank != part.bank:
        raise BankMismatch(expected=whole.bank, got=part.bank)
    whole.of_classes(part.classes)
    counts, sums = whole.counts.copy(), whole.sums.copy()
    places = [whole.classes.index(label) for label in part.classes]
    counts[places] -= part.counts
    sums[places] -= part.sums
    if int(counts.min()) < 0:
        raise StatisticsForged("a part has more rows than the whole", got=int(counts.min()))
    kept = [place for place, count in enumerate(counts.tolist()) if count]
    classes = tuple(whole.classes[place] for place in kept)
    return Statistics(whole.bank, classes, counts[kept], sums[kept], whole.gram - part.gram)


def repeated(statistics: Statistics, times: int) -> Statistics:
    """The sums as if every row had been there so many times: for classes that have few rows.

    Raises `SumsOverflow`.
    """
    _check_size(statistics.rows * times)
    return replace(
        statistics,
        counts=statistics.counts * times,
        sums=statistics.sums * times,
        gram=statistics.gram * times,
    )


def balanced(items: Sequence[Statistics], largest: int) -> Statistics:
    """The sums of all items, each repeated so that it has about as many rows as `largest` says.

    With one item for each class, rare classes count as much as common ones. Raises `BankMismatch`,
    `SumsOverflow`.
    """
    return added([repeated(each, max(1, round(largest / each.rows))) for each in items])


def by_class(
    banks: Banks, values: Features, labels: npt.NDArray[Any], *, least_rows: int = LEAST_ROWS
) -> list[Statistics]:
    """The sums of each class by itself, by rising class. Raises what `make` raises."""
    masks = [labels == label for label in np.unique(labels)]
    return [make(banks, values[mask], labels[mask], least_rows=least_rows) for mask in masks]


def check(statistics: Statistics, bank: Hash, neurons: int, *, least_rows: int = LEAST_ROWS) -> None:
    """Refuses statistics of another bank, of too few rows of a class, or of no rows that can exist.

    Raises `BankMismatch`, `TooFewRowsToHide`, `SumsOverflow`, `StatisticsForged`.
    """
    if statistics.bank != bank:
        raise BankMismatch(expected=bank, got=statistics.bank)
    classes, gram, sums = len(statistics.classes), statistics.gram, statistics.sums
    if gram.shape != (neurons, neurons) or sums.shape != (classes, neurons):
        raise BankMismatch(
            "the sums are those of another number of neurons", expected=neurons, got=sums.shape
        )
    if statistics.counts.shape != (classes,) or tuple(sorted(set(statistics.classes))) != statistics.classes:
        raise StatisticsForged("each class has one count, and classes rise", got=statistics.classes)
    check_counts(statistics.counts, statistics.classes, least_rows)
    _check_size(sum(statistics.counts.tolist()))
    _check_sums(statistics)
    _check_gram(statistics)


def _check_size(rows: int) -> None:
    if rows > MAX_ROWS:
        raise SumsOverflow(expected=MAX_ROWS, got=rows)


def _check_sums(statistics: Statistics) -> None:
    """Compares the sums with the diagonal of the Gram matrix: h ≤ h² ≤ 255·h, and h and h² are both odd."""
    squares: Int64Array = np.diagonal(statistics.gram)
    totals: Int64Array = statistics.sums.sum(axis=0)
    if bool(np.any(squares < 0)):
        raise StatisticsForged("a square is negative", expected="0 or more", got=int(squares.min()))
    highest = LARGEST * statistics.counts[:, np.newaxis]
    if bool(np.any((statistics.sums < 0) | (statistics.sums > highest))):
        raise StatisticsForged("a sum does not fit the number of rows", expected=f"0..{LARGEST} a row")
    if bool(np.any((squares < totals) | (squares > LARGEST * totals))):
        raise StatisticsForged("a sum of squares does not fit the sum of the same values")
    if bool(np.any((squares ^ totals) & 1)):
        raise StatisticsForged("a sum and its sum of squares are not both even or both odd")
    means = (statistics.sums.astype(np.float64) ** 2 / statistics.counts[:, np.newaxis]).sum(axis=0)
    if bool(np.any(means > squares * (1 + _ROUNDING))):
        raise StatisticsForged("the values of a class would vary by less than nothing")


def _check_gram(statistics: Statistics) -> None:
    """Symmetry, sign, the bound of Cauchy and Schwarz for every two neurons, and 255 times the lesser sum."""
    gram, totals = statistics.gram, statistics.sums.sum(axis=0)
    roots = np.sqrt(np.diagonal(gram).astype(np.float64)) * (1 + _ROUNDING)
    for row, values in enumerate(gram):
        if not np.array_equal(values, gram[:, row]):
            raise StatisticsForged("the Gram matrix is not symmetric", got=row)
        if int(values.min()) < 0:
            raise StatisticsForged("a product of activations is negative", got=int(values.min()))
        if bool(np.any(values > roots * roots[row])):
            raise StatisticsForged("two neurons agree more than their squares allow", got=row)
        if bool(np.any(values > LARGEST * np.minimum(totals, totals[row]))):
            raise StatisticsForged("a product does not fit the sums of its neurons", got=row)
