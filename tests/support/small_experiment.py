"""An experiment of a second: it counts the digits of some classes; settings make it fail or die."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import (
    Document,
    Heading,
    Plot,
    PlotKind,
    Prose,
    Series,
    Table,
    TableColumn,
)
from engram.participant.experiments.plan import Cell, Rows, Say, Scale

TABLE = "counts"


@dataclass(frozen=True)
class Counting:
    """How many digits there are of a class; one cell a class."""

    folder: Path
    """Every cell that begins leaves a file here."""
    classes: tuple[int, ...] = (0, 1, 2)
    name: str = "counting"
    title: str = "Counts digits."

    def data_sets(self, scale: Scale) -> Sequence[str]:
        return ("digits",)

    def cells(self, scale: Scale, data: DataFolder) -> Sequence[Cell]:
        return [Cell(f"class-{each}", {"class": each}, 1.0 + each) for each in self.classes]

    def run(self, cell: Cell, work: Path, data: DataFolder, say: Say, engine: str) -> Rows:
        label = int(cell.settings["class"])
        say(f"counts {label} with the engine {engine}")
        (self.folder / f"{cell.name}.begun").write_text(str(os.getpid()))
        if (self.folder / f"{cell.name}.fails").exists():
            raise ValueError(f"class {label} cannot be counted")
        if (self.folder / f"{cell.name}.dies").exists():
            os._exit(7)
        if (self.folder / f"{cell.name}.hangs").exists():
            threading.Event().wait()
        assert not list(work.iterdir()), "the folder of a run is empty when it begins"
        rows = data.digits().of_classes([label]).rows
        return {TABLE: [{"class": label, "digits": rows, "share": rows / 1797, "note": "a|b"}]}

    def document(self, scale: Scale, rows: Rows) -> Document:
        given = rows[TABLE]
        columns = (
            TableColumn("class", "class"),
            TableColumn("share", "share, %", ".1%"),
            TableColumn("note", "note"),
        )
        x, y = (
            tuple(float(str(row["class"])) for row in given),
            tuple(float(str(row["digits"])) for row in given),
        )
        plot = Plot("counts", "Digits of each class", PlotKind.BARS, (Series("", x, y),), "class", "digits")
        return Document(
            self.title,
            (
                Heading("What was counted"),
                Prose("All of *them*."),
                Table(TABLE, "Counts", columns, given),
                plot,
            ),
        )
