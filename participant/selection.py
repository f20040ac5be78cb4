"""Chooses the rows of a data set that a person brings to a round: a share, some classes, a number of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from engram.participant.datasets import Dataset, load_questions, load_source
from engram.participant.errors import DatasetMismatch, NotEnoughRows
from engram.participant.parts import deal, deal_places
from engram.participant.tables.applying import is_converted, mapping_beside
from engram.participant.tables.errors import LabelsMissing
from engram.participant.tables.examining import DataWarning
from engram.participant.tables.mapping import load_mapping
from engram.participant.tables.raw import Progress, ReadOptions
from engram.participant.tables.repeats import first_alike
from engram.statemachine.records import Model

_MOST_LABELS: Final = 2**16


class RowSource(Protocol):
    """Where the rows of a round come from."""

    def rows_of(self, seed: int) -> Dataset:
        """The rows, in an order drawn from `seed`."""
        ...


@dataclass(frozen=True)
class GivenRows:
    """Rows that are at hand."""

    data: Dataset

    def rows_of(self, seed: int) -> Dataset:
        """The rows, in an order drawn from `seed`."""
        return self.data.shuffled(np.random.default_rng(seed))


@dataclass(frozen=True)
class AskedRows:
    """Rows that a model is to answer."""

    features: npt.NDArray[np.uint8]
    """(rows, inputs)."""
    labels: tuple[int | None, ...]
    """The class of each row; None where the file gives none that is known."""
    rows: tuple[int, ...]
    """The number of each row in the data set, counted from 0; they ascend."""
    mapping: Path | None
    """The mapping that was used."""


@dataclass(frozen=True)
class Selection:
    """What to take from a data set. The same selection and seed give the same rows on every machine."""

    source: str
    """The name or path of the data set, as `datasets.load` takes it."""
    share: tuple[int, int] = (1, 1)
    """(i, n): share i of n, counted from 1. Rows are sorted by class and dealt in turn, in the order of the
    file: row i, i + n, … of the sorted ones. A row that repeats an earlier one goes to the share of that one.
    So shares of the same n have no row in common, not even an equal one, and about the same mix of classes.
    Up to n - 1 rows are left over.
    """
    classes: tuple[int, ...] = ()
    """Labels to keep; () keeps all."""
    relabel: bool = False
    """Replace the kept labels by `first_class`, `first_class` + 1, … in the order of `classes`; if all are
    kept, add `first_class` to each.
    """
    rows: int | None = None
    """How many rows to keep, with about the same mix of classes; None keeps all."""
    first_class: int = 0
    """The number that takes the place of the first label, if labels are replaced."""
    label: str | None = None
    """The label column, as `ReadOptions.label` has it."""
    mapping: Path | None = None
    """A mapping that `engram data convert` has written; its classes are the labels."""

    def rows_of(self, seed: int) -> Dataset:
        """The chosen rows, in an order drawn from `seed`.

        Raises what `datasets.load` raises, and `NotEnoughRows` if there are fewer rows than shares, no row of
        a wanted class, or fewer than `rows` rows.
        """
        return self.chosen(self.read()[0], seed)

    def asked(self, seed: int) -> AskedRows:
        """The chosen rows as questions: they need no labels, and are read as `load_questions` reads them.

        They are the rows that `rows_of` chooses, in the order of the file. Rows without a label are dealt to
        shares as those of a class would be. Raises what `load_questions`
        and `chosen` raise, and `LabelsMissing` if the selection names labels and the file has none.
        """
        found = load_questions(self.source, ReadOptions(label=self.label), self.mapping)
        labels = [
            None if label is None or label >= _MOST_LABELS else label
            for label in found.labels or (None,) * len(found.features)
        ]
        if (not found.labels and self.classes) or (self.relabel and not self.classes and None in labels):
            raise LabelsMissing(
                f"{self.source} has rows without a label: --take-classes, --relabel and --first-class can "
                "choose no row by it, so leave them out",
                got=self.source,
            )
        known = {*labels, *self.classes}
        none = next(number for number in range(_MOST_LABELS) if number not in known)
        numbers = np.array([none if label is None else label for label in labels], dtype=np.uint16)
        # The rows are chosen by their numbers, so that it is known which of the file each of them is.
        places = np.arange(len(numbers), dtype=np.uint32).view(np.uint8).reshape(len(numbers), 4)
        chosen = self.chosen(Dataset(places, numbers), seed, first_alike(found.features))
        rows = np.ascontiguousarray(chosen.features).view(np.uint32)[:, 0]
        order = np.argsort(rows)
        given = [None if label == none and not self.relabel else label for label in chosen.labels.tolist()]
        return AskedRows(
            found.features[rows[order]],
            tuple(given[place] for place in order.tolist()),
            tuple(rows[order].tolist()),
            found.mapping,
        )

    def class_names(self) -> Callable[[int], str]:
        """What each class is called: as the mapping has it, or that beside the file, else by its number.

        Raises what `load_mapping` raises.
        """
        known = self.naming_mapping()
        names = () if known is None else load_mapping(known).classes
        return lambda label: names[label] if label < len(names) else str(label)

    def naming_mapping(self) -> Path | None:
        """The mapping that names the classes: the given one, or that beside the file; None if none does."""
        return None if self.relabel else self.mapping or mapping_beside(self.source)

    def with_mapping_beside(self) -> Selection:
        """The selection with the mapping beside its file, if there is one that has not made the file."""
        if self.mapping is not None or is_converted(self.source):
            return self
        return replace(self, mapping=mapping_beside(self.source))

    def chosen(self, data: Dataset, seed: int, alike: npt.NDArray[np.int64] | None = None) -> Dataset:
        """What the selection takes of all rows of its source.

        `alike` is what `first_alike` says of the rows, where `data` holds something else in their place.
        Raises `NotEnoughRows`, `DatasetMismatch`.
        """
        if self.share[1] > 1:
            data = self._share_of(data, first_alike(data.features) if alike is None else alike)
        data = self._classes_of(data).shuffled(np.random.default_rng(seed))
        if self.rows is None:
            return data
        if data.rows < self.rows:
            raise NotEnoughRows("the selection has too few rows", expected=self.rows, got=data.rows)
        return deal(data, 1, self.rows)[0]

    def _share_of(self, data: Dataset, alike: npt.NDArray[np.int64]) -> Dataset:
        """The rows of the share: of those that repeat no earlier one some are dealt, their repeats follow."""
        number, shares = self.share
        firsts = np.flatnonzero(alike == np.arange(data.rows))
        if len(firsts) < shares:
            raise NotEnoughRows(
                f"{self.source} has too few different rows for {shares} shares",
                expected=shares,
                got=len(firsts),
            )
        dealt = firsts[deal_places(data.labels[firsts], shares, len(firsts) // shares)[number - 1]]
        follow = np.isin(alike, dealt)
        follow[firsts] = False
        return data.take(np.concatenate([dealt, np.flatnonzero(follow)]))

    def read(self, progress: Progress | None = None) -> tuple[Dataset, tuple[DataWarning, ...]]:
        """All rows of the source, and what is doubtful about how it was read. Raises as `load_source`."""
        return load_source(self.source, ReadOptions(label=self.label, progress=progress), self.mapping)

    def read_once(self, progress: Progress | None = None) -> tuple[ReadSelection, tuple[DataWarning, ...]]:
        """As `read`, for rows that are chosen several times. Raises as `load_source`."""
        data, warnings = self.read(progress)
        return ReadSelection(self, data), warnings

    def _classes_of(self, data: Dataset) -> Dataset:
        if not self.classes:
            return self._moved(data) if self.relabel else data
        for label in self.classes:
            if not bool(np.any(data.labels == label)):
                raise NotEnoughRows(f"{self.source} has no rows of class {label}", got=label)
        kept = data.of_classes(self.classes)
        if not self.relabel:
            return kept
        names = np.zeros(max(self.classes) + 1, dtype=np.uint16)
        names[list(self.classes)] = np.arange(self.first_class, self.first_class + len(self.classes))
        return Dataset(kept.features, names[kept.labels])

    def _moved(self, data: Dataset) -> Dataset:
        """The data with `first_class` added to every label. Raises `DatasetMismatch` above 65,535."""
        labels = data.labels.astype(np.int64) + self.first_class
        if (highest := int(labels.max())) >= 2**16:
            raise DatasetMismatch("a label is above 65535", expected=2**16 - 1, got=highest)
        return Dataset(data.features, labels.astype(np.uint16))


@dataclass(frozen=True)
class ReadSelection:
    """A selection whose source has been read."""

    selection: Selection
    data: Dataset

    def rows_of(self, seed: int) -> Dataset:
        """As `Selection.rows_of`. Raises `NotEnoughRows`, `DatasetMismatch`."""
        return self.selection.chosen(self.data, seed)

    def of_all_shares(self, seed: int) -> Dataset:
        """As `rows_of`, of all shares together. Raises as that."""
        return replace(self.selection, share=(1, 1), rows=None).chosen(self.data, seed)


def check_inputs(data: Dataset, model: Model) -> None:
    """Raises `DatasetMismatch` unless the rows have as many features as the model has inputs."""
    if data.inputs != model.inputs:
        text = "the rows do not have as many features as the model has inputs"
        raise DatasetMismatch(text, expected=model.inputs, got=data.inputs)


def check_labels(data: Dataset, classes: int) -> None:
    """Raises `DatasetMismatch` if a label is not below `classes`.

    The chain aborts a round when its opener reveals such a label, and the opener loses bond.
    """
    if (highest := int(data.labels.max())) >= classes:
        raise DatasetMismatch(
            "the highest label is not a class of the round", expected=f"at most {classes - 1}", got=highest
        )
