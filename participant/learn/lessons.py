"""What one growth teaches: rows of new classes, and their sums, kept on disk until the rows are forgotten.

A lesson is made when the growth is trained and not again: the sums that are kept later are those of the rows
that were taught, however many examples have come or gone since. Rows of the round's own parts are never
taught.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np

from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import read_plain, write_private
from engram.participant.datasets import Dataset
from engram.participant.learn.errors import ClassesForeign, LessonDamaged
from engram.participant.learn.matching import LEAST_AGREEMENT, matched
from engram.participant.learn.memories import Memories, Numbering
from engram.participant.memory.disk import disk_errors
from engram.participant.memory.engines import ENGINES, Handover
from engram.participant.memory.fast import Examples
from engram.participant.memory.lessons import lesson_of as lesson_from
from engram.participant.memory.mixture_set import MixtureSet, make_set
from engram.participant.memory.mixtures_file import read_set, write_set
from engram.participant.memory.playing import Lesson
from engram.participant.memory.statistics import Statistics, make
from engram.participant.memory.statistics_file import read, write
from engram.participant.task import Task
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError, InvalidInput
from engram.primitives.types import U16, U32, U64, Hash, Size

MOST_BYTES: Final = 2**30
MOST_CLASSES: Final = 1_024


@dataclass(frozen=True)
class TaughtClass:
    """One class of a lesson."""

    label: U16
    """The participant's own number."""
    chain_class: U16
    """The number on the chain once the growth has won."""
    rows: U32
    """How many rows were taught."""


@dataclass(frozen=True)
class LessonRecord:
    """A lesson on disk."""

    before: U64
    """Every example with a smaller number was there when the lesson was made."""
    classes: Annotated[tuple[TaughtClass, ...], Size(1, MOST_CLASSES)]
    sums: Annotated[bytes, Size(0, MOST_BYTES)]
    """A file of sums of the taught rows; empty if there are none to keep."""
    mixtures: Annotated[bytes, Size(0, MOST_BYTES)]
    """A file of mixtures of the taught rows, likewise."""

    @property
    def became(self) -> dict[int, int]:
        """Label -> class of the chain."""
        return {each.label: each.chain_class for each in self.classes}


class Lessons:
    """The lessons of one participant, each in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder

    def save(self, name: Hash, record: LessonRecord) -> None:
        """Writes the lesson in one step, in place of an older one of this name. Raises `DiskFull`."""
        with disk_errors(self._folder):
            write_private(self._path(name), encode(record))

    def find(self, name: Hash) -> LessonRecord | None:
        """The lesson of this name; None if there is none. Raises `LessonDamaged`."""
        path = self._path(name)
        try:
            return decode(LessonRecord, read_plain(path, 2 * MOST_BYTES), max_bytes=2 * MOST_BYTES)
        except FileNotFoundError:
            return None
        except (CodecError, FileDamaged, NotAFile) as error:
            raise LessonDamaged(f"{path} is damaged: {error}", got=path.name) from error

    def keep_only(self, name: Hash | None) -> None:
        """Removes all lessons but one."""
        for path in self._folder.glob(f"{'[0-9a-f]' * 64}.lesson"):
            if name is None or path != self._path(name):
                path.unlink(missing_ok=True)

    def _path(self, name: Hash) -> Path:
        return self._folder / f"{name.hex()}.lesson"


def contents(memories: Memories, record: LessonRecord) -> list[Statistics | MixtureSet]:
    """The sums and mixtures of a lesson, read again. Raises `LessonDamaged`."""
    rule, found = memories.folder.memory.rule, list[Statistics | MixtureSet]()
    try:
        if record.sums:
            found.append(read(record.sums, rule.bank_id, rule.neurons))
        if record.mixtures:
            found.append(read_set(record.mixtures, rule.bank_id, rule.values))
    except InvalidInput as error:
        raise LessonDamaged(f"what a lesson has to keep is damaged: {error}", got=error.code) from error
    return found


def record_of(memories: Memories, taught: Examples, became: Mapping[int, int]) -> LessonRecord:
    """The record of a lesson of these examples; `became` says which class of the chain each label is.

    Classes with too few rows to hide are taught, but nothing about them is kept.
    """
    memory = memories.folder.memory
    numbers = renumbered(taught, became)
    classes, counts = np.unique(numbers, return_counts=True)
    held = dict(zip(classes.tolist(), counts.tolist(), strict=True))
    shown = np.isin(numbers, [label for label, count in held.items() if count >= memory.least_rows])
    values, labels = taught.values[shown].astype(np.uint8), numbers[shown]
    sums = mixtures = b""
    if len(labels) and hands_over_mixtures(memories):
        settings = memory.settings
        made = make_set(
            *(memory.rule.bank_id, values, labels),
            components=settings.components,
            rank=settings.rank,
            least_rows=memory.least_rows,
        )
        mixtures = write_set(made)
    elif len(labels):
        sums = write(make(memories.banks, values, labels, least_rows=memory.least_rows))
    pairs = sorted(became.items())
    return LessonRecord(
        taught.before,
        tuple(TaughtClass(label, number, held.get(number, 0)) for label, number in pairs),
        *(sums, mixtures),
    )


def hands_over_mixtures(memories: Memories) -> bool:
    """Whether this model's authors hand over mixtures and not sums."""
    return ENGINES[memories.folder.memory.engine].needs is Handover.MIXTURES


