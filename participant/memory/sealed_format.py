"""The bytes of a sealed log: heads of files, heads of records, and what a torn record looks like."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engram.node.sealing import MARK_BYTES, NONCE_BYTES, TAG_BYTES, Sealer

MAGIC: Final = b"engram sealed 1\n"
PURPOSE: Final = "engram/fast_memory"
MAX_FILE_BYTES: Final = 64 << 20
MAX_RECORD_BYTES: Final = 48 << 20
SECTOR_BYTES: Final = 512
GENERATION: Final = re.compile("[0-9]{6}")
"""The name of a whole generation."""
LEFTOVER: Final = re.compile("[0-9]{6}([.]new)?")
"""The name of a generation, whole or not; of these, only the last whole one is kept."""
ALIGNED_BYTES: Final = 32
"""Records begin at multiples of this, so that the head of a record lies in one sector."""
SALT_BYTES: Final = 32
CHECK_BYTES: Final = 8
HEAD_BYTES: Final = len(MAGIC) + SALT_BYTES + 8 + TAG_BYTES + MARK_BYTES + CHECK_BYTES
RECORD_HEAD_BYTES: Final = 4 + NONCE_BYTES + 4
FIRST_TAG: Final = bytes(TAG_BYTES)


@dataclass
class SealedFile:
    """A file of the log, as far as it is known to be intact."""

    path: Path
    head: bytes
    sealer: Sealer
    tag: bytes
    """The tag of its last record; before the first one, `last` of its head."""
    records: int = 0
    size: int = HEAD_BYTES


def is_torn(raw: bytes, offset: int, wanted: int) -> bool:
    """Whether bytes at the end of a file are what a crash leaves of `wanted` bytes that were to be written.

    Then the file ends too early, or some of its sectors were never written and are zeros. No sector of a
    whole record is zeros: sealed bytes are random, and what fills a record up is not zero.
    """
    if len(raw) < wanted:
        return True
    begin = 0
    while begin < len(raw):
        end = begin + SECTOR_BYTES - (offset + begin) % SECTOR_BYTES
        if not any(raw[begin:end]):
            return True
        begin = end
    return False


def aligned(size: int) -> int:
    """The size, or the next larger multiple of ALIGNED_BYTES."""
    return -(-size // ALIGNED_BYTES) * ALIGNED_BYTES


def belongs(file: SealedFile, length: int) -> bytes:
    """What the next record of a file is sealed together with; `length` is that of the sealed bytes."""
    return file.head + struct.pack(">II", file.records, length) + file.tag


def record_head(file: SealedFile, length: int, nonce: bytes) -> bytes:
    """The RECORD_HEAD_BYTES before the sealed bytes of the next record of a file."""
    body = struct.pack(">I", length) + nonce
    return body + short_hash(file.head + struct.pack(">I", file.records) + body, 4)


def short_hash(raw: bytes, size: int) -> bytes:
    """The first bytes of SHA-256: a check against accidents, which needs no key."""
    return hashlib.sha256(raw).digest()[:size]


def folder_name(generation: int) -> str:
    """The name of a generation."""
    return f"{generation:06d}"


def generations(folder: Path) -> list[int]:
    """The numbers of the whole generations in a folder, rising."""
    return sorted(int(path.name) for path in folder.iterdir() if GENERATION.fullmatch(path.name))
