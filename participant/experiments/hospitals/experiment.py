"""The cells of the experiment: each is one model through all its rounds, on a node of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engram.participant.arena.arena import Arena, arena_spec, key_of
from engram.participant.arena.entries import ChainEntry, entries_of
from engram.participant.arena.examining import NO_MARKS, Marks
from engram.participant.datasets import concatenate
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import Document, Row
from engram.participant.experiments.hospitals import report
from engram.participant.experiments.hospitals.baselines import (
    Right,
    balanced_accuracy,
    learned_at_once,
    plain_accuracy,
    tally,
)
from engram.participant.experiments.hospitals.division import Division, divide
from engram.participant.experiments.hospitals.federation import Federation, Summed, SumsFile
from engram.participant.experiments.hospitals.play import (
    REGISTRY,
    RULES,
    Hospitals,
    RoundResult,
    actors,
    author_of,
)
from engram.participant.experiments.hospitals.records import GROUPS, OWNERS, parse
from engram.participant.experiments.plan import Cell, Rows, Say, Scale
from engram.participant.memory.playing import trained
from engram.participant.memory.statistics import LEAST_ROWS
from engram.participant.task import Strategy

SEEDS: Final = 5
SUMS, EVERYTHING, OWN = "sums", "everything", "own"
"""Growths from merged sums; the same without a least number of rows; and each owner by itself."""
MARGIN_ROWS: Final = 1
"""The least number of rows of sums that stay with their owner."""


@dataclass(frozen=True)
class HospitalsExperiment:
    """See the package's docstring."""

    name: str = "hospitals"
    title: str = "Six hospitals teach one thyroid model and never show rows to each other"

    def data_sets(self, scale: Scale) -> Sequence[str]:
        return ("thyroid",)

    def cells(self, scale: Scale, data: DataFolder) -> Sequence[Cell]:
        if scale is Scale.QUICK:
            return [_cell(SUMS, 0), _cell(OWN, 0)]
        return [_cell(kind, seed) for seed in range(SEEDS) for kind in (SUMS, EVERYTHING, OWN)]

    def run(self, cell: Cell, work: Path, data: DataFolder, say: Say, engine: str) -> Rows:
        kind, seed = str(cell.settings["kind"]), int(cell.settings["seed"])
        division = divide(parse(data.thyroid()), seed)
        played = asyncio.run(_play(kind, seed, division, work, say, engine))
        rows = {
            "rounds": [_round_row(kind, seed, division, each) for each in enumerate(played.rounds)],
            "classes": _class_rows(kind, seed, played),
            "accuracy": [_accuracy_row(kind, seed, played.right(None))],
            "owners": [
                _owner_row(kind, seed, owner, played.right(owner))
                for owner in range(len(OWNERS))
                if division.test[owner].rows
            ],
            "public": _public_rows(kind, seed, played.entries),
            "handed": _handed_rows(kind, seed, division, played.files),
            "opened": _opened_rows(kind, seed, division, len(played.rounds)),
        }
        if kind == SUMS:
            compared = _compared(seed, division)
            rows = {name: [*given, *compared.get(name, [])] for name, given in rows.items()}
        return rows

    def document(self, scale: Scale, rows: Rows) -> Document:
        return report.document(rows)


@dataclass(frozen=True, eq=False)
class HospitalsModel:
    """All rounds of one model, and what nodes say of its versions."""

    rounds: Sequence[RoundResult]
    marks: Mapping[tuple[int, tuple[int, int]], Marks]
    entries: Sequence[ChainEntry]
    files: Sequence[SumsFile]
    division: Division

    @property
    def last(self) -> int:
        """The last version."""
        return max(version for version, _ in self.marks)

    def right(self, owner: int | None, version: int | None = None) -> Right:
        """Right answers and test rows by class, of one owner's rows or of all.

        Of the last version, classes that no round has taught are there too, with no right answer.
        """
        at, found = self.last if version is None else version, dict[int, Marks]()
        for (number, (whose, label)), marks in self.marks.items():
            if number == at and owner in (None, whose):
                found[label] = found.get(label, NO_MARKS) + marks
        right = {label: (marks.correct, marks.rows) for label, marks in found.items()}
        if version is None:
            tests = self.division.test
            labels = concatenate(tests if owner is None else [tests[owner]]).labels
            untaught = [label for label in np.unique(labels).tolist() if label not in right]
            right |= {label: (0, int(np.sum(labels == label))) for label in untaught}
        return dict(sorted(right.items()))


async def _play(
    kind: str, seed: int, division: Division, work: Path, say: Say, engine: str
) -> HospitalsModel:
    federation = Federation(division, division.rounds[0].opener, seed)
    least = LEAST_ROWS if kind == SUMS else MARGIN_ROWS
    files = {owner: federation.files_of(owner, least) for owner in range(len(OWNERS))}
    if kind == OWN:
        summed = {author_of(owner): federation.merged(files[owner], least) for owner in files}
    else:
        summed = {REGISTRY: federation.merged([each for own in files.values() for each in own], least)}
    founder = author_of(federation.founder) if kind == OWN else REGISTRY
    spec = arena_spec(actors(), RULES)
    async with Arena(work / "node", spec, lambda notice: None, engine=engine).running() as arena:
        hospitals = Hospitals(arena, division)
        founded = federation.founded(summed[founder])
        first = await hospitals.found(federation, founded, _founders(federation, summed))
        rounds = [first]
        for number in range(1, len(division.rounds)):
            if not rounds[-1].decided:
                break
            authors = {
                name: federation.grown(sums)
                for name, sums in summed.items()
                if all(label in sums for label in range(division.rounds[number].known))
            }
            rounds.append(await hospitals.grow(number, authors))
            say(f"round {number}: {rounds[-1].winner or 'nobody'} of {len(authors)} authors")
        decided = sum(each.decided for each in rounds)
        marks = await hospitals.examine(decided)
        async with arena.client() as client:
            entries = await entries_of(client, {key_of(name).address: name for name in actors()})
    handed = [] if kind == OWN else [each for own in files.values() for each in own]
    return HospitalsModel(rounds, marks, entries, handed, division)


