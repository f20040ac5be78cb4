"""Exchanges the database of a data directory for a new one, so that a crash leaves one of them whole.

leveldb              the database in use
leveldb.building     a new one that is not complete; whoever begins anew removes it
leveldb.ready        a new one that is complete and takes the place of `leveldb`
leveldb.old-N        the database that a new one replaced; nobody but the operator removes it
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engram.node.errors import DataDirLocked, SpaceMissing
from engram.node.files import make_folder, sync_folder
from engram.node.storage.failpoints import FailPoint, hit

DATABASE_DIRECTORY: Final = "leveldb"
BUILDING: Final = DATABASE_DIRECTORY + ".building"
READY: Final = DATABASE_DIRECTORY + ".ready"
OLD: Final = DATABASE_DIRECTORY + ".old-"


@contextmanager
def unused(directory: Path) -> Iterator[None]:
    """Keeps every other process from opening the database. Raises `DataDirLocked` if one has it open.

    LevelDB locks the same file in the same way.
    """
    lock = directory / DATABASE_DIRECTORY / "LOCK"
    make_folder(lock.parent)
    with lock.open("a+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataDirLocked(got=str(lock.parent)) from error
        yield


def finish_swap(directory: Path) -> None:
    """Ends an exchange that a crash has cut short: called before the database is opened."""
    ready, used = directory / READY, directory / DATABASE_DIRECTORY
    if ready.exists() and not (used / "CURRENT").exists():
        shutil.rmtree(used, ignore_errors=True)
        ready.rename(used)


def swap(directory: Path) -> Path | None:
    """Puts the new database in `BUILDING` in the place of the old one; where the old one is kept now.

    None if there was none. The caller keeps the old one from being opened, see `unused`.
    """
    building, ready, used = (directory / name for name in (BUILDING, READY, DATABASE_DIRECTORY))
    shutil.rmtree(ready, ignore_errors=True)
    building.rename(ready)
    hit(FailPoint.REBUILD_BEFORE_SWAP)
    old = None
    if (used / "CURRENT").exists():
        endings = (path.name.removeprefix(OLD) for path in directory.glob(OLD + "[0-9]*"))
        numbers = [int(ending) for ending in endings if ending.isdecimal() and ending.isascii()]
        old = directory / f"{OLD}{max(numbers, default=0) + 1}"
        used.rename(old)
    else:
        shutil.rmtree(used)
    hit(FailPoint.REBUILD_IN_SWAP)
    ready.rename(used)
    sync_folder(directory)
    hit(FailPoint.REBUILD_AFTER_SWAP)
    return old


def need_space(directory: Path, size_bytes: int, what: str) -> None:
    """Raises `SpaceMissing` if the disk of a directory has less free space."""
    free = shutil.disk_usage(directory).free
    if free < size_bytes:
        message = f"there is too little free space in {directory} for {what}: free some, nothing was changed"
        raise SpaceMissing(message, expected=size_bytes, got=free)
