"""Reads small files, and writes files in one step: a crash leaves the whole old file or the whole new one."""

from __future__ import annotations

import errno
import itertools
import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from engram.node.errors import FileDamaged, NotAFile, NotAFolder

_MADE_MODE: Final = 0o600
"""With it `mkstemp` makes files; some file systems let nobody change it."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


def read_plain(path: Path, most_bytes: int, *, pipes: bool = False) -> bytes:
    """The content of a file, or of the file to which a link leads.

    Nothing else is read: a pipe would wait for a writer for ever. With `pipes`, one is read all the same,
    because the user has named it. Raises `FileNotFoundError` if nothing has
    this name, `NotAFile` if something else than a file has it, `FileDamaged` if the file has more than
    `most_bytes` bytes, and `OSError`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if pipes else os.O_NONBLOCK))
    except FileNotFoundError:
        if path.is_symlink():
            raise _dangling(path) from None
        raise
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody writes to
            raise _no_file(path) from error
        if error.errno == errno.ELOOP:
            raise _dangling(path) from error
        raise
    mode = os.fstat(handle).st_mode
    if stat.S_ISDIR(mode) or not (pipes or stat.S_ISREG(mode)):
        os.close(handle)
        raise _no_file(path)
    with open(handle, "rb") as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise FileDamaged(f"{path} is too large for a file of its kind; move it away", expected=most_bytes)
    return content


def read_json(path: Path, most_bytes: int) -> Any:
    """The JSON value in a file. Raises `FileDamaged` if it is none, and what `read_plain` raises."""
    try:
        return json.loads(read_plain(path, most_bytes).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FileDamaged(f"{path} is damaged: {error}", got=str(path)) from error


def open_log(path: Path) -> BinaryIO:
    """Opens a file to append to it. Raises `NotAFile`, `OSError`."""
    check_file(path)
    return path.open("ab")


def set_aside(path: Path, ending: str = "damaged") -> Path | None:
    """Gives a file that cannot be read another name, so that nothing is written over it; the name.

    None if it is no file, or if the folder lets nobody rename it: then it stays.
    """
    if not path.is_file() or path.is_symlink():
        return None
    names = (path.with_name(f"{path.name}.{ending}{number or ''}") for number in itertools.count())
    free = next(name for name in names if not os.path.lexists(name))
    try:
        path.rename(free)
    except OSError:
        return None
    return free


def make_folder(path: Path) -> None:
    """Makes a folder that only its owner may enter, and those above it; one that is there stays as it is.

    Raises `NotAFolder` if something else has the name of one of them, and `OSError`.
    """
    if not has_folder(path):
        if path.parent != path:
            make_folder(path.parent)  # mkdir() itself lets everybody into the parents that it makes
        path.mkdir(exist_ok=True, mode=0o700)


def has_folder(path: Path) -> bool:
    """Whether a folder, or a link to one, has this name. Raises `NotAFolder` if something else has it."""
    if path.is_dir():
        return True
    if os.path.lexists(path):
        raise NotAFolder(f"{path} is no folder, though one belongs there; move it away", got=str(path))
    return False


def check_file(path: Path) -> None:
    """Raises `NotAFile` if something else than a file, or a link to one, has this name."""
    if os.path.lexists(path) and not path.is_file():
        raise _dangling(path) if path.is_symlink() and not path.exists() else _no_file(path)


def write_private(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Writes a file that only its owner may read, in folders that are made like this where they are missing.

    A file behind a link is written where it is. Raises `FileExistsError` if the file exists and `replace` is
    false, `NotAFile` if something else than a file has its name, `NotAFolder`, and `OSError`.
    """
    make_folder(path.parent)
    _write(path, content, 0o600, replace)


def write_private_pair(first: tuple[Path, bytes], second: tuple[Path, bytes]) -> None:
    """Writes two files of one folder that belong together, as `write_private` does.

    If one cannot be written, because the disk is full for instance, both stay what they were.
    """
    make_folder(first[0].parent)
    targets = [(_target(path), content) for path, content in (first, second)]
    made: list[str] = []
    try:
        for path, content in targets:
            made.append(_temporary(path, content, 0o600))
        for temporary, (path, _) in zip(made, targets, strict=True):
            os.replace(temporary, path)
    finally:
        for temporary in made:
            Path(temporary).unlink(missing_ok=True)
    sync_folder(targets[0][0].parent)


def write_public(path: Path, content: bytes) -> None:
    """Writes a file that everybody may read. Raises what `write_private` raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, content, 0o644, replace=True)


def _write(path: Path, content: bytes, mode: int, replace: bool) -> None:
    path = _target(path) if replace else path
    temporary = _temporary(path, content, mode)
    try:
        if replace:
            os.replace(temporary, path)
        else:
            _link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    sync_folder(path.parent)


def _temporary(path: Path, content: bytes, mode: int) -> str:
    """A finished file beside `path`, which can take its name."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if mode != _MADE_MODE:
            os.chmod(temporary, mode)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return temporary


def _target(path: Path) -> Path:
    """The file to replace: behind a link, the one to which it leads. Raises `NotAFile`."""
    check_file(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _link(temporary: str, path: Path) -> None:
    """Gives a finished file its name unless the name is taken. Raises `FileExistsError`.

    Where the file system knows no hard links, the name is taken by an empty file first; a crash in between
    leaves that.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.replace(temporary, path)


def _no_file(path: Path) -> NotAFile:
    return NotAFile(f"{path} is a folder or a device, where a file belongs; move it away", got=str(path))


def _dangling(path: Path) -> NotAFile:
    message = f"{path} is a link to a file that is not there: put one there, or remove the link"
    return NotAFile(message, got=os.readlink(path))


def sync_folder(folder: Path) -> None:
    """Forces the names in a folder to the disk. Raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no such thing
            raise
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
