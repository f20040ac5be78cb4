"""What is forced to the disk, and when, and what a power cut leaves where little is."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engram.consensus.block import Block
from engram.node.chain.importer import FORCED_BLOCKS
from engram.node.storage.db import LevelDatabase
from engram.node.storage.store import BLOCKS_DIRECTORY
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import LATE_MS, SPEC, disk_store, opened, resealed

BLOCKS = 2 * FORCED_BLOCKS + 7


class Forced:
    """Counts what is forced to the disk, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        sync, write = os.fdatasync, LevelDatabase.write

        def fdatasync(descriptor: int) -> None:
            self.order.append("files")
            sync(descriptor)

        def written(database: LevelDatabase, batch: Any, *, sync: bool = True) -> None:
            if sync:
                self.order.append("database")
            write(database, batch, sync=sync)

        monkeypatch.setattr(os, "fdatasync", fdatasync)
        monkeypatch.setattr(LevelDatabase, "write", written)


def grow(count: int) -> list[Block]:
    branch = MemoryChain(SPEC)
    return [branch.mine() for _ in range(count)]


@contextmanager
def imported(folder: Path, count: int, *, lazy: bool, forced: Forced | None = None) -> Iterator[Any]:
    blocks = grow(count)
    with opened(disk_store(folder)) as node:
        node.importer.lazy = lazy
        head = node.start.head
        if forced is not None:
            forced.order.clear()
        for block in blocks:
            head = node.importer.import_block(block, head, LATE_MS).head
        yield node


def test_a_lazy_importer_forces_one_block_in_many_and_the_files_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = Forced(monkeypatch)
    with imported(tmp_path / "lazy", BLOCKS, lazy=True, forced=forced) as node:
        assert forced.order == ["files", "database"] * 2
        node.importer.force()
        assert forced.order == ["files", "database"] * 3
        node.importer.force()
        assert forced.order == ["files", "database"] * 3, "nothing is left to force"
    with imported(tmp_path / "usual", 5, lazy=False, forced=forced):
        assert forced.order == ["files", "database"] * 5


def test_what_an_ended_process_has_left_is_forced_before_the_database_counts_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was appended and not forced; the next start takes it from the files."""
    with imported(tmp_path / "whole", 5, lazy=True):
        shutil.copytree(tmp_path / "whole", tmp_path / "ended")
    log = max((tmp_path / "ended").glob("*/*.log"), key=lambda path: path.stat().st_size)
    os.truncate(log, log.stat().st_size // 2)  # so that there is something to take
    forced = Forced(monkeypatch)
    with opened(disk_store(tmp_path / "ended")) as node:
        assert node.start.imported > 0
        assert node.start.head.height == 5
        assert forced.order.index("files") < forced.order.index("database")


def test_a_refused_block_forces_the_files_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced = Forced(monkeypatch)
    with imported(tmp_path, 3, lazy=True) as node:
        branch = MemoryChain(SPEC)
        good = [branch.mine() for _ in range(4)]
        wrong = resealed(good[3], state_root=bytes(32))
        forced.order.clear()
        head = node.store.get_ref(good[2].header.id)
        answer = node.importer.import_block(wrong, head, LATE_MS).answer
        assert answer.outcome == "invalid"
        assert forced.order == ["files", "database"]


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("lost", ["bodies", "database", "both"])
def test_a_power_cut_leaves_a_chain_that_starts(tmp_path: Path, lost: str, kept: float) -> None:
    """What was not forced is cut off: of the files, of the database's log, or of both."""
    with imported(tmp_path / "whole", BLOCKS, lazy=True):
        shutil.copytree(tmp_path / "whole", tmp_path / "cut")  # the process still has them open
    if lost != "database":
        (bodies,) = (tmp_path / "cut" / BLOCKS_DIRECTORY).glob("*")
        os.truncate(bodies, round(bodies.stat().st_size * kept))
    if lost != "bodies":
        log = max((tmp_path / "cut").glob("*/*.log"), key=lambda path: path.stat().st_size)
        os.truncate(log, round(log.stat().st_size * kept))
    blocks = grow(BLOCKS)
    with opened(disk_store(tmp_path / "cut")) as node:
        head = node.start.head
        assert head.id == ([node.start.head.id, *[block.header.id for block in blocks]][head.height])
        if lost == "database":
            assert head.height == BLOCKS, "the files have everything"
        for block in blocks:  # as peers would bring them
            head = node.importer.import_block(block, head, LATE_MS).head
        assert head.height == BLOCKS
        assert [node.store.get_block(node.store.get_ref(block.header.id)) for block in blocks] == blocks
