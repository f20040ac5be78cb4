"""The steps by which files of the fast memory change, one method each, and what a disk's refusals mean.

Everything that writes goes through a `Disk`. So a test can let the process die, or the disk fill up, between
any two steps.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engram.node.errors import DiskFailure, DiskFull

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Disk:
    """The operating system's files."""

    def create(self, path: Path) -> int:
        """A new file that only its owner may read, open for writing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def make_folder(self, path: Path) -> None:
        """A new folder that only its owner may read."""
        path.mkdir(mode=0o700)

    def write(self, descriptor: int, raw: bytes, offset: int) -> None:
        """Writes all bytes."""
        view = memoryview(raw)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def truncate(self, descriptor: int, size: int) -> None:
        """Cuts a file off."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Returns when the file is on the disk."""
        os.fsync(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Returns when the names in a folder are on the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file or folder another name, in one step."""
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        """Removes a file, or an empty folder."""
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns the operating system's errors into `DiskFull` and `DiskFailure`, with the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(
                f"the disk of {folder} is full: free some space and try again; what was learned "
                "before is kept",
                got=error.strerror,
            ) from error
        raise DiskFailure(
            f"the disk of {folder} refused a read or a write: check its health and permissions",
            got=error.strerror,
        ) from error
