"""Both memories of one participant and the gate between them, for all tasks and threads of one program.

Every method holds one lock and may take a while: a task calls it in a thread. What is learned is on the disk
when the method returns.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engram.nn.network import Features
from engram.participant.datasets import Dataset
from engram.participant.learn.intake import Intake
from engram.participant.learn.policy import Surprise
from engram.participant.memory.banks import Banks
from engram.participant.memory.checks import Labels, check_features
from engram.participant.memory.errors import GramSingular, NothingKnown, StatisticsMissing
from engram.participant.memory.fast import Examples, FastRule
from engram.participant.memory.fast_classes import ClassEntry, check_entry, check_free_labels
from engram.participant.memory.fast_records import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from engram.participant.memory.fast_store import FastStore
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.recall import Recall
from engram.participant.memory.recall_gate import DrawnSides, GateSides, SummedSides
from engram.participant.memory.slow import SlowMemory
from engram.primitives.types import Hash


class Numbering(Enum):
    """What the labels of fed rows mean."""

    CHAIN = "chain"
    """A label is the number of a class of the chain, also of a class that is still to come."""
    OWN = "own"
    """Labels are the participant's own; which classes of the chain they are is found from rows."""


@dataclass(frozen=True)
class Answer:
    """What the participant says about one row."""

    label: int | None
    """The participant's own label; None for a class of the chain that has none."""
    chain_class: int | None
    """The class of the chain; None if the chain does not know it yet."""
    name: str
    fast: bool
    """Whether the fast memory has answered."""
    margin: float
    """How clearly the gate has decided; infinite where there was nothing to decide."""
    version: int | None
    age_ms: int | None

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values; no margin where there was nothing to decide."""
        return {
            "label": self.label,
            "class": self.chain_class,
            "name": self.name,
            "memory": "fast" if self.fast else "slow",
            "margin": self.margin if np.isfinite(self.margin) else None,
            "version": self.version,
            "age_ms": self.age_ms,
        }


@dataclass(frozen=True)
class LearnedBatch:
    """What became of labelled rows."""

    rows: int
    kept: int
    """Rows that the fast memory keeps; it is bounded."""


class Memories:
    """The memories of one participant, for one model. Close it when the program ends."""

    def __init__(
        self,
        store: FastStore,
        slow: SlowMemory,
        folder: MemoryFolder,
        intake: Intake,
        surprise: Surprise | None,
        *,
        numbering: Numbering = Numbering.CHAIN,
        rule: FastRule = FastRule.MEAN,
        batch_bytes: int = MAX_BATCH_BYTES,
    ) -> None:
        """`surprise` counts surprises; None where nobody asks for them. At most `batch_bytes` bytes of rows
        are learned at once. Raises as `MemoryFolder` does.
        """
        self.slow: Final = slow
        self.folder: Final = folder
        self.numbering: Final = numbering
        self.banks: Final = Banks(folder.memory.rule)
        self._store = store
        self._intake = intake
        self._surprise = surprise
        self._lock = threading.Lock()
        self._batch_bytes = batch_bytes
        self._recall = Recall(store.memory, slow, self._sides(), rule=rule)

    def close(self) -> None:
        """Closes the files."""
        with self._lock:
            self._intake.close()
            self._store.close()

    @property
    def inputs(self) -> int:
        """The features of a row."""
        return self._store.memory.reader.inputs

    @property
    def surprise(self) -> float | None:
        """The share of surprises among the last labelled rows; None before there are enough."""
        return None if self._surprise is None else self._surprise.share

    def learn(
        self, rows: npt.NDArray[Any], labels: npt.NDArray[Any], names: Mapping[int, str] | None = None
    ) -> LearnedBatch:
        """Learns rows (n, inputs) with labels (n,), and names of classes. Raises as `FastStore.learn` does,
        and `ClassNameInvalid`.
        """
        checked, named = self._checked(rows, labels)
        for name in (names or {}).values():
            check_entry(ClassEntry(name))
        kept = 0
        with self._lock:
            for begin in range(0, len(checked), self._step):
                chunk = slice(begin, begin + self._step)
                self._intake.settle(self._store.memory.next_number)
                kept += self._learn(checked[chunk], named[chunk])
            for label, name in (names or {}).items():
                entry = self._store.memory.entry(label)
                if entry.name != name:
                    self._store.set_entry(label, replace(entry, name=name))
        return LearnedBatch(len(checked), kept)

    def take(self, name: Hash, data: Dataset) -> int | None:
        """Learns a batch of this name exactly once, also if an earlier run has died in the middle of it.

        How many rows it has; None if it was taken in before. Raises as `learn` does.
        """
        checked, named = self._checked(data.features, data.labels)
        with self._lock:
            if self._intake.is_taken(name):
                return None
            begin = self._intake.begun(name)
            while begin < len(checked):
                end = min(begin + self._step, len(checked))
                self._intake.intend(name, self._store.memory.next_number, begin, end)
                self._learn(checked[begin:end], named[begin:end])
                self._intake.learned()
                begin = end
            self._intake.complete(name)
        return len(checked)

    def was_taken(self, name: Hash) -> bool:
        """Whether a batch of this name was taken in before."""
        with self._lock:
            return self._intake.is_taken(name)

    def answer(self, rows: npt.NDArray[Any]) -> list[Answer]:
        """What both memories say about rows (n, inputs). Raises as `Recall.answer` does."""
        with self._lock:
            given = self._recall.answer(rows)
            table = self._store.memory.table
        own = {entry.chain_class: label for label, entry in table.items() if entry.chain_class is not None}
        answers = []
        for place, number in enumerate(given.labels.tolist()):
            fast = bool(given.fast[place])
            label = number if fast else own.get(number, self._same(number))
            name = "" if label is None else table.get(label, ClassEntry()).name
            margin = float(given.margins[place])
            chain_class = None if fast else number
            answers.append(Answer(label, chain_class, name, fast, margin, given.version, given.age_ms))
        return answers

    def unknown(self) -> dict[int, int]:
        """The labels of classes that the chain lacks, and how many examples of each there are."""
        with self._lock:
            memory = self._store.memory
            return {label: memory.counts[label] for label in self._recall.fast_labels}

    def known(self) -> dict[int, int]:
        """The labels with examples whose classes the chain knows, and which classes these are."""
        with self._lock:
            memory = self._store.memory
            entries = {label: memory.entry(label).chain_class for label in memory.labels}
        return {label: number for label, number in entries.items() if number is not None}

    def names(self) -> dict[int, str]:
        """The names of labels."""
        with self._lock:
            return {label: entry.name for label, entry in self._store.memory.table.items() if entry.name}

    def examples(self) -> Examples:
        """All examples, as they stand now."""
        with self._lock:
            return self._store.memory.examples()

    def read(self, rows: Features) -> Features:
        """The trunk's values, uint8 (n, values), of rows (n, inputs)."""
        with self._lock:
            return self._store.memory.reader.read(rows).astype(np.uint8)

    def nearest(
        self, rows: npt.NDArray[Any], among: tuple[int, ...]
    ) -> tuple[Labels, npt.NDArray[np.float32]]:
        """The fast memory's answer for rows (n, inputs) among some labels, and the distance to it."""
        with self._lock:
            found = self._store.memory.answer(rows, among=among)
        return found.labels, found.distances

    def forget(self, before: int, became: Mapping[int, int]) -> int:
        """Forgets examples numbered below `before` of labels that became classes of the chain.

        How many they were. Raises as `FastStore.forget` does.
        """
        with self._lock:
            self._intake.settle(self._store.memory.next_number)
            gone = self._store.forget(became, before, became)
            if self._surprise is not None:
                self._surprise.clear()
        return gone

    def hand_over(self) -> None:
        """The folder holds other sums or mixtures, or the chain has other classes: makes the gate anew."""
        sides = self._sides()
        with self._lock:
            if sides is not None:
                self._recall.hand_over(sides)

    @property
    def facts(self) -> dict[str, Any]:
        """Sizes, as JSON values."""
        with self._lock:
            memory = self._store.memory
            return {
                "examples": memory.size,
                "capacity": memory.reservoirs.capacity,
                "arrived": memory.next_number,
                "bytes_on_disk": self._store.size_bytes,
            }

    @property
    def _step(self) -> int:
        return max(1, min(MAX_BATCH_ROWS, self._batch_bytes // self.inputs))

    def _checked(self, rows: npt.NDArray[Any], labels: npt.NDArray[Any]) -> tuple[Features, Labels]:
        checked = check_features(rows, self.inputs)
        return checked, check_free_labels(labels, len(checked))

    def _same(self, number: int) -> int | None:
        return number if self.numbering is Numbering.CHAIN else None

    def _learn(self, rows: Features, labels: Labels) -> int:
        self._recognise(labels)
        if self._surprise is not None:
            self._surprise.note(self._surprises(rows, labels).tolist())
        return self._store.learn(rows, labels)

    def _recognise(self, labels: Labels) -> None:
        """A label without examples is a class of the chain if labels are numbered so and the chain has it."""
        known, memory = self.slow.known, self._store.memory
        if known is None or self.numbering is not Numbering.CHAIN:
            return
        for label in np.unique(labels).tolist():
            fresh = label not in memory.counts and memory.entry(label).chain_class is None
            if fresh and label < known.report.network.spec.classes:
                self._store.set_entry(label, replace(memory.entry(label), chain_class=label))

    def _surprises(self, rows: Features, labels: Labels) -> npt.NDArray[np.bool_]:
        """Whether the chain does not answer each row rightly, or does not answer it at all: bool (n,)."""
        memory = self._store.memory
        classes = [memory.entry(label).chain_class for label in labels.tolist()]
        wanted = np.array([-1 if each is None else each for each in classes], dtype=np.int64)
        with suppress(NothingKnown, StatisticsMissing, GramSingular):
            given = self._recall.answer(rows)
            surprised: npt.NDArray[np.bool_] = given.fast | (given.labels != wanted)
            return surprised
        return wanted < 0

    def _sides(self) -> GateSides | None:
        """What the gate is made from: sums of the chain's classes, else mixtures of them, or nothing."""
        known, folder = self.slow.known, self.folder
        classes = 2**16 if known is None else known.report.network.spec.classes
        if (sums := folder.statistics((), classes)) is not None:
            return SummedSides(self.banks, sums)
        if (found := folder.mixture_set((), classes)) is not None:
            return DrawnSides.of(self.banks, found.mixtures, folder.memory.settings)
        return None
