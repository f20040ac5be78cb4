"""The file in which a founder publishes a model's `Memory`, for the authors of later growths. JSON.

The chain binds what it needs: the trunk and every bank stand in the model itself, and an engine refuses a
head whose banks are not those of the rule. So a wrong file makes growths that do not fit, and no harm.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import read_json, write_private
from engram.participant.memory.banks import BankRule
from engram.participant.memory.consolidation import Calibration, Settings
from engram.participant.memory.engines import ENGINES
from engram.participant.memory.errors import MemoryFileInvalid
from engram.participant.memory.playing import Memory
from engram.participant.memory.statistics import LEAST_ROWS
from engram.participant.training.qat import Budget
from engram.primitives.codec import from_json, to_json
from engram.primitives.errors import CodecError

T = TypeVar("T")

FORMAT: Final = 1
MOST_BYTES: Final = 2**22
"""Larger files are refused before they are read: a rule has one byte for each value of the trunk."""


def save_memory(path: Path, memory: Memory) -> None:
    """Writes the file, in one step."""
    content = {
        "engram_memory": FORMAT,
        "engine": memory.engine,
        "trunk_segments": memory.trunk_segments,
        "bank_rule": to_json(memory.rule),
        "calibration": asdict(memory.calibration),
        "settings": asdict(memory.settings),
        "least_rows": memory.least_rows,
    }
    write_private(path, (json.dumps(content, indent=2) + "\n").encode())


def load_memory(path: Path) -> Memory:
    """The memory that `save_memory` has written. Raises `MemoryFileInvalid`."""
    try:
        content = read_json(path, MOST_BYTES)
        if content["engram_memory"] != FORMAT:
            raise MemoryFileInvalid(
                f"{path} has another format", expected=FORMAT, got=content["engram_memory"]
            )
        return _memory(path, content)
    except (OSError, ValueError, KeyError, TypeError, CodecError, FileDamaged, NotAFile) as error:
        raise MemoryFileInvalid(
            f"{path} is not a memory that a founder has published: {error}", got=path.name
        ) from error


def _memory(path: Path, content: dict[str, Any]) -> Memory:
    engine, segments = content["engine"], content["trunk_segments"]
    if engine not in ENGINES:
        raise MemoryFileInvalid(f"{path} names an unknown engine", expected=tuple(ENGINES), got=engine)
    if type(segments) is not int or segments < 0:
        raise MemoryFileInvalid(f"{path} has no number of segments", expected="0 or more", got=segments)
    least = content["least_rows"]
    if type(least) is not int or least < LEAST_ROWS:
        raise MemoryFileInvalid(f"{path} hides no rows", expected=f"{LEAST_ROWS} or more", got=least)
    settings = dict(content["settings"])
    budget = _numbers(path, Budget, settings.pop("budget"))
    return Memory(
        engine,
        segments,
        from_json(BankRule, content["bank_rule"]),
        _numbers(path, Calibration, content["calibration"]),
        _numbers(path, Settings, {**settings, "budget": budget}),
        least,
    )


def _numbers(path: Path, kind: type[T], given: object) -> T:
    """A record of numbers and flags, each of the type that its default has."""
    plain = kind()
    if not isinstance(given, dict):
        raise MemoryFileInvalid(f"{path}: no {kind.__name__}", expected="object", got=type(given).__name__)
    for name, value in given.items():
        expected = type(getattr(plain, name, None))
        fits = type(value) is expected or (expected is float and type(value) is int)
        if not fits:
            raise MemoryFileInvalid(f"{path}: {name} is no {expected.__name__}", got=value)
    return kind(**given)
