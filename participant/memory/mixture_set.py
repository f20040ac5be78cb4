"""Mixtures that an owner hands over instead of rows, with the number of rows behind each component.

The components of several owners make one mixture of a class: each counts as much as it has rows. So sets
merge to the same set in any order. `sources` names the files that were merged, so nothing is counted twice.

What a file reveals: of each component the mean of its rows and the directions in which they vary most, so
about what each of few rows would be. Therefore every component must have a least number of rows. Numbers are
kept in float32, so a set has the same bytes before it is written and after it is read.

`check` refuses mixtures that no rows can have, as far as that is cheap to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.network import Features
from engram.participant.memory import mixtures
from engram.participant.memory.errors import (
    BankMismatch,
    MixturesForged,
    StatisticsMissing,
    StatisticsRepeated,
    TooFewRowsToHide,
)
from engram.participant.memory.mixtures import LEAST_VARIANCE, Component, Mixture
from engram.participant.memory.ridge import Matrix
from engram.participant.memory.statistics import LEAST_ROWS, MAX_ROWS
from engram.primitives.types import Hash

LARGEST: Final = 255
_ROUNDING: Final = 1e-4
"""How far sums of float32 may be off, relative to their size."""


@dataclass(frozen=True, eq=False)
class MixtureSet:
    """Mixtures of some classes; `make_set` and `merge_sets` give valid ones, `check_set` judges others."""

    bank: Hash
    """The `bank_id` of the rule whose trunk gives the values."""
    values: int
    """The number of the trunk's values."""
    mixtures: Mapping[int, Mixture]
    """By class, rising. The share of a component is its rows divided by those of its class."""
    rows: Mapping[int, tuple[int, ...]]
    """The rows of each component of each class."""
    sources: tuple[Hash, ...] = ()
    """The ids of the files that were merged, rising; () for mixtures that were made from rows."""

    @property
    def classes(self) -> tuple[int, ...]:
        return tuple(self.mixtures)

    def count(self, label: int) -> int:
        """The rows of a class."""
        return sum(self.rows[label])


def make_set(
    bank: Hash,
    values: Features,
    labels: npt.NDArray[Any],
    *,
    components: int,
    rank: int,
    seed: int = 0,
    least_rows: int = LEAST_ROWS,
) -> MixtureSet:
    """The mixtures of rows whose trunk values are uint8 (n, values) and whose labels are integers (n,).

    Raises `TooFewRowsToHide` if a component has fewer rows than asked, and what `mixtures.fit` raises.
    """
    found: dict[int, Mixture] = {}
    rows: dict[int, tuple[int, ...]] = {}
    for label in sorted(set(labels.tolist())):
        mine = values[labels == label]
        check_rows(label, [len(mine)], least_rows)
        rng = np.random.default_rng([seed, label])
        fitted = mixtures.fit(mine, components=components, rank=rank, rng=rng)
        rows[label] = tuple(round(each.share * len(mine)) for each in fitted)
        check_rows(label, rows[label], least_rows)
        found[label] = _shared([_rounded(each) for each in fitted], rows[label])
    return MixtureSet(bank, values.shape[1], found, rows)


def check_rows(label: int, rows: Sequence[int], least_rows: int) -> None:
    """Refuses a component of too few rows. Raises `TooFewRowsToHide`."""
    if min(rows) < least_rows:
        raise TooFewRowsToHide(
            f"a component of class {label} has too few rows", expected=least_rows, got=min(rows)
        )


def merge_sets(items: Sequence[tuple[MixtureSet, Hash]]) -> MixtureSet:
    """The mixtures of all rows of some sets, each with its content id, see `mixtures_file`.

    The result is the same for every order and grouping. Raises `StatisticsMissing` for none, `BankMismatch`,
    `StatisticsRepeated`.
    """
    if not items:
        raise StatisticsMissing("there are no mixtures to merge", expected="1 or more", got=0)
    first = items[0][0]
    if len(items) == 1:
        return first
    named = sorted(source for each, own in items for source in (each.sources or (own,)))
    for before, after in pairwise(named):
        if before == after:
            raise StatisticsRepeated(got=after)
    pairs: dict[int, list[tuple[Component, int]]] = {}
    for each, _ in items:
        if each.bank != first.bank or each.values != first.values:
            raise BankMismatch(expected=first.bank, got=each.bank)
        for label, mixture in each.mixtures.items():
            pairs.setdefault(label, []).extend(zip(mixture, each.rows[label], strict=True))
    found, rows = {}, {}
    for label in sorted(pairs):
        ordered = sorted(pairs[label], key=lambda pair: (pair[1], numbers_of(pair[0])))
        rows[label] = tuple(count for _, count in ordered)
        found[label] = _shared([component for component, _ in ordered], rows[label])
    return MixtureSet(first.bank, first.values, found, rows, tuple(named))


