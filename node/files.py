"""Reads small files, and writes files in one step: a crash leaves the whole old file or the whole new one."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from engram.node.errors import FileDamaged, NotAFile


def read_plain(path: Path, most_bytes: int) -> bytes:
    """The content of a file, or of the file to which a link leads.

    Nothing else is read: a pipe would wait for a writer for ever. Raises `FileNotFoundError` if nothing has
    this name, `NotAFile` if something else than a file has it, `FileDamaged` if the file has more than
    `most_bytes` bytes, and `OSError`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if path.is_symlink():
            message = f"{path} is a link to a file that is not there: put one there, or remove the link"
            raise NotAFile(message, got=os.readlink(path)) from None
        raise
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody writes to
            raise _no_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _no_file(path)
    with open(handle, "rb") as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise FileDamaged(f"{path} is larger than any file of its kind; move it away", expected=most_bytes)
    return content


def _no_file(path: Path) -> NotAFile:
    return NotAFile(f"{path} is a folder or a device, where a file belongs; move it away", got=str(path))


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
