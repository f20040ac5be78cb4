"""The contract between an experiment and the framework that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.document import Document, Row

Rows = Mapping[str, Sequence[Row]]
"""The rows of each table, by the table's name."""
Say = Callable[[str], None]
"""Takes a line about what a cell is doing; it is written to the cell's log."""


class Scale(Enum):
    """How much of an experiment is run."""

    QUICK = "quick"
    """Under a minute on one core, with the data that ship with Engram."""
    FULL = "full"


@dataclass(frozen=True)
class Cell:
    """One piece of work that is done as a whole, by one process, and then kept."""

    name: str
    """A file name, unique in its experiment."""
    settings: Mapping[str, Any]
    """JSON values: everything that this cell's rows depend on, beside the code and the data."""
    weight: float = 1.0
    """Its expected share of the time, in any unit; the remaining time is estimated by it."""


class Experiment(Protocol):
    """What a folder of this package offers in its module `experiment`.

    Objects travel to worker processes, so they and all they hold can be pickled.
    """

    @property
    def name(self) -> str:
        """The name on the command line; it is that of the experiment's folder, too."""

    @property
    def title(self) -> str:
        """What the experiment shows, in a few words."""

    def data_sets(self, scale: Scale) -> Sequence[str]:
        """The names of the data sets (`data.DATA_SETS`) that the cells read; they are checked first."""

    def cells(self, scale: Scale, data: DataFolder) -> Sequence[Cell]:
        """The cells, in the order in which they are started."""

    def run(self, cell: Cell, work: Path, data: DataFolder, say: Say, engine: str) -> Rows:
        """Computes the rows of one cell, in a worker process. Blocks. `work` is an empty folder for this run.

        `engine` names what evaluates networks (`node/engines/registry.py`), in nodes and for whoever takes
        part; each gives the same integers. Rows depend on the cell's settings, the code and the data alone;
        what is measured by a clock goes to columns that are marked as measured.
        """

    def document(self, scale: Scale, rows: Rows) -> Document:
        """The report, from the rows of all cells, in the order of the cells."""
