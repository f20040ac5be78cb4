"""Memories of a participant who has learned nothing yet, on the model of eight digits, with their files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engram.participant.learn.intake import Intake
from engram.participant.learn.memories import Memories, Numbering
from engram.participant.learn.policy import Surprise
from engram.participant.memory.consolidation import Calibration, Settings
from engram.participant.memory.disk import Disk
from engram.participant.memory.fast import FastLimits
from engram.participant.memory.fast_store import FastStore
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.memory_file import save_memory
from engram.participant.memory.playing import Memory
from engram.participant.memory.slow import SlowMemory
from engram.participant.view import ChainView
from tests.support.fast_disk import KEY, StepDisk
from tests.support.proven_model import LineNode, ProvenModel, trust_of
from tests.support.recalling import DigitsModel, digits_model

MODEL: Final[DigitsModel] = digits_model()


def folder_at(path: Path, *, sums: bool = True, engine: str = "gate") -> MemoryFolder:
    """A memory folder of the model, with the sums of its eight digits or without."""
    folder = MemoryFolder(path)
    if not (path / "memory.json").exists():
        settings = Settings(ridge=1e-3)
        save_memory(
            path / "memory.json",
            Memory(engine, len(MODEL.trunk.hidden), MODEL.banks.rule, Calibration(), settings),
        )
        if sums:
            folder.keep(MODEL.statistics)
    return folder


async def proven() -> SlowMemory:
    """The slow memory, with the version of eight digits proven."""
    founded = ProvenModel(MODEL.spec, MODEL.parameters)
    line = founded.line(12)
    slow = SlowMemory(trust_of(), lambda: line.head.timestamp_ms + 10**6)
    await slow.refresh(ChainView(LineNode(line, founded)))
    return slow


@contextmanager
def opened_memories(
    place: Path,
    slow: SlowMemory,
    *,
    disk: Disk | None = None,
    surprise: Surprise | None = None,
    numbering: Numbering = Numbering.CHAIN,
    batch_rows: int = 10_000,
    sums: bool = True,
) -> Iterator[Memories]:
    """The memories whose files are in `place`, beside a folder `memory`; closed at the end."""
    disk = disk or StepDisk()
    with FastStore.open(place / "fast", KEY, MODEL.reader, FastLimits(rows=500), disk=disk) as store:
        intake = Intake(place / "intake.journal", store.memory.next_number, disk=disk)
        try:
            yield Memories(
                *(store, slow, folder_at(place.parent / "memory", sums=sums), intake, surprise),
                numbering=numbering,
                batch_bytes=batch_rows * MODEL.reader.inputs,
            )
        finally:
            intake.close()
