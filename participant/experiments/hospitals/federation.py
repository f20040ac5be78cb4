"""What owners hand over instead of rows, and the growths that are made from it.

An owner makes one file of sums for each class of which it has enough rows to hide in. Whoever makes a growth
reads these files, which are checked, adds them up exactly, and has seen no row but those that the chain has
opened. Classes count the same, however many rows they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from engram.nn.growth import Policy
from engram.participant.datasets import Dataset, concatenate
from engram.participant.experiments.hospitals.division import Division
from engram.participant.experiments.hospitals.records import GROUPS
from engram.participant.memory import statistics_file
from engram.participant.memory.banks import BankRule, Banks, declare
from engram.participant.memory.consolidation import Calibration, Consolidation, Settings
from engram.participant.memory.engines import consolidate
from engram.participant.memory.founding import Founded
from engram.participant.memory.head import empty_head
from engram.participant.memory.playing import Lesson, Memory, taught
from engram.participant.memory.statistics import Statistics, balanced, make, merge
from engram.participant.memory.trunk import Trunk, plain_trunk
from engram.participant.task import Draft, Strategy, Task
from engram.primitives.types import Hash

ENGINE: Final = "gate"
POLICY: Final = Policy.RELATIVE
BANK_NEURONS: Final = 150
SETTINGS: Final = Settings(ridge=3e-2, balanced=True)
CALIBRATION: Final = Calibration(alpha=4.0, fixed=True)
"""Ridge, scale and width were chosen by the balanced accuracy on held-out thirds of training rows, of one
division; test rows were not looked at."""


@dataclass(frozen=True, eq=False)
class SumsFile:
    """A file of sums that an owner hands over: one class."""

    owner: int
    label: int
    rows: int
    raw: bytes
    content: Hash


Summed = dict[int, tuple[Statistics, Hash]]
"""The exact sums of each class, and the content id of each."""


class Federation:
    """A declaration of banks, and the sums that owners hand over for it."""

    def __init__(self, division: Division, founder: int, seed: int) -> None:
        self.division = division
        self.founder = founder
        first = division.training[founder].of_classes(division.rounds[0].classes)
        self.trunk: Trunk = plain_trunk(division.inputs)
        bank_seed = seed.to_bytes(32, "little")
        self.rule: BankRule = declare(
            first.features, seed=bank_seed, width=BANK_NEURONS, count=len(division.rounds)
        )
        self.banks = Banks(self.rule)
        self._first = first

    @property
    def memory(self) -> Memory:
        """What the founder publishes beside the chain."""
        return Memory(ENGINE, 0, self.rule, CALIBRATION, SETTINGS)

    def files_of(self, owner: int, least_rows: int) -> list[SumsFile]:
        """The files of an owner, without the classes of which there are fewer than `least_rows` rows."""
        rows, files = self.division.training[owner], []
        for label in range(len(GROUPS)):
            mine = rows.of_classes([label])
            if mine.rows < max(1, least_rows):
                continue
            sums = make(self.banks, mine.features, mine.labels, least_rows=least_rows)
            content = statistics_file.content_id(sums)
            files.append(SumsFile(owner, label, mine.rows, statistics_file.write(sums), content))
        return files

    def merged(self, files: Iterable[SumsFile], least_rows: int) -> Summed:
        """The exact sums of each class, from files that are read and checked, and the content id of each."""
        read: dict[int, list[tuple[Statistics, Hash]]] = {}
        bank, neurons = self.rule.bank_id, self.rule.neurons
        for each in files:
            sums = statistics_file.read(each.raw, bank, neurons, least_rows=least_rows)
            read.setdefault(each.label, []).append((sums, each.content))
        whole = {label: merge(parts) for label, parts in read.items()}
        return {label: (sums, statistics_file.content_id(sums)) for label, sums in whole.items()}

    def founded(self, sums: Summed) -> Founded:
        """The head of the first classes, from the sums of all who have handed over."""
        classes = self.division.rounds[0].classes
        given = Consolidation(
            empty_head(self.rule.values),
            (),
            self._first.features,
            self._first.labels,
            len(classes),
            POLICY,
            self.banks,
            0,
            calibration=CALIBRATION,
            new_statistics=_balanced([sums[label][0] for label in classes]),
            settings=SETTINGS,
        )
        made = consolidate(ENGINE, given)
        spec, parameters = made.applied(given.base, ())
        return Founded(spec, parameters, CALIBRATION, made, None)

    def grown(self, sums: Summed) -> Strategy:
        """Grows the model by the round's classes from sums alone.

        The only rows that it looks at are those that the chain has opened, and it learns nothing from them.
        """

        def propose(task: Task) -> Draft | None:
            old, classes = task.base.spec.classes, task.round.classes
            if any(label not in sums for label in range(classes)):
                return None
            largest = max(sums[label][0].rows for label in range(classes))
            known, new = (
                balanced([sums[label][0] for label in labels], largest)
                for labels in (range(old), range(old, classes))
            )
            seen = concatenate([Dataset(part.features, part.labels) for part in task.validation])
            named = merge([sums[label] for label in range(classes)])
            lesson = Lesson(seen, known, own_statistics=new, named=statistics_file.content_id(named))
            return taught(self.memory, lesson)(task)

        return propose


def _balanced(items: Sequence[Statistics]) -> Statistics:
    return balanced(items, max(each.rows for each in items))
