"""Cuts the rows of a data set: what owners train on, what openers and witnesses keep back, and test rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from engram.participant.datasets import Dataset, SplitDataset
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.lifelong.streams import Stream

DIGITS_TEST: Final = 4
"""The digits come without test rows: every row of so many, in an order drawn once, is one."""


@dataclass(frozen=True, eq=False)
class CutRows:
    """Rows with the classes numbered in the order in which they arrive; no row is in two of the sets."""

    train: Dataset
    """What the owners train on."""
    opener: Dataset
    """Training rows from which openers make their parts: validation, sealed and later retention parts."""
    witness: Dataset
    """Training rows from which witnesses make theirs."""
    test: Dataset


def cut(stream: Stream, order: tuple[int, ...], seed: int, data: DataFolder) -> CutRows:
    """The rows of a stream. `seed` draws which training rows are kept back."""
    both = loaded(stream.data_set, data)
    numbers = np.zeros(max(order) + 1, dtype=np.uint16)
    numbers[list(order)] = np.arange(len(order))
    train, test = (Dataset(each.features, numbers[each.labels]) for each in (both.train, both.test))
    rng = np.random.default_rng([seed, 7])
    places: dict[str, list[np.ndarray]] = {"opener": [], "witness": [], "train": []}
    for label in range(stream.classes):
        mine = rng.permutation(np.flatnonzero(train.labels == label))
        kept = stream.opener_rows + stream.witness_rows
        places["opener"].append(mine[: stream.opener_rows])
        places["witness"].append(mine[stream.opener_rows : kept])
        places["train"].append(np.sort(mine[kept:]))
    sets = {name: train.take(np.concatenate(indices)) for name, indices in places.items()}
    return CutRows(sets["train"], sets["opener"], sets["witness"], test)


def loaded(data_set: str, data: DataFolder) -> SplitDataset:
    """The training and the test rows of a data set. Raises what `DataFolder` raises."""
    match data_set:
        case "mnist":
            return data.mnist()
        case "fashion-mnist":
            return data.fashion()
        case "letters":
            return data.letters()
    digits = data.digits()
    drawn = np.random.default_rng(0).permutation(digits.rows)
    is_test = np.arange(digits.rows) % DIGITS_TEST == 0
    return SplitDataset(digits.take(np.sort(drawn[~is_test])), digits.take(np.sort(drawn[is_test])), "digits")
