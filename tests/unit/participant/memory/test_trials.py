"""Simulated growths: what they count, and the file in which they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engram.participant.memory.banks import declare
from engram.participant.memory.consolidation import Calibration, Settings
from engram.participant.memory.engines import ENGINES
from engram.participant.memory.errors import MemoryFileInvalid
from engram.participant.memory.trials import (
    FOLDS,
    Moments,
    Trial,
    Trials,
    load_trials,
    save_trials,
    try_growths,
)
from engram.participant.training.qat import Budget

CLASSES, ROWS, VALUES = 4, 60, 24


def trial(engine: str, *, apart: float = 60.0, classes: int = CLASSES) -> Trial:
    """Rows of classes around middles that lie so far apart."""
    rng = np.random.default_rng(4)
    labels = rng.permutation(np.repeat(np.arange(classes, dtype=np.uint16), ROWS))
    middles = 128 + apart * rng.normal(size=(classes, VALUES))
    values = np.clip(np.rint(middles[labels] + rng.normal(size=(len(labels), VALUES)) * 25), 0, 255)
    rows = values.astype(np.uint8)
    rule = declare(rows, seed=bytes(32), width=30, count=4)
    return Trial(engine, rule, rows, labels, ENGINES[engine].policies[0])


def tried(given: Trial, settings: Settings | None = None) -> Trials:
    choice = (settings or Settings(ridge=1e-2), Calibration(alpha=4.0, background=300.0))
    said: list[str] = []
    (found,) = try_growths(given, [choice], said.append)
    return found


@pytest.mark.parametrize("engine", ["gate", "analytic", "experts"])
def test_every_row_is_held_out_once_and_every_class_is_new_as_often(engine: str) -> None:
    found = tried(trial(engine))
    assert (found.classes, found.new_classes, found.growths) == (CLASSES, 2, CLASSES * FOLDS)
    assert found.rows == found.before.rows == CLASSES * ROWS
    assert found.judged == found.old.rows == CLASSES * ROWS * 2, "half of the classes are old in each growth"
    assert found.whole.rows == CLASSES * ROWS * CLASSES
    assert found.losable > 0.9 * found.judged
    assert found.share < 0.05


def test_classes_that_are_alike_are_lost_more_often() -> None:
    clear, alike = tried(trial("gate")), tried(trial("gate", apart=8.0))
    assert clear.share < alike.share < 1
    assert clear.whole.mean < alike.whole.mean
    assert alike.worst_class >= alike.share


def test_what_the_naive_engine_forgets_is_seen() -> None:
    quick = Settings(neurons=8, budget=Budget(steps=60))
    found = tried(trial("naive", classes=2), quick)
    assert found.growths == 2
    assert found.share > 0.5


def test_one_class_has_no_growth_to_simulate() -> None:
    found = tried(trial("gate", classes=1))
    assert (found.growths, found.judged, found.share) == (0, 0, 0.0)


def test_the_choices_are_tried_on_the_same_rows() -> None:
    choices = [(Settings(ridge=ridge), Calibration(alpha=4.0)) for ridge in (1e-4, 1e-1)]
    said: list[str] = []
    weak, strong = try_growths(trial("gate"), choices, said.append)
    assert weak.rows == strong.rows
    assert len(said) == FOLDS, "each fold is told"
    assert weak.whole != strong.whole


def test_trials_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "trials.json"
    found = tried(trial("gate"))
    save_trials(path, found)
    assert load_trials(path) == found


@pytest.mark.parametrize(
    "change",
    [
        {"engram_trials": 2},
        {"lost": "none"},
        {"lost": -1},
        {"lost": None},
        {"before": {}},
        {"before": {"rows": "many"}},
        {"old": 3},
        {"more": 1},
        {"worst_class": float("nan")},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "trials.json"
    save_trials(path, Trials(2, 1, 6, before=Moments(3, 0.1, 0.1)))
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **change}))
    if change == {"before": {}}:
        assert load_trials(path).before == Moments(), "what is missing is 0"
        return
    with pytest.raises(MemoryFileInvalid, match="trials"):
        load_trials(path)


@pytest.mark.parametrize("raw", ["", "[]", "{}", "[" * 100_000])
def test_other_files_are_refused(tmp_path: Path, raw: str) -> None:
    path = tmp_path / "trials.json"
    path.write_text(raw)
    with pytest.raises(MemoryFileInvalid, match="trials"):
        load_trials(path)
    with pytest.raises(MemoryFileInvalid, match="none"):
        load_trials(tmp_path / "none")
