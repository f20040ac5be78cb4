"""The explorer's files, as the RPC server sends them to browsers.

All of them are read when the node starts, into a table by name, so that no path of a request ever becomes a
path of the disk. The headers let a browser run nothing that is not one of these files and talk to nobody but
the node that they come from; what is on the chain can be anybody's text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "/explore/"
"""The path under which the files are served."""
FIRST: Final = "index.html"
STATIC: Final = Path(__file__).parent / "static"
TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The content security policy: own scripts and styles, none within the document, no frame around it."""
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # a browser asks each time whether a file is still the same
}


@dataclass(frozen=True)
class PageAnswer:
    """What a browser gets."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _File:
    body: bytes
    headers: Mapping[str, str]


class Pages:
    """The files by their names below `PREFIX`."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Raises `KeyError` for a name whose ending says no type of `TYPES`."""
        self._files = {name: _File(body, _headers(name, body)) for name, body in files.items()}

    def answer(self, name: str, seen: str) -> PageAnswer | None:
        """The file of this name, and the first page for none; `seen` is the header If-None-Match.

        None where there is no such file.
        """
        file = self._files.get(name or FIRST)
        if file is None:
            return None
        tags = {tag.strip().removeprefix("W/") for tag in seen.split(",")}
        if tags & {"*", file.headers["ETag"]}:
            return PageAnswer(304, file.headers, b"")
        return PageAnswer(200, file.headers, file.body)


def read_pages() -> Pages:
    """The files that belong to this version of Engram. It reads the disk."""
    paths = (path for path in sorted(STATIC.rglob("*")) if path.suffix in TYPES)
    return Pages({path.relative_to(STATIC).as_posix(): path.read_bytes() for path in paths})


def _headers(name: str, body: bytes) -> Mapping[str, str]:
    tag = hashlib.sha256(body).hexdigest()[:32]
    return {**HEADERS, "Content-Type": TYPES[Path(name).suffix], "ETag": f'"{tag}"'}