def lesson_of(
    memories: Memories, taught: Examples, became: Mapping[int, int], old_classes: int, seed: int
) -> Lesson:
    """What an engine is given: rows numbered as on the chain, and what the folder holds of old classes.

    Raises what the memory folder raises.
    """
    rows = Dataset(taught.rows, renumbered(taught, became))
    return lesson_from(memories.folder, rows, (), old_classes, seed)


def renumbered(given: Examples, became: Mapping[int, int]) -> np.ndarray:
    """The classes of the chain of these examples, uint16 (n,)."""
    table = np.zeros(2**16, dtype=np.uint16)
    table[list(became)] = list(became.values())
    return table[given.labels]


def taught_rows(known: Examples, labels: Mapping[int, int], held: frozenset[bytes]) -> Examples:
    """The examples of these labels, without rows that are held back."""
    mine = known.where(np.isin(known.labels, list(labels)))
    return mine.where(np.array([row.tobytes() not in held for row in mine.rows], dtype=np.bool_))


def classes_in(memories: Memories, task: Task) -> dict[int, int]:
    """Which of the participant's classes are the new ones of a round: label -> class of the chain.

    The rows that the opener has revealed tell: those of each new class must look like examples of one class
    of the participant's own. Where labels are numbered as on the chain, that must be the class of the same
    number. Raises `ClassesForeign`.
    """
    old, new = task.base.spec.classes, task.round.terms.new_classes
    wanted, labels = range(old, old + new), tuple(memories.unknown())
    rows = np.concatenate([part.features for part in task.validation])
    given = np.concatenate([part.labels for part in task.validation])
    chosen = np.isin(given, list(wanted))
    rows, given = rows[chosen], given[chosen]
    least = 0.0 if memories.numbering is Numbering.CHAIN else LEAST_AGREEMENT
    found: dict[int, int] = {}
    if labels and len(rows):
        answers, distances = memories.nearest(rows, labels)
        if memories.numbering is Numbering.OWN:
            answers = np.where(distances <= _reach(memories, labels, answers), answers, -1)
        found = matched(given, answers, wanted, least=least)
    became = {label: number for number, label in found.items()}
    same = memories.numbering is Numbering.OWN or all(label == found[label] for label in found)
    if len(found) < new or -1 in became or not same:
        raise ClassesForeign(
            "the new classes of the round do not look like those that were learned here",
            expected=tuple(wanted),
            got=tuple(sorted(found.values())),
        )
    return became


def _reach(memories: Memories, labels: tuple[int, ...], answers: np.ndarray) -> np.ndarray:
    """For each answer, how far the farthest of nine tenths of the label's own examples lies from its mean."""
    known = memories.examples()
    reach = np.zeros(2**16, dtype=np.float32)
    for label in labels:
        own = known.rows[known.labels == label]
        reach[label] = np.quantile(memories.nearest(own, (label,))[1], 0.9)
    found: np.ndarray = reach[answers]
    return found
