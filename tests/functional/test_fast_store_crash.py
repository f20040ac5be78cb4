"""Whatever the step at which the process dies or the disk fills up, what was acknowledged is there."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engram.node.errors import DiskFull
from engram.participant.memory.disk import Disk
from engram.participant.memory.errors import FastMemoryLocked
from engram.participant.memory.fast import FastLimits
from engram.participant.memory.fast_store import FastStore
from tests.support.fast_disk import (
    KEY,
    LIMITS,
    READER,
    STEPS,
    Died,
    DyingDisk,
    FullDisk,
    StepDisk,
    batch,
    facts,
    opened,
    play,
    states,
)

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = states()


def steps_of_the_story(folder: Path) -> int:
    disk = StepDisk()
    with opened(folder, disk) as store:
        for step in range(STEPS):
            play(store, step)
    return disk.steps


def live(folder: Path, disk: Disk) -> int:
    """Plays until the process dies; how many steps were acknowledged, -1 if not even the opening."""
    done, store = -1, None
    try:
        store = opened(folder, disk)
        done = 0
        for step in range(STEPS):
            play(store, step)
            done = step + 1
    except Died:
        pass
    finally:
        if store is not None:
            store.close()  # the dead process's descriptors, and with them its lock
    return done


def whole(folder: Path) -> int:
    """How many steps of the story the memory in a folder has seen, no more and no less."""
    with opened(folder) as store:
        return EXPECTED.index(facts(store.memory))


@pytest.mark.parametrize("lost", [False, True])
def test_a_death_at_each_step_loses_nothing_that_was_acknowledged(tmp_path: Path, lost: bool) -> None:
    total = steps_of_the_story(tmp_path / "control")
    assert whole(tmp_path / "control") == STEPS
    assert total > 60, "the story has many places to die at"
    for at in range(1, total + 1):
        folder = tmp_path / f"{at}"
        done = live(folder, DyingDisk(at, lost=lost))
        assert done < STEPS
        assert whole(folder) in (max(done, 0), done + 1), f"dead at step {at} after {done}"
        with opened(folder) as store:
            for step in range(whole_of(store), STEPS):
                play(store, step)
            assert facts(store.memory) == EXPECTED[-1], "it goes on as if nothing had happened"


def whole_of(store: FastStore) -> int:
    return EXPECTED.index(facts(store.memory))


def test_a_disk_that_is_full_at_each_step_changes_nothing_and_the_step_can_be_tried_again(
    tmp_path: Path,
) -> None:
    total, begun = steps_of_the_story(tmp_path / "control"), StepDisk()
    opened(tmp_path / "begun", begun).close()
    written = begun.steps - 5  # then come the other half, two syncs, a new name, and one more sync
    for at in range(1, total - 1):  # at last come the other half of a record and its sync
        folder, disk = tmp_path / f"{at}", FullDisk(at)
        if at <= written:
            with pytest.raises(DiskFull, match="free some space"):
                opened(folder, disk)
            disk.full = False
        refused = 0
        with opened(folder, disk) as store:
            for step in range(STEPS):
                try:
                    play(store, step)
                except DiskFull:
                    refused += 1
                    assert facts(store.memory) == EXPECTED[step]
                    assert whole_on_disk(folder, tmp_path / f"copy{at}") == step
                    disk.full = False
                    play(store, step)
            assert facts(store.memory) == EXPECTED[-1]
        assert refused == (at > written), at
        assert whole(folder) == STEPS


def whole_on_disk(folder: Path, copy: Path) -> int:
    """As `whole`, of a folder that is in use."""
    shutil.copytree(folder, copy)
    return whole(copy)


def fill(store: FastStore) -> int:
    """Learns until the disk is full; how many batches were learned."""
    for number in range(1_000):
        try:
            store.learn(*batch(number))
        except DiskFull:
            break
    return number


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with FastStore.open(tmp_path / "fast", KEY, READER, LIMITS, seed=3) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
        try:
            done = fill(store)
            known = facts(store.memory)
            with pytest.raises(DiskFull):
                store.learn(*batch(done))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert facts(store.memory) == known
        store.learn(*batch(done))
        after = facts(store.memory)
    assert done > 5
    with FastStore.open(tmp_path / "fast", KEY, READER, LIMITS) as store:
        assert facts(store.memory) == after


CHILD = """
import sys
from pathlib import Path
from engram.participant.memory.disk import Disk
from tests.support.fast_disk import batch, opened
store = opened(Path(sys.argv[1]), Disk())
for number in range(10**9):
    store.learn(*batch(number))
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 40, 150])
def test_a_process_that_is_killed_has_kept_its_word(tmp_path: Path, lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "fast")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        child.kill()
        told = lines + len(child.stdout.readlines())
    with opened(tmp_path / "fast") as store:
        assert store.memory.next_number >= sum(len(batch(number)[1]) for number in range(told))
        number = told
        with opened(tmp_path / "other") as control:
            for number in range(told + 1):
                if control.memory.next_number == store.memory.next_number:
                    break
                control.learn(*batch(number))
            assert facts(control.memory) == facts(store.memory)


def test_a_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path / "fast"), pytest.raises(FastMemoryLocked):
        opened(tmp_path / "fast")
    opened(tmp_path / "fast").close()


def test_a_smaller_limit_takes_effect_when_the_folder_is_opened(tmp_path: Path) -> None:
    with opened(tmp_path / "fast") as store:
        for number in range(20):
            store.learn(*batch(number))
        assert store.memory.size == 6
    with opened(tmp_path / "fast", limits=FastLimits(rows=3)) as store:
        assert store.memory.size == 3
        kept = facts(store.memory)
    with opened(tmp_path / "fast", limits=FastLimits(rows=3)) as store:
        assert facts(store.memory) == kept
