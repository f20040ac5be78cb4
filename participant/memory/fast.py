"""The fast memory: labelled examples that answer at once, in the features of the chain's frozen network.

Nothing is trained. A row belongs to the class whose mean is nearest to what the frozen network computes on
it, or to the class of the nearest example. A class is known from its first example on, also one that the
chain does not know. The memory is bounded; `reservoirs.py` says what is kept when it is full.

Labels are the participant's own numbers. A class may have a name, and the number under which the chain knows
it. When what was learned has been consolidated, its examples are forgotten, because the chain answers now;
examples that arrived after those that were consolidated stay.

This file holds everything in memory and touches no disk; `fast_store.py` keeps it on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.fixed import Int64Array
from engram.nn.network import Features
from engram.participant.memory.checks import Labels, check_features
from engram.participant.memory.errors import FastMemoryMismatch, FastMemoryTooSmall, NothingLearned
from engram.participant.memory.fast_classes import ClassEntry, check_entry, check_free_labels, check_label
from engram.participant.memory.reading import FrozenReader, Readings
from engram.participant.memory.reservoirs import Reservoirs

EXAMPLE_BYTES: Final = 16
"""What an example takes beside its row and its values: its number, its key and its label."""
CHUNK_ROWS: Final = 256
"""So many rows are compared with the examples at once."""


class FastRule(Enum):
    """By what a row is answered."""

    MEAN = "mean"
    """The class with the nearest mean."""
    NEIGHBOUR = "neighbour"
    """The class of the nearest example."""


@dataclass(frozen=True)
class FastLimits:
    """How much the fast memory may keep. The tighter of the two holds."""

    rows: int = 10_000
    bytes: int = 256 * 1024 * 1024
    """Of memory: rows, their values, and EXAMPLE_BYTES each."""

    def capacity(self, inputs: int, values: int) -> int:
        """The most examples, with two bytes for each value. Raises `FastMemoryTooSmall` if it is 0."""
        each = inputs + 2 * values + EXAMPLE_BYTES
        most = min(self.rows, self.bytes // each)
        if most < 1:
            raise FastMemoryTooSmall(expected=f"1 row and {each} bytes", got=(self.rows, self.bytes))
        return most


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples in the order in which they arrived."""

    numbers: Int64Array
    """(n,), rising: the place in everything that ever arrived, from 0."""
    labels: Labels
    """(n,)."""
    rows: Features
    """(n, inputs)."""
    values: Readings
    """(n, values)."""
    before: int
    """Everything with a smaller number had arrived: what `FastMemory.forget` is told."""

    def where(self, mask: npt.NDArray[np.bool_]) -> Examples:
        """Some of the examples."""
        return Examples(
            self.numbers[mask], self.labels[mask], self.rows[mask], self.values[mask], self.before
        )


@dataclass(frozen=True, eq=False)
class Arrival:
    """What a batch does to a memory; nothing has been done yet."""

    first: int
    """The number of the batch's first example."""
    labels: Labels
    """(n,): all of the batch."""
    kept: npt.NDArray[np.int64]
    """Places in the batch of those that are kept, rising."""
    rows: Features
    """(kept, inputs)."""
    values: Readings
    """(kept, values)."""
    lost: tuple[int, ...]
    """Numbers of older examples that go."""
    reservoirs: Reservoirs


@dataclass(frozen=True, eq=False)
class FastAnswers:
    """What the fast memory says about rows."""

    labels: Labels
    """(n,)."""
    distances: npt.NDArray[np.float32]
    """(n,): to the nearest mean or example, in units of the values."""
    margins: npt.NDArray[np.float32]
    """(n,): how much farther the next class is; infinite if there is none."""


