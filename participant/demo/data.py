"""Who owns which rows in the demonstration: disjoint shares of a real data set, by seed. No node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engram.participant.datasets import Dataset, concatenate, load_digits, load_mnist_folder
from engram.participant.errors import NotEnoughRows
from engram.participant.training.qat import Budget

OLD_CLASSES: Final = range(6)
NEW_CLASSES: Final = range(6, 10)


@dataclass(frozen=True)
class DemoSize:
    """How much of everything the demonstration uses for one data set."""

    rows: int
    """Rows of every part."""
    again: int
    """Rows of every part where a TRAIN round has to be repeated."""
    parts: int
    """n: parts that the opener commits to in each round."""
    own_old: int
    """Rows of the old classes that each participant owns."""
    own_new: int
    test: int
    """Most rows that are scored at the very end."""
    hidden: int
    """Neurons of version 0."""
    neurons: int
    """New neurons of a growth."""
    training: Budget
    growing: Budget
    leaking: Budget
    commit_window: int
    """Least blocks in which everyone trains and commits; a slow machine takes more."""


DIGITS: Final = DemoSize(
    rows=30,
    again=15,
    parts=4,
    own_old=210,
    own_new=150,
    test=200,
    hidden=32,
    neurons=32,
    training=Budget(steps=500, batch=32),
    growing=Budget(steps=900, batch=32),
    leaking=Budget(steps=500, batch=32),
    commit_window=12,
)
MNIST: Final = DemoSize(
    rows=150,
    again=150,
    parts=4,
    own_old=2_000,
    own_new=1_500,
    test=10_000,
    hidden=64,
    neurons=48,
    training=Budget(steps=900, batch=64),
    growing=Budget(steps=900, batch=64),
    leaking=Budget(steps=300, batch=32),
    commit_window=16,
)
VALIDATION: Final = 2
"""k: parts revealed before training."""
SEALED: Final = 2
"""s: the opener's parts that open last; the third party's is one more."""


@dataclass(frozen=True)
class DemoData:
    """Disjoint shares; nobody holds a row of another."""

    name: str
    size: DemoSize
    founder_old: tuple[Dataset, ...]
    """The opener's rows for each TRAIN round: classes 0-5."""
    auditor_old: tuple[Dataset, ...]
    founder_all: Dataset
    """The opener's rows for the GROW round: all ten classes."""
    auditor_all: Dataset
    own: tuple[Dataset, ...]
    """What each participant trains on, all ten classes; in a TRAIN round it uses 0-5 of them."""
    test: Dataset
    """Rows that no part and no training holds."""


def demo_data(source: str, seed: int, rounds: int, authors: int) -> DemoData:
    """Shares of `digits`, or of MNIST in a folder, for so many authors, with fresh opener's parts for so many
    TRAIN rounds.

    Raises what loading raises, and `NotEnoughRows`.
    """
    rng = np.random.default_rng(seed)
    if source == "digits":
        pool = load_digits().shuffled(rng)
        return _share("digits", DIGITS, pool, None, rounds, authors)
    split = load_mnist_folder(Path(source))
    return _share(split.name, MNIST, split.train.shuffled(rng), split.test, rounds, authors)


def _share(
    name: str, size: DemoSize, pool: Dataset, test: Dataset | None, rounds: int, authors: int
) -> DemoData:
    old, new = _Dealer(pool.of_classes(OLD_CLASSES)), _Dealer(pool.of_classes(NEW_CLASSES))
    part_old = size.rows * len(OLD_CLASSES) // 10
    part_new = size.rows - part_old

    def mixed(parts: int) -> Dataset:
        return concatenate([old.take(parts * part_old), new.take(parts * part_new)])

    part_rows = [size.rows, *[size.again] * (rounds - 1)]
    founder_old = tuple(old.take(size.parts * count) for count in part_rows)
    auditor_old = tuple(old.take(count) for count in part_rows)
    founder_all, auditor_all = mixed(size.parts), mixed(1)
    own = tuple(concatenate([old.take(size.own_old), new.take(size.own_new)]) for _ in range(authors))
    left = concatenate([old.rest(), new.rest()]).interleaved() if test is None else test
    return DemoData(
        name,
        size,
        founder_old,
        auditor_old,
        founder_all,
        auditor_all,
        own,
        left.take(np.arange(min(size.test, left.rows))),
    )


class _Dealer:
    """Gives away rows, each once."""

    def __init__(self, data: Dataset) -> None:
        self._data = data.interleaved()
        self._given = 0

    def take(self, rows: int) -> Dataset:
        if self._given + rows > self._data.rows:
            raise NotEnoughRows(
                "the demonstration needs more rows", expected=self._given + rows, got=self._data.rows
            )
        self._given += rows
        return self._data.take(np.arange(self._given - rows, self._given))

    def rest(self) -> Dataset:
        return self._data.take(np.arange(self._given, self._data.rows))
