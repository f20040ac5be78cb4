"""Writes files in one step: a crash leaves the whole old file or the whole new one. Measures folders."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Writes a file that only its owner may read, in folders that are made like this where they are missing.

    Raises `FileExistsError` if the file exists and `replace` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(path, content, 0o600, replace)


def write_public(path: Path, content: bytes) -> None:
    """Writes a file that everybody may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, content, 0o644, replace=True)


def _write(path: Path, content: bytes, mode: int, replace: bool) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Forces the names in a folder to the disk. Raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def folder_bytes(folder: Path) -> int:
    """The bytes of all files in a folder and in those below it; 0 if there is none.

    A file that goes meanwhile counts nothing: LevelDB deletes files while it is open.
    """
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(directory, name)).st_size
    return total