def _founders(federation: Federation, summed: Mapping[str, Summed]) -> dict[str, Strategy]:
    """The authors of the first round: all who have sums of its classes."""
    classes = federation.division.rounds[0].classes
    return {
        name: trained(federation.trunk, federation.founded(sums))
        for name, sums in summed.items()
        if all(label in sums for label in classes)
    }


def _cell(kind: str, seed: int) -> Cell:
    return Cell(f"{kind}-{seed}", {"kind": kind, "seed": seed})


def _round_row(kind: str, seed: int, division: Division, numbered: tuple[int, RoundResult]) -> Row:
    number, result = numbered
    arrival, round_ = division.rounds[number], result.round
    unseen = sum(part.old_right for part in round_.unseen)
    group = round_.winner_groups[0] if result.decided else None
    return {
        "method": kind,
        "seed": seed,
        "round": number + 1,
        "arrives": ", ".join(GROUPS[label][0] for label in arrival.classes),
        "opener": OWNERS[arrival.opener],
        "witness": OWNERS[arrival.witness],
        "authors": result.authors,
        "winner": result.winner or "nobody",
        "bytes": result.added_bytes,
        "nats": None if group is None else group.loss / 2**24 / group.rows,
        "losable": unseen,
        "lost": None if group is None else group.forgotten,
    }


def _class_rows(kind: str, seed: int, played: HospitalsModel) -> list[Row]:
    return [
        {
            "method": kind,
            "seed": seed,
            "version": version,
            "class": GROUPS[label][0],
            "rows": rows,
            "right": right,
            "recall": 100 * right / rows,
        }
        for version in range(1, played.last + 1)
        for label, (right, rows) in played.right(None, version).items()
    ]


def _accuracy_row(method: str, seed: int, right: Right) -> Row:
    return {
        "method": method,
        "seed": seed,
        "balanced": 100 * balanced_accuracy(right),
        "accuracy": 100 * plain_accuracy(right),
        "rows": sum(rows for _, rows in right.values()),
    }


def _owner_row(method: str, seed: int, owner: int, right: Right) -> Row:
    return {**_accuracy_row(method, seed, right), "owner": OWNERS[owner], "classes": len(right)}


def _compared(seed: int, division: Division) -> dict[str, list[Row]]:
    """The rows of the baselines."""
    everything, test = concatenate(division.training), concatenate(division.test)
    whose = np.repeat(np.arange(len(OWNERS)), [rows.rows for rows in division.test])
    joint = learned_at_once(everything, test, seed)
    most = np.full(test.rows, np.bincount(everything.labels).argmax())
    accuracy = [
        _accuracy_row("joint ridge", seed, tally(joint, test.labels)),
        _accuracy_row("majority class", seed, tally(most, test.labels)),
    ]
    owners: list[Row] = []
    for owner, own in enumerate(division.training):
        alone, mine = learned_at_once(own, test, seed), whose == owner
        accuracy.append(_accuracy_row(f"{OWNERS[owner]} alone", seed, tally(alone, test.labels)))
        if np.any(mine):
            for method, answers in (("alone", alone), ("joint ridge", joint)):
                right = tally(answers[mine], test.labels[mine])
                owners.append(_owner_row(method, seed, owner, right))
    return {"accuracy": accuracy, "owners": owners}


def _public_rows(kind: str, seed: int, entries: Sequence[ChainEntry]) -> list[Row]:
    """The bytes of all transactions, by type and sender."""
    found: dict[tuple[str, str], list[int]] = {}
    for each in entries:
        found.setdefault((each.name, each.sender), []).append(each.size_bytes)
    return [
        {
            "method": kind,
            "seed": seed,
            "type": name,
            "sender": sender,
            "transactions": len(sizes),
            "bytes": sum(sizes),
        }
        for (name, sender), sizes in sorted(found.items())
    ]


def _handed_rows(kind: str, seed: int, division: Division, files: Sequence[SumsFile]) -> list[Row]:
    """What each owner hands over of each class, and what it keeps to itself."""
    made = {(each.owner, each.label): each for each in files}
    return [
        {
            "method": kind,
            "seed": seed,
            "owner": OWNERS[owner],
            "class": GROUPS[label][0],
            "rows": own.of_classes([label]).rows,
            "handed_over": (owner, label) in made,
            "bytes": len(made[owner, label].raw) if (owner, label) in made else 0,
        }
        for owner, own in enumerate(division.training)
        for label in range(len(GROUPS))
        if kind != OWN and own.of_classes([label]).rows
    ]


def _opened_rows(kind: str, seed: int, division: Division, rounds: int) -> list[Row]:
    """How many rows of each owner have become public in rounds, and of how many."""
    found: list[Row] = []
    for owner, own in enumerate(division.training):
        brought = sum(
            rows.rows
            for arrival, opened, witnessed in zip(
                division.rounds[:rounds], division.opened, division.witnessed, strict=False
            )
            for whose, rows in ((arrival.opener, opened), (arrival.witness, witnessed))
            if whose == owner
        )
        found.append(
            {
                "method": kind,
                "seed": seed,
                "owner": OWNERS[owner],
                "training": own.rows,
                "test": division.test[owner].rows,
                "opened": brought,
            }
        )
    return found


EXPERIMENT: Final = HospitalsExperiment()
