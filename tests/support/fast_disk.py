"""Disks that die or fill up at a chosen step, and a fast memory that is small enough to try every step."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

import numpy as np

from engram.nn.layers.reading import Interval
from engram.nn.spec import NetworkSpec
from engram.participant.memory.disk import Disk
from engram.participant.memory.fast import FastLimits, FastMemory
from engram.participant.memory.fast_classes import ClassEntry
from engram.participant.memory.fast_store import FastStore
from engram.participant.memory.reading import FrozenReader
from engram.primitives.keys import PrivateKey

INPUTS: Final = 4
KEY: Final = PrivateKey.from_seed(b"\x07" * 32)
READER: Final = FrozenReader(NetworkSpec(INPUTS, 1, (), (), ()), (), Interval(0, 0, INPUTS))
"""Reads the features as they are."""
LIMITS: Final = FastLimits(rows=6)
FILE_BYTES: Final = 400
"""So few that a story needs several files."""


class Died(BaseException):
    """The process is gone; nothing of it runs on."""


class StepDisk(Disk):
    """Counts the steps that change files. It waits for no drive: what a crash leaves is made by hand."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> None:
        """Called before each step."""
        self.steps += 1

    def create(self, path: Path) -> int:
        self.step()
        return super().create(path)

    def make_folder(self, path: Path) -> None:
        self.step()
        super().make_folder(path)

    def write(self, descriptor: int, raw: bytes, offset: int) -> None:
        for half in (raw[: len(raw) // 2], raw[len(raw) // 2 :]):
            self.step()
            super().write(descriptor, half, offset)
            offset += len(half)

    def truncate(self, descriptor: int, size: int) -> None:
        self.step()
        super().truncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        self.step()

    def sync_folder(self, path: Path) -> None:
        self.step()

    def rename(self, old: Path, new: Path) -> None:
        self.step()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self.step()
        super().remove(path)


class DyingDisk(StepDisk):
    """The process dies at one step: before it is done, or, if that is `lost`, with nothing written since the
    last sync of a file.
    """

    def __init__(self, at: int, *, lost: bool = False) -> None:
        super().__init__()
        self._at = at
        self._lost = lost
        self._synced: dict[int, int] = {}

    def step(self) -> None:
        super().step()
        if self.steps == self._at:
            if self._lost:
                self._forget_unsynced()
            raise Died

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._synced[descriptor] = 0
        return descriptor

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self._synced[descriptor] = os.fstat(descriptor).st_size

    def _forget_unsynced(self) -> None:
        """What a power cut does to sectors that were never written: they are zeros."""
        for descriptor, size in self._synced.items():
            try:
                end = os.fstat(descriptor).st_size
            except OSError:
                continue  # closed
            if end > size:
                os.pwrite(descriptor, bytes(end - size), size)


class FullDisk(StepDisk):
    """Has no room from one step on, until it is `freed`; what removes or cuts off still works."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at
        self.full = True

    def _refuses(self) -> bool:
        return self.full and self.steps + 1 >= self._at

    def write(self, descriptor: int, raw: bytes, offset: int) -> None:
        if self._refuses():
            os.pwrite(descriptor, raw[: len(raw) // 2], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(descriptor, raw, offset)

    def create(self, path: Path) -> int:
        if self._refuses():
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(path)


def opened(folder: Path, disk: Disk | None = None, limits: FastLimits = LIMITS) -> FastStore:
    """The small store of a folder."""
    return FastStore.open(
        folder, KEY, READER, limits, seed=3, disk=disk or StepDisk(), max_file_bytes=FILE_BYTES
    )


def batch(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and labels of a batch, the same for the same number."""
    rng = np.random.default_rng(number)
    size = int(rng.integers(1, 4))
    return rng.integers(0, 256, (size, INPUTS)).astype(np.uint8), rng.integers(0, 3, size)


STEPS: Final = 12
"""The steps of the story, each of which is acknowledged or not."""


def play(store: FastStore | FastMemory, step: int) -> None:
    """One step of a story: batches, a name, and a forgetting in the middle."""
    if step == 4:
        store.set_entry(2, ClassEntry("zebra"))
    elif step == 7:
        memory = store.memory if isinstance(store, FastStore) else store
        known = memory.examples()
        before = int(known.numbers[len(known.numbers) // 2])
        if isinstance(store, FastStore):
            store.forget([0, 2], before, {2: 9})
        else:
            store.set_entry(2, ClassEntry("zebra", 9))
            store.forget([0, 2], before)
    else:
        store.learn(*batch(step))


def facts(memory: FastMemory) -> tuple[object, ...]:
    """Everything that a memory is."""
    known = memory.examples()
    return (
        *(part.tobytes() for part in (known.numbers, known.labels, known.rows, known.values)),
        memory.next_number,
        tuple(memory.table.items()),
        tuple(sorted(memory.reservoirs.bounds.items())),
    )


def states() -> list[tuple[object, ...]]:
    """What a memory is before the first step and after each, if nothing ever fails."""
    memory = FastMemory(READER, LIMITS, 3)
    found = [facts(memory)]
    for step in range(STEPS):
        play(memory, step)
        found.append(facts(memory))
    return found
