"""One setting of the experiment: sizes, and who has which rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from engram.participant.datasets import Dataset, SplitDataset, concatenate
from engram.participant.errors import NotEnoughRows
from engram.participant.experiments.data import DataFolder

OLD: Final = range(6)
"""The digits with which the model is founded."""
NEW: Final = range(6, 10)
"""The digits that the growth adds."""
ALL: Final = range(10)


@dataclass(frozen=True)
class PaperSetting:
    """The sizes of everything."""

    data: str
    """`digits` or `mnist`."""
    seed: int = 0
    hidden: int = 64
    """Hidden neurons of the founded network."""
    neurons: int = 48
    """New neurons of the growth, at most."""
    participants: int = 3
    epochs: int = 3
    """Of each of the two rounds."""
    parts: int = 6
    part_rows: int = 150
    witnesses: int = 1
    """Each seals a part of each round."""
    own_rows: int = 9_000
    """Training rows of all participants together."""
    steps: int = 900
    """Of training, for each participant and epoch."""
    batch: int = 64
    epsilon_ppm: int = 150_000
    """How many old rows a growth may lose, in millionths. A few rows are often harder than all together."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> PaperSetting:
        """The setting of a cell, whose other settings are left out."""
        return cls(**{name: settings[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class Shares:
    """The rows of everybody. No row belongs to two of them."""

    founder: tuple[Dataset, Dataset]
    """The founder's rows of both rounds, from which the parts are made that judge updates."""
    witness: tuple[Dataset, Dataset]
    """The rows of all witnesses, in both rounds."""
    own: tuple[Dataset, ...]
    """What each participant learns from: all ten digits, of which the first round uses the old ones."""
    test: Dataset


def shares_of(setting: PaperSetting, data: DataFolder) -> Shares:
    """Divides the rows by the setting's seed. Raises `NotEnoughRows`."""
    rng = np.random.default_rng(setting.seed)
    split = _split(setting, data, rng)
    old, new = (_Deck(split.train.of_classes(labels)) for labels in (OLD, NEW))
    in_part = setting.part_rows * len(OLD) // len(ALL)
    mine = setting.own_rows // setting.participants
    mine_old = mine * len(OLD) // len(ALL)

    def mixed(parts: int) -> Dataset:
        return concatenate([old.take(parts * in_part), new.take(parts * (setting.part_rows - in_part))])

    rows, parts = setting.part_rows, setting.parts
    founder = old.take(parts * rows), mixed(parts)
    witness = old.take(setting.witnesses * rows), mixed(setting.witnesses)
    own = tuple(
        concatenate([old.take(mine_old), new.take(mine - mine_old)]) for _ in range(setting.participants)
    )
    return Shares(founder, witness, own, split.test)


def _split(setting: PaperSetting, data: DataFolder, rng: np.random.Generator) -> SplitDataset:
    """Training rows, shuffled, and test rows. Of the digits, every fifth row is a test row."""
    if setting.data == "mnist":
        split = data.mnist()
        return SplitDataset(split.train.shuffled(rng), split.test, split.name)
    every = data.digits().shuffled(rng).interleaved()
    tested = np.arange(every.rows) % 5 == 0
    train = every.take(np.flatnonzero(~tested)).shuffled(rng)
    return SplitDataset(train, every.take(np.flatnonzero(tested)), "digits")


class _Deck:
    """Deals the rows of a data set, each of them once, with an even mix of classes."""

    def __init__(self, data: Dataset) -> None:
        self._data, self._dealt = data.interleaved(), 0

    def take(self, rows: int) -> Dataset:
        begin, self._dealt = self._dealt, self._dealt + rows
        if self._dealt > self._data.rows:
            raise NotEnoughRows(expected=self._dealt, got=self._data.rows)
        return self._data.take(np.arange(begin, self._dealt))
