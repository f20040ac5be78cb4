"""What may stand under the name of a file of ours: nothing useful, in every form that a disk knows."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final


def _bytes(content: bytes) -> Callable[[Path, bytes], None]:
    def put(path: Path, before: bytes) -> None:
        path.write_bytes(content)

    return put


def _folder(path: Path, before: bytes) -> None:
    path.mkdir()


def _pipe(path: Path, before: bytes) -> None:
    os.mkfifo(path)


def _socket(path: Path, before: bytes) -> None:
    """Bound under a short name: the path of a socket has 107 bytes at most."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"/proc/self/fd/{folder}/s")
    finally:
        os.close(folder)
    path.with_name("s").rename(path)


def _link(target: str) -> Callable[[Path, bytes], None]:
    def put(path: Path, before: bytes) -> None:
        path.symlink_to(target or path)

    return put


def _half(path: Path, before: bytes) -> None:
    path.write_bytes(before[: len(before) // 2])


STRANGE: Final = MappingProxyType[str, Callable[[Path, bytes], None]](
    {
        "folder": _folder,
        "pipe": _pipe,
        "socket": _socket,
        "device": _link("/dev/zero"),
        "dangling link": _link("/nowhere/at/all"),
        "link to itself": _link(""),
        "empty": _bytes(b""),
        "zeros": _bytes(bytes(100)),
        "one byte": _bytes(b"x"),
        "another encoding": _bytes(b'{"hrp": "\xe9"}'),
        "null": _bytes(b"null"),
        "a list": _bytes(b'[1, {"a": 2}]'),
        "an object": _bytes(b'{"a": 1}'),
        "nested without end": _bytes(b"[" * 100_000),
        "a number without end": _bytes(b"1" * 6_000),
        "no number": _bytes(b'{"hrp": NaN, "pid": 1e999}'),
        "cut in half": _half,
    }
)
"""How each is put at a path; it is given what stood there before."""
NO_FILES: Final = ("folder", "pipe", "socket", "device", "dangling link", "link to itself")


def put_strange(path: Path, kind: str) -> None:
    """Replaces what stands at a path."""
    before = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    STRANGE[kind](path, before)