def numbers_of(component: Component) -> bytes:
    """The numbers of a component but its share, as float32: rest, mean, variances, directions by rows."""
    given = (np.array([component.rest]), component.mean, component.variances, component.directions)
    return b"".join(np.ascontiguousarray(each, dtype="<f4").tobytes() for each in given)


def component_of(raw: bytes, values: int, rank: int) -> Component:
    """The component whose numbers these are; its share is 1."""
    numbers: Matrix = np.frombuffer(raw, "<f4").astype(np.float64)
    split = 1 + values + rank
    return Component(
        1.0,
        numbers[1 : 1 + values],
        numbers[split:].reshape(values, rank),
        numbers[1 + values : split],
        float(numbers[0]),
    )


def _rounded(component: Component) -> Component:
    return component_of(numbers_of(component), len(component.mean), len(component.variances))


def _shared(components: Sequence[Component], rows: Sequence[int]) -> Mixture:
    total = sum(rows)
    return tuple(replace(each, share=count / total) for each, count in zip(components, rows, strict=True))


def set_of(
    bank: Hash,
    values: int,
    found: Mapping[int, Sequence[tuple[Component, int]]],
    sources: tuple[Hash, ...],
) -> MixtureSet:
    """The set with these components and their rows, by class."""
    rows = {label: tuple(count for _, count in pairs) for label, pairs in found.items()}
    made = {label: _shared([each for each, _ in pairs], rows[label]) for label, pairs in found.items()}
    return MixtureSet(bank, values, made, rows, sources)


def check_set(given: MixtureSet, bank: Hash, values: int, *, least_rows: int = LEAST_ROWS) -> None:
    """Refuses mixtures of another bank, of too few rows of a component, or of no rows that can exist.

    Raises `BankMismatch`, `TooFewRowsToHide`, `MixturesForged`.
    """
    if given.bank != bank or given.values != values:
        raise BankMismatch(expected=(bank, values), got=(given.bank, given.values))
    if sum(sum(counts) for counts in given.rows.values()) > MAX_ROWS:
        raise MixturesForged("there are not so many rows", expected=MAX_ROWS)
    for label, mixture in given.mixtures.items():
        check_rows(label, given.rows[label], least_rows)
        for component, rows in zip(mixture, given.rows[label], strict=True):
            _check_component(component, rows)


def _check_component(component: Component, rows: int) -> None:
    mean, variances, directions = component.mean, component.variances, component.directions
    values, rank = directions.shape
    if not bool(np.all(np.isfinite(np.concatenate([mean, variances, directions.ravel(), [component.rest]])))):
        raise MixturesForged("a number is not finite")
    if rank > min(values, rows) - 1:
        raise MixturesForged(
            "rows cannot vary in so many directions", expected=min(values, rows) - 1, got=rank
        )
    if float(mean.min()) < 0 or float(mean.max()) > LARGEST:
        raise MixturesForged("a mean is none of values", expected=f"0..{LARGEST}", got=float(mean.max()))
    falling = np.concatenate([variances, [component.rest]])
    if component.rest < LEAST_VARIANCE * (1 - _ROUNDING) or bool(np.any(np.diff(falling) > 0)):
        raise MixturesForged("variances do not fall to that of the other directions", got=component.rest)
    if float(np.abs(directions.T @ directions - np.eye(rank)).max(initial=0.0)) > _ROUNDING:
        raise MixturesForged("directions are not orthonormal")
    total = float(variances.sum()) + component.rest * (values - rank)
    possible = float((mean * (LARGEST - mean)).sum()) + values * LEAST_VARIANCE
    if total > possible * (1 + _ROUNDING):
        raise MixturesForged("values of this mean cannot vary so much", expected=possible, got=total)
