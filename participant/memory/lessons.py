"""The strategy of an author with a memory folder: what the round is about decides what is played.

In the round that founds the model, it brings the network that the folder's founder has learned. In a growth,
it teaches the new classes from the author's own rows and from the folder's sums or mixtures of the old ones,
and names these in the growth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engram.node.epochs import in_epoch
from engram.participant.datasets import Dataset
from engram.participant.memory.engines import ENGINES, Handover
from engram.participant.memory.errors import LessonMissing
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.mixtures_file import set_id
from engram.participant.memory.playing import Lesson, bringing, taught
from engram.participant.memory.statistics_file import content_id
from engram.participant.notices import Notice, Report
from engram.participant.task import Draft, Strategy, Task
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.rounds.records import RoundKind


@dataclass(frozen=True)
class Teaching:
    """What an author brings beside the folder."""

    data: Dataset | None = None
    """Rows of the new classes, numbered as on the chain; those of other classes are left out."""
    files: tuple[Path, ...] = field(default_factory=tuple)
    """Files of sums or mixtures that others have handed over."""
    seed: int = 0


def remembering(folder: MemoryFolder, teaching: Teaching, report: Report) -> Strategy:
    """The strategy. It proposes once in a round, since it would propose the same in every epoch.

    It raises `LessonMissing`, and what `bringing`, `taught` and the folder raise.
    """
    played: set[Hash] = set()

    def propose(task: Task) -> Draft | None:
        if task.round.id in played:
            return None
        draft = made(task)
        played.add(task.round.id)
        return draft

    def made(task: Task) -> Draft | None:
        if task.round.terms.kind == RoundKind.TRAIN:
            return bringing(folder.founding())(task)
        if teaching.data is None:
            raise LessonMissing(got=task.round.terms.new_classes)
        for path in folder.left_out(teaching.files, task.round.old_classes):
            text = f"{path} is left out: it holds rows of a class that is new, which your own rows teach"
            report(Notice(text, "left_out", file=str(path)))
        lesson = lesson_of(folder, teaching.data, teaching.files, task.round.old_classes, teaching.seed)
        own = lesson.rows.of_classes(range(task.round.old_classes, task.round.classes)).rows
        given = "nothing else" if lesson.named == ZERO_HASH else lesson.named.hex()[:12]
        text = f"{in_epoch(task.epoch)}: the growth is solved from {own} own rows and {given}"
        facts = {"epoch": task.epoch, "rows": own, "statistics": lesson.named.hex()}
        report(Notice(text, "consolidating", **facts))
        return taught(folder.memory, lesson)(task)

    return propose


def lesson_of(
    folder: MemoryFolder, rows: Dataset, files: Sequence[Path], old_classes: int, seed: int = 0
) -> Lesson:
    """What an author teaches in a growth of a model with so many classes.

    Files that hold a class which is new are left out: the own rows teach it. Raises what the folder raises.
    """
    needs = ENGINES[folder.memory.engine].needs
    if needs is Handover.STATISTICS:
        sums = folder.statistics(files, old_classes)
        return Lesson(rows, sums, named=content_id(sums) if sums is not None else ZERO_HASH, seed=seed)
    if needs is Handover.MIXTURES:
        found = folder.mixture_set(files, old_classes)
        if found is not None:
            return Lesson(rows, mixtures=found.mixtures, named=set_id(found), seed=seed)
    return Lesson(rows, seed=seed)
