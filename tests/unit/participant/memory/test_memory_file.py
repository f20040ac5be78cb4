"""The file by which a founder tells other authors what a model's memory is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.participant.memory.banks import declare
from engram.participant.memory.consolidation import Calibration, Settings
from engram.participant.memory.errors import MemoryFileInvalid
from engram.participant.memory.memory_file import MOST_BYTES, load_memory, save_memory
from engram.participant.memory.playing import Memory
from engram.participant.training.qat import Budget

ROWS = np.random.default_rng(1).integers(0, 256, (60, 12)).astype(np.uint8)
MEMORY = Memory(
    "gate",
    3,
    declare(ROWS, seed=bytes(32), width=5, count=4),
    Calibration(alpha=6.5, fixed=True, background=2.25),
    Settings(ridge=1e-4, balanced=True, budget=Budget(steps=7)),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    save_memory(path, MEMORY)
    found = load_memory(path)
    assert found == MEMORY
    assert found.rule.bank_id == MEMORY.rule.bank_id


def test_whole_numbers_stand_for_fractions(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    save_memory(path, replace(MEMORY, calibration=Calibration(alpha=8.0)))
    path.write_text(path.read_text().replace("8.0", "8"))
    assert load_memory(path).calibration.alpha == 8


@pytest.mark.parametrize(
    "change",
    [
        {"engram_memory": 2},
        {"engine": "hearsay"},
        {"engine": None},
        {"trunk_segments": -1},
        {"trunk_segments": True},
        {"trunk_segments": "3"},
        {"bank_rule": {}},
        {"bank_rule": None},
        {"calibration": {"alpha": "8"}},
        {"calibration": {"alpha": None}},
        {"calibration": {"beta": 8.0}},
        {"calibration": 7},
        {"settings": {"ridge": 1e-4}},
        {"settings": []},
    ],
)
def test_anything_else_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "memory.json"
    save_memory(path, MEMORY)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MemoryFileInvalid) as caught:
        load_memory(path)
    assert caught.value.code == "memory_file_invalid"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"\xff\xfe", b"null", b"1", b"[" * 100_000])
def test_other_bytes_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "memory.json"
    path.write_bytes(raw)
    with pytest.raises(MemoryFileInvalid):
        load_memory(path)


def test_a_missing_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MemoryFileInvalid):
        load_memory(tmp_path / "memory.json")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(MemoryFileInvalid, match="too large"):
        load_memory(huge)
