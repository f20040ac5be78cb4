"""The experiment: a cell is one stream in one order with one seed, learned by several models on one chain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engram.nn.seeded import Seeded
from engram.nn.spec import macs_per_row, neurons
from engram.participant.arena.arena import Arena, arena_spec
from engram.participant.arena.examining import Marks, examine, publish
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import Document, Row
from engram.participant.experiments.lifelong.knowledge import Knowledge
from engram.participant.experiments.lifelong.lineage import KEEPER, SCORER, WITNESS, TaughtModel, owner_of
from engram.participant.experiments.lifelong.report import document_of
from engram.participant.experiments.lifelong.rows import CutRows, cut
from engram.participant.experiments.lifelong.streams import STREAMS, Stream, cells_of
from engram.participant.experiments.plan import Cell, Rows, Say, Scale
from engram.participant.view import ChainView
from engram.primitives.types import Hash
from engram.statemachine.parameters import Composition
from engram.statemachine.record import u32
from engram.statemachine.records import Version
from engram.statemachine.rules import Rules

PART_ROWS: Final = 460
"""Rows of a published part: few enough for half a block's multiply-accumulates at 20 million a row. So a
block that holds one scoring is light, and fees do not rise.
"""
PUBLISHED_AT_ONCE: Final = 4
"""Parts that are sent before the first of them is waited for: about a third of a block's bytes."""


def rules_of(*, open_gate: bool) -> Rules:
    """The default rules of a chain, but for the windows: nobody waits here.

    For a model that is to forget, rounds need no rows of old classes: no founding alone lets it do so.
    """
    rules = Rules(min_window_ticks=1, min_gap_ticks=0, draw_ticks=2, maturity_blocks=3)
    return Rules(**{**vars(rules), "min_old_rows": 0}) if open_gate else rules


@dataclass(frozen=True)
class Lifelong:
    """What `plan.Experiment` asks for."""

    name: str = "lifelong"
    title: str = "What a model knows after it has learned class after class, without old rows"

    def data_sets(self, scale: Scale) -> Sequence[str]:
        sets = [STREAMS[cell.settings["stream"]].data_set for cell in cells_of(scale)]
        return tuple(dict.fromkeys(sets))

    def cells(self, scale: Scale, data: DataFolder) -> Sequence[Cell]:
        return cells_of(scale)

    def run(self, cell: Cell, work: Path, data: DataFolder, say: Say, engine: str) -> Rows:
        return asyncio.run(_CellRun(cell, work, data, say, engine).play())

    def document(self, scale: Scale, rows: Rows) -> Document:
        return document_of(self.title, scale, rows)


class _CellRun:
    """One cell on one chain."""

    def __init__(self, cell: Cell, work: Path, data: DataFolder, say: Say, engine: str) -> None:
        given = cell.settings
        self._say = say
        self._stream: Stream = STREAMS[given["stream"]]
        self._lines = {name: self._stream.lines[name] for name in given["lines"]}
        self._seed = int(given["seed"])
        self._rows: CutRows = cut(self._stream, tuple(given["labels"]), self._seed, data)
        self._knowledge = Knowledge(self._stream, self._rows, self._seed)
        self._about: dict[str, Any] = {
            "stream": self._stream.name,
            "order": int(given["order"]),
            "seed": self._seed,
        }
        actors = (KEEPER, WITNESS, SCORER, *(owner_of(each) for each in range(len(self._stream.sizes))))
        open_gate = any(line.open_gate for line in self._lines.values())
        spec = arena_spec(actors, rules_of(open_gate=open_gate))
        self._arena = Arena(work, spec, lambda notice: None, engine=engine)

    async def play(self) -> Rows:
        growths: list[Row] = []
        accuracies: list[Row] = []
        async with self._arena.running() as arena:
            lineages = [
                TaughtModel(arena, self._stream, place, name, line, self._rows, self._knowledge, self._seed)
                for place, (name, line) in enumerate(self._lines.items())
            ]
            for lineage in lineages:
                await lineage.found()
                self._say(f"{lineage.name}: founded")
            for number in range(len(self._stream.sizes)):
                for lineage in lineages:
                    if await lineage.teach(number):
                        self._say(f"{lineage.name}: taught group {number + 1}")
                self._knowledge.forget(number)
            groups = range(len(self._stream.sizes))
            sets = {number: self._rows.test.of_classes(self._stream.group(number)) for number in groups}
            async with arena.actor(SCORER) as wallet:
                parts = await publish(wallet, sets, PART_ROWS, at_once=PUBLISHED_AT_ONCE)
            self._say("the test rows are on the chain")
            for lineage in lineages:
                growths += await self._growths_of(lineage)
                accuracies += await self._accuracies_of(lineage, parts)
                self._say(f"{lineage.name}: scored")
        return {"growths": growths, "accuracies": accuracies}

    async def _growths_of(self, lineage: TaughtModel) -> list[Row]:
        rows: list[Row] = []
        async with self._arena.client() as client:
            view = ChainView(client)
            for number, taught in enumerate(lineage.taught):
                version = await view.get(Version, lineage.model, u32(taught.version))
                whole = await view.composition(version)
                learned, drawn = _numbers_of(whole)
                rows.append(
                    {
                        **self._about,
                        "line": lineage.name,
                        "group": number,
                        "version": taught.version,
                        "rounds": taught.rounds,
                        "bytes": version.sent_tensor_bytes,
                        "part_bytes": taught.part_bytes,
                        "learned_numbers": learned,
                        "drawn_numbers": drawn,
                        "neurons": neurons(whole.spec),
                        "macs_per_row": macs_per_row(whole.spec),
                        "author_fees": taught.author_fees,
                        "opener_fees": taught.opener_fees,
                        "author_s": round(taught.author_s, 2),
                        "others_s": round(taught.others_s, 2),
                    }
                )
        return rows

    async def _accuracies_of(self, lineage: TaughtModel, parts: Mapping[int, Sequence[Hash]]) -> list[Row]:
        last = len(self._stream.sizes) - 1
        versions = {
            last if lineage.line.joint else number: taught.version
            for number, taught in enumerate(lineage.taught)
        }
        begin = time.process_time()
        asked = [(versions[after], group) for after in versions for group in range(after + 1)]
        async with self._arena.actor(SCORER) as wallet:
            marks = await examine(wallet, lineage.model, asked, parts, at_once=1)
        seconds = time.process_time() - begin
        self._say(f"{lineage.name}: {sum(each.rows for each in marks.values())} rows in {seconds:.1f} s")
        return [
            self._accuracy(lineage.name, after, group, marks[version, group])
            for after, version in versions.items()
            for group in range(after + 1)
        ]

    def _accuracy(self, line: str, after: int, group: int, marks: Marks) -> Row:
        return {
            **self._about,
            "line": line,
            "after": after,
            "group": group,
            "right": marks.correct,
            "rows": marks.rows,
            "nats": marks.nats / marks.rows,
        }


def _numbers_of(whole: Composition) -> tuple[int, int]:
    """How many integers of a network were learned or made by hand, and how many are drawn from seeds."""
    learned = drawn = 0
    segments = (*whole.spec.hidden, *whole.spec.outputs)
    for segment, sources in zip(segments, whole.segments, strict=True):
        for shape, source in zip(segment.parameter_shapes(), (sources.weights, sources.bias), strict=True):
            count = 1
            for side in shape:
                count *= side
            if isinstance(source, Seeded):
                drawn += count
            else:
                learned += count
    return learned, drawn


EXPERIMENT: Final = Lifelong()
