"""The fast memory on disk: what is forgotten is gone, and what is refused changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from engram.node.errors import DiskFailure
from engram.participant.datasets import Dataset
from engram.participant.memory.disk import Disk
from engram.participant.memory.errors import (
    BatchTooLarge,
    ClassNameInvalid,
    FastMemoryBroken,
    FastMemoryDamaged,
    FastMemoryKeyWrong,
    FastMemoryMismatch,
    FeatureCountMismatch,
    FeaturesNotIntegers,
)
from engram.participant.memory.fast import FastLimits
from engram.participant.memory.fast_classes import ClassEntry
from engram.participant.memory.fast_records import MAX_BATCH_BYTES
from engram.participant.memory.fast_store import REWRITE_SLACK_BYTES, FastStore
from engram.participant.memory.sealed_log import create_log, open_log
from engram.participant.notices import Notice
from engram.primitives.keys import PrivateKey
from tests.support.fast_disk import INPUTS, KEY, READER, StepDisk, batch, facts, opened
from tests.support.recalling import digits_model

MODEL = digits_model()


def digits_store(folder: Path, rows: int = 100) -> FastStore:
    return FastStore.open(folder, KEY, MODEL.reader, FastLimits(rows=rows), disk=StepDisk())


def plain_text(folder: Path, copy: Path) -> bytes:
    """All that anybody who has the key can read in a folder: every record of every generation."""
    found = b""
    for generation in folder.glob("[0-9]*"):
        shutil.copytree(generation, copy / "log" / generation.name)
        found += b"".join(open_log(copy / "log", KEY, disk=Disk())[1])
        shutil.rmtree(copy)
    return found


def is_in(row: np.ndarray, text: bytes) -> bool:
    return row.tobytes() in text


def test_what_was_consolidated_is_on_no_disk_and_what_came_meanwhile_is(tmp_path: Path) -> None:
    train: Dataset = MODEL.train.of_classes((8, 9))
    with digits_store(tmp_path / "fast") as store:
        store.learn(train.features[:60], train.labels[:60])
        taken = store.memory.examples([8, 9])
        store.learn(train.features[60:80], train.labels[60:80])
        text = plain_text(tmp_path / "fast", tmp_path / "copy")
        assert all(is_in(row, text) for row in train.features[:80])
        raw = b"".join(path.read_bytes() for path in (tmp_path / "fast").rglob("*.sealed"))
        assert not any(is_in(row, raw) for row in train.features[:80]), "on disk it is sealed"
        assert store.forget([8, 9], taken.before, {8: 8, 9: 9}) == 60
        text = plain_text(tmp_path / "fast", tmp_path / "copy")
        assert not any(is_in(row, text) for row in train.features[:60])
        assert all(is_in(row, text) for row in train.features[60:80])
        assert np.array_equal(store.memory.examples().rows, train.features[60:80])
    with digits_store(tmp_path / "fast") as store:
        assert np.array_equal(store.memory.examples().rows, train.features[60:80])
        assert store.memory.entry(8).chain_class == 8


def test_the_files_do_not_grow_with_the_stream(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    live = 100 * (64 + 10)
    with digits_store(tmp_path / "fast") as store:
        for _ in range(140):
            store.learn(rng.integers(0, 256, (5_000, 64)).astype(np.uint8), rng.integers(0, 5, 5_000))
            size = sum(path.stat().st_size for path in (tmp_path / "fast").rglob("*.sealed"))
            assert size == store.size_bytes < 2 * live + REWRITE_SLACK_BYTES + 20_000
        assert [path.name for path in (tmp_path / "fast").glob("[0-9]*")] == ["000002"]
        kept = facts(store.memory)
    with digits_store(tmp_path / "fast") as store:
        assert facts(store.memory) == kept


def test_refusals_change_nothing_on_disk(tmp_path: Path) -> None:
    with opened(tmp_path / "fast") as store:
        store.learn(*batch(1))
        before, size = facts(store.memory), store.size_bytes
        with pytest.raises(FeaturesNotIntegers):
            store.learn(np.full((1, INPUTS), np.nan), np.array([1]))
        with pytest.raises(BatchTooLarge):
            store.learn(np.zeros((MAX_BATCH_BYTES // INPUTS + 1, INPUTS), np.uint8), np.zeros(1))
        with pytest.raises(ClassNameInvalid):
            store.set_entry(1, ClassEntry("\n"))
        assert store.learn(np.zeros((0, INPUTS), np.uint8), np.zeros(0)) == 0
        assert (facts(store.memory), store.size_bytes) == (before, size)
    with opened(tmp_path / "fast") as store:
        assert facts(store.memory) == before


def test_a_wrong_key_another_network_and_damage_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "fast"
    with opened(folder) as store:
        store.learn(*batch(1))
        kept = facts(store.memory)
    other = PrivateKey.from_seed(b"\x08" * 32)
    with pytest.raises(FastMemoryKeyWrong):
        FastStore.open(folder, other, READER, FastLimits())
    with pytest.raises(FastMemoryMismatch):
        FastStore.open(folder, KEY, MODEL.reader, FastLimits())
    (path,) = folder.rglob("*.sealed")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FastMemoryDamaged, match=str(path)):
        opened(folder)
    path.write_bytes(whole)
    with opened(folder) as store:
        assert facts(store.memory) == kept


def test_a_torn_record_is_dropped_with_a_notice(tmp_path: Path) -> None:
    folder, heard = tmp_path / "fast", list[Notice]()
    with opened(folder) as store:
        store.learn(*batch(1))
        kept = facts(store.memory)
        store.learn(*batch(2))
    (path,) = folder.rglob("*.sealed")
    path.write_bytes(path.read_bytes()[:-5])
    with FastStore.open(folder, KEY, READER, FastLimits(rows=6), report=heard.append) as store:
        assert facts(store.memory) == kept
    assert [notice.event for notice in heard] == ["record_dropped"]


def test_records_that_engram_never_writes_are_damage(tmp_path: Path) -> None:
    for number, contents in enumerate(([b""], [b"\x00"], [b"nonsense"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        create_log(folder, KEY, contents, disk=Disk()).close()
        with pytest.raises(FastMemoryDamaged):
            opened(folder)


class ClingingDisk(StepDisk):
    """Removes nothing from a folder that is in place."""

    def remove(self, path: Path) -> None:
        if path.parent.name.isdigit():
            raise OSError(5, "Input/output error")
        super().remove(path)


def test_old_files_that_cannot_be_removed_are_an_error_and_go_at_the_next_opening(tmp_path: Path) -> None:
    folder = tmp_path / "fast"
    with opened(folder, ClingingDisk()) as store:
        store.learn(*batch(1))
        with pytest.raises(DiskFailure):
            store.forget(range(3), store.memory.next_number)
        assert store.memory.size == 0, "the new files stand"
        store.learn(*batch(2))
        kept = facts(store.memory)
        assert [path.name for path in sorted(folder.glob("0*"))] == ["000001", "000002"]
    with opened(folder) as store:
        assert facts(store.memory) == kept
        assert [path.name for path in folder.glob("0*")] == ["000002"]


class InterruptedDisk(StepDisk):
    """The user presses Ctrl-C at a step."""

    at = 0

    def step(self) -> None:
        super().step()
        if self.steps == self.at:
            raise KeyboardInterrupt


def test_after_an_interruption_the_store_is_in_step_with_its_files_or_refuses(tmp_path: Path) -> None:
    one, two = len(batch(1)[1]), len(batch(2)[1])
    broken = 0
    for after in range(1, 19):
        folder, disk = tmp_path / str(after), InterruptedDisk()
        with opened(folder, disk) as store:
            store.learn(*batch(1))
            disk.at = disk.steps + after
            with pytest.raises(KeyboardInterrupt):
                interrupted(store)
            try:
                store.learn(*batch(3))
            except FastMemoryBroken:
                broken += 1
            else:
                kept = facts(store.memory)
                store.close()
                assert whole(folder) == kept
        with opened(folder) as store:
            assert store.memory.next_number in (one, one + two, one + two + len(batch(3)[1]))
            store.learn(*batch(4))
    assert broken > 10


def interrupted(store: FastStore) -> None:
    store.learn(*batch(2))
    store.forget([0], 2)


def whole(folder: Path) -> tuple[object, ...]:
    with opened(folder) as store:
        return facts(store.memory)


def test_an_array_without_rows_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "fast") as store:
        with pytest.raises(FeatureCountMismatch):
            store.learn(np.array(3), np.array([1]))
        with pytest.raises(FeatureCountMismatch):
            store.learn(np.zeros((1, INPUTS)), np.array(1))
