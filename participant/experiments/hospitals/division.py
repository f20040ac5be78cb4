"""Who brings which rows to which round: parts for the chain, test rows, and the rest, which is learned from.

Each owner's records of each class are divided once, by a seed. A quarter are test rows. Then come the rows
that the owner brings to the rounds: as the opener of a round, who is the owner with the most records of the
classes that arrive, or as the witness of old classes, who is the largest other owner. All others are learned
from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.participant.datasets import Dataset
from engram.participant.experiments.hospitals.encoding import Encoder
from engram.participant.experiments.hospitals.records import FIRST_CLASSES, GROUPS, OWNERS, Records

TEST_SHARE: Final = 0.25
PARTS: Final = 3
"""The parts of the opener: one is revealed before authors commit, two are opened after."""
PART_ROWS: Final = 40
NEW_ROWS: Final = 10
"""Rows of each class that arrives in a part of the opener."""
OLD_ROWS: Final = 1
"""Rows of each class that arrived before, in a part; rows of class 0 fill it up."""


@dataclass(frozen=True)
class ArrivalRound:
    """A round: the classes that arrive, and who brings rows to it."""

    classes: tuple[int, ...]
    opener: int
    """A number of `OWNERS`."""
    witness: int

    @property
    def known(self) -> int:
        """The classes after the round."""
        return self.classes[-1] + 1

    @property
    def founding(self) -> bool:
        return self.classes[0] == 0

    def opened_rows(self) -> Counter[int]:
        """How many rows of each class a part of the opener has."""
        wanted = {label: NEW_ROWS for label in self.classes if label}
        wanted |= {label: OLD_ROWS for label in range(1, self.classes[0])}
        return Counter({0: PART_ROWS - sum(wanted.values()), **wanted})

    def witnessed_rows(self) -> Counter[int]:
        """How many rows of each class the part of the witness has: of those that were there before."""
        if self.founding:
            return self.opened_rows()
        wanted = dict.fromkeys(range(1, self.classes[0]), OLD_ROWS)
        return Counter({0: PART_ROWS - sum(wanted.values()), **wanted})


def arrivals(records: Records) -> tuple[ArrivalRound, ...]:
    """The rounds, in their order."""
    first = tuple(range(FIRST_CLASSES))
    groups = [first, *((label,) for label in range(FIRST_CLASSES, len(GROUPS)))]
    found = []
    for classes in groups:
        mine = np.isin(records.labels, classes)
        opener = int(np.argmax(np.bincount(records.owners[mine], minlength=len(OWNERS))))
        sizes = np.bincount(records.owners, minlength=len(OWNERS))
        sizes[opener] = 0
        found.append(ArrivalRound(classes, opener, int(np.argmax(sizes))))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Division:
    """The rows of all owners, encoded and divided."""

    rounds: tuple[ArrivalRound, ...]
    training: tuple[Dataset, ...]
    """By owner."""
    test: tuple[Dataset, ...]
    """By owner."""
    opened: tuple[Dataset, ...]
    """By round: the rows of the opener's parts."""
    witnessed: tuple[Dataset, ...]
    """By round: the rows of the witness's part."""
    inputs: int


def divide(records: Records, seed: int) -> Division:
    """Divides all rows by the seed. The encoder is fitted on the founder's own rows of the first classes."""
    rounds = arrivals(records)
    piles = _piles(records, seed)
    test, left = {}, {}
    for key, pile in piles.items():
        cut = round(TEST_SHARE * len(pile))
        test[key], left[key] = pile[:cut], pile[cut:]

    def draw(owner: int, wanted: Counter[int]) -> list[int]:
        drawn: list[int] = []
        for label, count in wanted.items():
            drawn += left[owner, label][:count].tolist()
            left[owner, label] = left[owner, label][count:]
        return drawn

    opened = [draw(each.opener, _times(each.opened_rows(), PARTS)) for each in rounds]
    witnessed = [draw(each.witness, each.witnessed_rows()) for each in rounds]
    first = [left[rounds[0].opener, label] for label in rounds[0].classes]
    fitted = np.zeros(records.rows, dtype=np.bool_)
    fitted[np.concatenate(first)] = True
    whole = Dataset(Encoder.fitted(records, fitted).encode(records), records.labels)

    def of_owner(chosen: dict[tuple[int, int], npt.NDArray[np.int64]], owner: int) -> Dataset:
        return whole.take(np.concatenate([chosen[owner, label] for label in range(len(GROUPS))]))

    def of_rounds(chosen: Sequence[Sequence[int]]) -> tuple[Dataset, ...]:
        return tuple(whole.take(np.array(each, dtype=np.int64)) for each in chosen)

    owners = range(len(OWNERS))
    return Division(
        rounds,
        tuple(of_owner(left, owner) for owner in owners),
        tuple(of_owner(test, owner) for owner in owners),
        of_rounds(opened),
        of_rounds(witnessed),
        whole.inputs,
    )


def _piles(records: Records, seed: int) -> dict[tuple[int, int], npt.NDArray[np.int64]]:
    """The records of each owner and class, in an order drawn from the seed."""
    rng = np.random.default_rng([seed, len(OWNERS)])
    return {
        (owner, label): rng.permutation(
            np.flatnonzero((records.owners == owner) & (records.labels == label)).astype(np.int64)
        )
        for owner in range(len(OWNERS))
        for label in range(len(GROUPS))
    }


def _times(rows: Counter[int], parts: int) -> Counter[int]:
    return Counter({label: count * parts for label, count in rows.items()})
