"""Gives each actor of the demonstration rows of a real data set that nobody else has. No node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engram.participant.datasets import Dataset, concatenate, load_digits, load_mnist_folder
from engram.participant.errors import NotEnoughRows
from engram.participant.training.qat import Budget

OLD_CLASSES: Final = range(6)
"""The classes with which the model is founded."""
NEW_CLASSES: Final = range(6, 10)
"""The classes that the growth adds."""


@dataclass(frozen=True)
class DemoSize:
    """The sizes of everything in the demonstration, for one data set."""

    rows: int
    """Rows of every part. Those of the witness are a group of their own, so they must be enough for one."""
    parts: int
    """n: how many parts the opener commits to in each round."""
    own_old: int
    """Rows of the old classes that each author owns."""
    own_new: int
    """Rows of the new classes that each author owns."""
    test: int
    """The most rows of the test set, which is scored at the end."""
    hidden: int
    """Hidden neurons of version 0."""
    neurons: int
    """The most neurons that a growth may add."""
    training: Budget
    """How the authors train in a TRAIN round."""
    growing: Budget
    """How the authors train in a GROW round."""
    decoys: int
    """For how many rows the leaker teaches its network wrong labels."""
    leaking: Budget
    """How the leaker trains."""


DIGITS: Final = DemoSize(
    rows=40,
    parts=6,
    own_old=180,
    own_new=150,
    test=200,
    hidden=32,
    neurons=32,
    training=Budget(steps=500, batch=32),
    growing=Budget(steps=900, batch=32),
    decoys=80,
    leaking=Budget(steps=1_200, batch=32),
)
MNIST: Final = DemoSize(
    rows=150,
    parts=6,
    own_old=2_000,
    own_new=1_500,
    test=10_000,
    hidden=64,
    neurons=48,
    training=Budget(steps=900, batch=64),
    growing=Budget(steps=900, batch=64),
    decoys=300,
    leaking=Budget(steps=2_000, batch=32),
)
VALIDATION: Final = 1
"""k: how many parts are revealed before training."""
SEALED: Final = 2
"""s: how many of the opener's parts are opened last; the witness's part comes in addition."""


@dataclass(frozen=True)
class DemoData:
    """The rows of each actor. No row belongs to two of them."""

    name: str
    size: DemoSize
    founder_old: Dataset
    """The founder's rows for the TRAIN round: classes 0-5."""
    witness_old: Dataset
    """The witness's rows for the TRAIN round: classes 0-5."""
    founder_all: Dataset
    """The founder's rows for the GROW round: all ten classes."""
    witness_all: Dataset
    """The witness's rows for the GROW round: all ten classes."""
    own: tuple[Dataset, ...]
    """The rows that each author trains on: all ten classes, of which a TRAIN round uses 0-5."""
    test: Dataset
    """The test rows: they are in no part, and nobody trains on them."""


def demo_data(source: str, seed: int, authors: int) -> DemoData:
    """Divides `digits`, or the MNIST in the folder `source`, among `authors` authors and the other actors.

    Raises what loading the data raises, and `NotEnoughRows`.
    """
    rng = np.random.default_rng(seed)
    if source == "digits":
        pool = load_digits().shuffled(rng)
        return _share("digits", DIGITS, pool, None, authors)
    split = load_mnist_folder(Path(source))
    return _share(split.name, MNIST, split.train.shuffled(rng), split.test, authors)


def _share(name: str, size: DemoSize, pool: Dataset, test: Dataset | None, authors: int) -> DemoData:
    old, new = _Dealer(pool.of_classes(OLD_CLASSES)), _Dealer(pool.of_classes(NEW_CLASSES))
    part_old = size.rows * len(OLD_CLASSES) // 10
    part_new = size.rows - part_old

    def mixed(parts: int) -> Dataset:
        return concatenate([old.take(parts * part_old), new.take(parts * part_new)])

    founder_old, witness_old = old.take(size.parts * size.rows), old.take(size.rows)
    founder_all, witness_all = mixed(size.parts), mixed(1)
    own = tuple(concatenate([old.take(size.own_old), new.take(size.own_new)]) for _ in range(authors))
    left = concatenate([old.rest(), new.rest()]).interleaved() if test is None else test
    return DemoData(
        name,
        size,
        founder_old,
        witness_old,
        founder_all,
        witness_all,
        own,
        left.take(np.arange(min(size.test, left.rows))),
    )


class _Dealer:
    """Gives away the rows of a data set, each of them once."""

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
