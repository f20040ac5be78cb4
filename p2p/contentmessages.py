"""The messages by which nodes give each other content by its id: tensors, data parts and chunks.

Their lines in the registry stand in `messages`, with those of all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from engram.primitives.types import U32, U64, Hash, Range, Size

CONTENT_VERSION: Final = 3
"""The first version whose speakers give content by its id."""
MAX_CONTENT_BYTES: Final = 64 << 20
"""The most plain bytes of a tensor, data part or chunk."""
PIECE_BYTES: Final = 256 << 10
"""Content travels in pieces of so many plain bytes; the last one may be shorter."""


@dataclass(frozen=True)
class GetContent:
    """Asks for a piece of a tensor, data part or chunk by its content id."""

    request: U32
    name: Hash
    piece: Annotated[int, Range(0, MAX_CONTENT_BYTES // PIECE_BYTES - 1)]
    """From 0: the one that begins at so many times `PIECE_BYTES`."""


@dataclass(frozen=True)
class ContentPart:
    """Some bytes of content."""

    size_bytes: Annotated[int, Range(1, MAX_CONTENT_BYTES)]
    """Of the whole."""
    data: Annotated[bytes, Size(1, PIECE_BYTES)]


@dataclass(frozen=True)
class Content:
    """Answers `GetContent`; nil if the sender does not have it, or it has no such piece."""

    request: U32
    part: ContentPart | None


@dataclass(frozen=True)
class GetHoldings:
    """Asks what the receiver has of the past."""

    request: U32


@dataclass(frozen=True)
class Holdings:
    """Answers `GetHoldings`."""

    request: U32
    bodies_from: U64
    """From this height on it has the bodies of its best chain; 1 if it has all."""
    archive: bool
    """Whether it keeps everything that it has had, and so is asked first for what others have deleted."""