class FastMemory:
    """Examples of one participant, for one model. Methods that raise have changed nothing."""

    def __init__(self, reader: FrozenReader, limits: FastLimits, seed: int = 0) -> None:
        """`seed` decides which examples are kept when the memory is full. Raises `FastMemoryTooSmall`."""
        self.reader = reader
        self.next_number = 0
        self._reservoirs = Reservoirs(seed, limits.capacity(reader.inputs, reader.values))
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._labels, self._rows, self._values = _empty(reader)
        self._sums: dict[int, Int64Array] = {}
        self._counts: dict[int, int] = {}
        self._table: dict[int, ClassEntry] = {}

    @property
    def size(self) -> int:
        """The number of examples that are kept."""
        return len(self._slots)

    @property
    def reservoirs(self) -> Reservoirs:
        """The sampling, as it stands; a copy."""
        return self._reservoirs.copy()

    @property
    def labels(self) -> tuple[int, ...]:
        """The classes that have examples, rising."""
        return tuple(sorted(self._counts))

    @property
    def counts(self) -> Mapping[int, int]:
        """The examples of each class that are kept."""
        return dict(sorted(self._counts.items()))

    @property
    def table(self) -> Mapping[int, ClassEntry]:
        """Names and numbers of classes, also of such without examples."""
        return dict(self._table)

    @property
    def size_bytes(self) -> int:
        """What the examples take of `FastLimits.bytes`."""
        return self.size * (self.reader.inputs + 2 * self.reader.values + EXAMPLE_BYTES)

    def entry(self, label: int) -> ClassEntry:
        """What is known of a class beside its examples."""
        return self._table.get(label, ClassEntry())

    def set_entry(self, label: int, entry: ClassEntry) -> None:
        """Names a class, or says which class of the chain it is.

        Raises `ClassNameInvalid`, `DatasetLabelOutOfRange`.
        """
        self._table[check_label(label)] = check_entry(entry)

    def plan(self, rows: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Arrival:
        """What learning rows (n, inputs) with labels (n,) will do; a single example is a batch of one.

        Raises `FeatureCountMismatch`, `FeaturesNotIntegers`, `DatasetLabelOutOfRange`.
        """
        checked = check_features(rows, self.reader.inputs)
        named = check_free_labels(labels, len(checked))
        after = self._reservoirs.copy()
        kept, lost = after.arrive_all(self.next_number, named.tolist())
        places = np.array(kept, dtype=np.int64)
        chosen = checked[places]
        return Arrival(self.next_number, named, places, chosen, self.reader.read(chosen), tuple(lost), after)

    def apply(self, arrival: Arrival) -> None:
        """Does what was planned. Nothing may have been learned or forgotten in between."""
        assert arrival.first == self.next_number, "a plan is applied to the memory that made it"
        for number in arrival.lost:
            self._drop(number)
        for place, row, value in zip(arrival.kept.tolist(), arrival.rows, arrival.values, strict=True):
            self._put(arrival.first + place, int(arrival.labels[place]), row, value)
        self._reservoirs = arrival.reservoirs
        self.next_number += len(arrival.labels)

    def learn(self, rows: npt.NDArray[Any], labels: npt.NDArray[Any]) -> int:
        """Learns a batch; the number of its examples that were kept. Raises as `plan` does."""
        arrival = self.plan(rows, labels)
        self.apply(arrival)
        return len(arrival.kept)

    def restore(
        self, reservoirs: Reservoirs, rows: Mapping[int, tuple[int, Features]], next_number: int
    ) -> None:
        """Takes examples that were kept before: number -> (label, row), as `reservoirs` has kept them."""
        assert not self._slots, "examples are restored into an empty memory"
        numbers = sorted(rows)
        stacked = np.zeros((len(numbers), self.reader.inputs), dtype=np.uint8)
        for place, number in enumerate(numbers):
            stacked[place] = rows[number][1]
        for number, row, value in zip(numbers, stacked, self.reader.read(stacked), strict=True):
            self._put(number, rows[number][0], row, value)
        self._reservoirs, self.next_number = reservoirs, next_number

    def reread(self, reader: FrozenReader) -> None:
        """Reads all examples again, with another network of the same features.

        Growths of a frozen network need no call. Raises `FastMemoryMismatch`.
        """
        if reader.inputs != self.reader.inputs:
            raise FastMemoryMismatch(expected=self.reader.inputs, got=reader.inputs)
        known = self.examples()
        fresh = dict(
            zip(known.numbers.tolist(), zip(known.labels.tolist(), known.rows, strict=True), strict=True)
        )
        self.reader, self._slots, self._free = reader, {}, []
        self._labels, self._rows, self._values = _empty(reader)
        self._sums, self._counts = {}, {}
        self.restore(self._reservoirs, fresh, self.next_number)

    def resize(self, limits: FastLimits) -> None:
        """Changes the limits, and drops what no longer fits. Raises `FastMemoryTooSmall`."""
        capacity = limits.capacity(self.reader.inputs, self.reader.values)
        for number in self._reservoirs.resize(capacity):
            self._drop(number)

    def examples(self, labels: Iterable[int] | None = None) -> Examples:
        """The examples of some classes, by default of all; what a consolidation is made from."""
        numbers = np.array(sorted(self._slots), dtype=np.int64)
        slots = np.array([self._slots[number] for number in numbers.tolist()], dtype=np.int64)
        found = Examples(
            numbers, self._labels[slots], self._rows[slots], self._values[slots], self.next_number
        )
        return found if labels is None else found.where(np.isin(found.labels, list(labels)))

    def forget(self, labels: Iterable[int], before: int) -> int:
        """Forgets the examples of these classes with numbers below `before`; how many there were.

        With them goes what they gave to the class means. The memory they stood in is overwritten.
        """
        gone = self._reservoirs.forget(labels, before)
        for number in gone:
            self._drop(number)
        return len(gone)

    def means(self) -> tuple[Labels, npt.NDArray[np.float32]]:
        """The classes (k,), rising, and the means (k, values) of what is kept. Raises `NothingLearned`."""
        if not self._counts:
            raise NothingLearned
        labels = self.labels
        means = [self._sums[label] / self._counts[label] for label in labels]
        return np.array(labels, dtype=np.uint16), np.stack(means).astype(np.float32)

    def answer(
        self,
        rows: npt.NDArray[Any],
        *,
        rule: FastRule = FastRule.MEAN,
        among: Iterable[int] | None = None,
    ) -> FastAnswers:
        """The classes of rows (n, inputs), of all classes or of those `among` which to choose.

        Raises `NothingLearned` if there is no example of any of them, `FeatureCountMismatch`,
        `FeaturesNotIntegers`.
        """
        return self.answer_values(self.reader.read(rows), rule=rule, among=among)

    def answer_values(
        self, values: Readings, *, rule: FastRule = FastRule.MEAN, among: Iterable[int] | None = None
    ) -> FastAnswers:
        """As `answer`, of rows whose values (n, values) have been read already."""
        labels, means = self.means()
        points, owners = means, labels
        if rule is FastRule.NEIGHBOUR:
            known = self.examples()
            points, owners = known.values.astype(np.float32), known.labels
        if among is not None:
            chosen = np.isin(owners, list(among))
            labels, points, owners = labels[np.isin(labels, list(among))], points[chosen], owners[chosen]
        if not len(labels):
            raise NothingLearned
        squares = np.empty((len(values), len(labels)), dtype=np.float32)
        for begin in range(0, len(values), CHUNK_ROWS):
            chunk = slice(begin, begin + CHUNK_ROWS)
            squares[chunk] = _nearest(values[chunk].astype(np.float32), points, owners, labels)
        return _answers(np.sqrt(squares), labels)

    def _put(self, number: int, label: int, row: Features, value: Readings) -> None:
        if not self._free:
            self._extend()
        slot = self._free.pop()
        self._slots[number] = slot
        self._labels[slot], self._rows[slot], self._values[slot] = label, row, value
        zero = np.zeros(self.reader.values, dtype=np.int64)
        self._sums[label] = self._sums.get(label, zero) + value
        self._counts[label] = self._counts.get(label, 0) + 1

    def _drop(self, number: int) -> None:
        slot = self._slots.pop(number)
        label = int(self._labels[slot])
        self._counts[label] -= 1
        self._sums[label] = self._sums[label] - self._values[slot]
        if not self._counts[label]:
            del self._counts[label], self._sums[label]
        self._labels[slot], self._rows[slot], self._values[slot] = 0, 0, 0
        self._free.append(slot)

    def _extend(self) -> None:
        """Makes room for as many examples again as there are."""
        old = len(self._labels)
        more = max(1, min(max(old, 16), self._reservoirs.capacity - old))
        self._labels = np.concatenate([self._labels, np.zeros(more, dtype=np.uint16)])
        self._rows = np.concatenate([self._rows, np.zeros((more, self.reader.inputs), dtype=np.uint8)])
        self._values = np.concatenate([self._values, np.zeros((more, self.reader.values), dtype=np.uint16)])
        self._free = [*range(old, old + more), *self._free]


def _empty(reader: FrozenReader) -> tuple[Labels, Features, Readings]:
    """Labels, rows and values of no example."""
    return (
        np.zeros(0, dtype=np.uint16),
        np.zeros((0, reader.inputs), dtype=np.uint8),
        np.zeros((0, reader.values), dtype=np.uint16),
    )


def _nearest(
    values: npt.NDArray[np.float32],
    points: npt.NDArray[np.float32],
    owners: Labels,
    labels: Labels,
) -> npt.NDArray[np.float32]:
    """Squared distances (n, labels) of values (n, values) to the nearest point of each label."""
    squares = np.square(points).sum(axis=1) - 2 * (values @ points.T)
    squares += np.square(values).sum(axis=1, keepdims=True)
    nearest = np.stack([squares[:, owners == label].min(axis=1) for label in labels], axis=1)
    return np.asarray(np.maximum(nearest, 0), dtype=np.float32)


def _answers(distances: npt.NDArray[np.float32], labels: Labels) -> FastAnswers:
    order = np.argsort(distances, axis=1, kind="stable")
    rows = np.arange(len(distances))
    nearest = distances[rows, order[:, 0]]
    margins = np.full(len(distances), np.inf, dtype=np.float32)
    if len(labels) > 1:
        margins = distances[rows, order[:, 1]] - nearest
    return FastAnswers(labels[order[:, 0]], nearest, margins)
