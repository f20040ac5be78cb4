"""Finished cells: one file each, named after the cell, with the digest of what its rows depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from engram.participant.experiments.data import DATA_SETS
from engram.participant.experiments.document import Row
from engram.participant.experiments.plan import Cell, Experiment
from engram.primitives.version import VERSION

_DECIDING: Final = (
    *("nn/**/*.py", "statemachine/**/*.py", "participant/*.py", "participant/arena/*.py"),
    *("participant/memory/*.py", "participant/training/**/*.py"),
    *("participant/experiments/setting.py", "participant/experiments/summing.py"),
)
"""Files of the package whose code decides what an experiment finds, beside its own."""
_TEXT: Final = "report"
"""Files of an experiment whose names begin with this make its report from rows: no row depends on them."""


@dataclass(frozen=True)
class FinishedCell:
    """What one cell has found."""

    digest: str
    seconds: float
    """How long the cell took, by the clock."""
    rows: Mapping[str, Sequence[Row]]

    def to_json(self) -> dict[str, Any]:
        return {"digest": self.digest, "seconds": self.seconds, "rows": self.rows}


def digest_of(experiment: Experiment, cell: Cell, data_sets: Sequence[str], engine: str) -> str:
    """Hexadecimal SHA-256 of the cell's settings, the code, the versions and the data it depends on.

    What an engine computes is what every other computes, but columns that are measured by a clock depend on
    it.
    """
    facts = {
        "cell": [experiment.name, cell.name, dict(cell.settings)],
        "code": code_digest(type(experiment).__module__),
        "versions": versions(),
        "engine": engine,
        "data": {name: dict(DATA_SETS[name].files) for name in data_sets},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def code_digest(module: str) -> str:
    """Hexadecimal SHA-256 of the source of an experiment and of the packages that decide what it finds.

    The source of an experiment is the folder of its module, if that is called `experiment`, or else its file.
    """
    package = Path(__file__).parents[2]
    own = Path(str(import_module(module).__file__))
    sources = {source for pattern in _DECIDING for source in package.glob(pattern)}
    sources |= set(own.parent.glob("*.py")) if own.stem == "experiment" else {own}
    digest = hashlib.sha256()
    for source in sorted(sources):
        if not source.name.startswith(_TEXT):
            name = source.relative_to(package) if source.is_relative_to(package) else source.name
            raw = source.read_bytes()
            digest.update(f"{name}\0{len(raw)}\0".encode() + raw)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """The versions on which results depend."""
    return {"engram": VERSION, "numpy": np.__version__}


def path_of(out: Path, cell: Cell) -> Path:
    """Where a finished cell is kept."""
    return out / "cells" / f"{cell.name}.json"


def load_cell(out: Path, cell: Cell, digest: str) -> FinishedCell | None:
    """The finished cell, if it is kept and was found with the same settings, code and data."""
    try:
        content = json.loads(path_of(out, cell).read_text("utf-8"))
        kept = FinishedCell(content["digest"], float(content["seconds"]), content["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if kept.digest == digest else None
