"""Damage to the files of a data directory, as a bad disk does it."""

from __future__ import annotations

from pathlib import Path

from engram.node.storage.blockfiles import HEAD_BYTES
from engram.node.storage.store import BLOCKS_DIRECTORY, ChainStore
from engram.primitives.types import Hash


def flip_bit(path: Path, offset: int) -> None:
    """Flips one bit of a file."""
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1
    path.write_bytes(raw)


def damage_body(directory: Path, store: ChainStore, block: Hash) -> None:
    """Flips a bit in the middle of a block's record in the block files."""
    location = store.body_location(store.get_ref(block))
    path = directory / BLOCKS_DIRECTORY / f"{location.file:06d}.dat"
    flip_bit(path, location.offset + HEAD_BYTES + location.size_bytes // 2)
