"""A batch is learned exactly once, whatever happens to the process or the disk in between."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from engram.node.errors import DiskFull
from engram.participant.datasets import Dataset
from engram.participant.learn.errors import IntakeDamaged
from engram.participant.learn.intake import MOST_TAKEN, SLACK, Intake
from engram.participant.memory.errors import FastMemoryBroken, FeatureCountMismatch
from engram.participant.memory.slow import SlowMemory
from tests.support.fast_disk import Died, DyingDisk, FullDisk, StepDisk
from tests.support.memories import MODEL, opened_memories
from tests.support.proven_model import trust_of

ROWS = 5
FILES = {bytes([name]) * 32: MODEL.train.take(np.arange(ROWS * name, ROWS * name + ROWS)) for name in (1, 2)}
SLOW = SlowMemory(trust_of(), lambda: 0)


def feed(place: Path, disk: StepDisk) -> None:
    """Takes all files in, in pieces of three rows."""
    with opened_memories(place, SLOW, disk=disk, batch_rows=3, sums=False) as memories:
        for name, data in FILES.items():
            memories.take(name, data)


def rows_in(place: Path) -> list[tuple[int, bytes]]:
    with opened_memories(place, SLOW, sums=False) as memories:
        known = memories.examples()
    return sorted(zip(known.labels.tolist(), (row.tobytes() for row in known.rows), strict=True))


def wanted() -> list[tuple[int, bytes]]:
    return sorted(
        (int(label), row.tobytes())
        for data in FILES.values()
        for label, row in zip(data.labels.tolist(), data.features, strict=True)
    )


def steps_of(place: Path) -> int:
    disk = StepDisk()
    feed(place, disk)
    return disk.steps


@pytest.mark.parametrize("lost", [False, True])
def test_every_row_is_learned_once_if_the_process_dies_at_any_step(tmp_path: Path, lost: bool) -> None:
    steps = steps_of(tmp_path / "whole")
    assert rows_in(tmp_path / "whole") == wanted()
    for at in range(1, steps + 1):
        place = tmp_path / str(at)
        with pytest.raises(Died):
            feed(place, DyingDisk(at, lost=lost))
        gc.collect()
        feed(place, StepDisk())
        assert rows_in(place) == wanted(), at


def test_every_row_is_learned_once_if_the_disk_fills_up_at_any_step(tmp_path: Path) -> None:
    """After the disk has room again, the same program goes on, and other rows are learned before."""
    steps = steps_of(tmp_path / "whole")
    extra = MODEL.train.take(np.arange(900, 902))
    refused = 0
    for at in range(1, steps + 1):
        disk = FullDisk(at)
        try:
            with opened_memories(tmp_path / str(at), SLOW, disk=disk, batch_rows=3, sums=False) as memories:
                try:
                    for name, data in FILES.items():
                        memories.take(name, data)
                except DiskFull:
                    refused += 1
                disk.full = False
                memories.learn(extra.features, extra.labels)
                for name, data in FILES.items():
                    memories.take(name, data)
        except (DiskFull, FastMemoryBroken):
            continue  # it was opened on a full disk, or a piece was written and could not be cut off
        known = rows_in(tmp_path / str(at))
        assert len(known) == 2 * ROWS + 2
        assert set(wanted()) <= set(known)
    assert refused > steps // 2


def test_a_batch_that_does_not_fit_leaves_no_trace(tmp_path: Path) -> None:
    with opened_memories(tmp_path, SLOW) as memories:
        wrong = Dataset(np.zeros((2, 5), dtype=np.uint8), np.zeros(2, dtype=np.uint16))
        with pytest.raises(FeatureCountMismatch):
            memories.take(b"\7" * 32, wrong)
        assert not memories.was_taken(b"\7" * 32)
        assert memories.facts["arrived"] == 0
    assert (tmp_path / "intake.journal").stat().st_size == 0


def test_the_same_name_again_is_not_learned_again(tmp_path: Path) -> None:
    name, data = next(iter(FILES.items()))
    for expected in (ROWS, None, None):
        with opened_memories(tmp_path, SLOW) as memories:
            assert memories.take(name, data) == expected
            assert memories.facts["arrived"] == ROWS


def test_the_file_stays_bounded_and_remembers_the_newest_names(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    intake = Intake(path, 0, disk=StepDisk())
    count = MOST_TAKEN + SLACK + 10
    for number in range(count):
        intake.complete(number.to_bytes(32, "big"))
    intake.close()
    before = path.stat().st_size
    again = Intake(path, 0, disk=StepDisk())
    again.close()
    assert path.stat().st_size < before
    again = Intake(path, 0, disk=StepDisk())
    assert again.is_taken((count - 1).to_bytes(32, "big"))
    assert not again.is_taken((0).to_bytes(32, "big"))
    again.close()


def test_a_damaged_journal_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    intake = Intake(path, 0)
    for number in range(4):
        intake.complete(bytes([number]) * 32)
    intake.close()
    raw = bytearray(path.read_bytes())
    raw[10] ^= 1
    path.write_bytes(raw)
    with pytest.raises(IntakeDamaged, match="journal"):
        Intake(path, 0)
