"""Gives the disk back what deleted rows take, and the bodies of blocks that the database no longer knows.

A body cannot be cut out of a block file. So the bodies that are still known are appended once more, from the
files in which many are not; then the database refers to the new places, in one batch; then the old files go.
A crash leaves bodies twice at worst, and the next time frees them.
"""

from __future__ import annotations

from typing import Final

from engram.node.errors import CorruptStore
from engram.node.storage.batches import put_body, put_tip
from engram.node.storage.blockfiles import HEAD_BYTES, PREAMBLE_BYTES, BlockFiles
from engram.node.storage.db import Batch
from engram.node.storage.failpoints import FailPoint, hit
from engram.node.storage.schema import BODY, BlockLocation
from engram.node.storage.store import ChainStore
from engram.node.storage.swap import need_space
from engram.primitives.codec import decode
from engram.primitives.types import Hash

WASTE_SHARE: Final = 10
"""A block file is written anew if more than one of so many bytes of it belong to no block that is known."""


def compact(store: ChainStore, files: BlockFiles) -> None:
    """Frees what is free to be. No node may run on the store. Raises `SpaceMissing`, `StorageError`."""
    _compact_files(store, files)
    store.database.compact()


def _compact_files(store: ChainStore, files: BlockFiles) -> None:
    known: dict[int, list[tuple[BlockLocation, Hash]]] = {}
    for key, raw in store.database.iterate(BODY):
        location = decode(BlockLocation, raw)
        known.setdefault(location.file, []).append((location, key[1:]))
    sizes = files.sizes()
    wasteful = [number for number, size in sizes.items() if _is_wasteful(size, known.get(number, []))]
    if not wasteful:
        return
    moved = [place for number in wasteful for place in known.get(number, [])]
    need_space(files.directory, sum(_record_bytes(location) for location, _ in moved), "the bodies of blocks")
    files.begin_file()
    batch, emptied = Batch(), set(wasteful)
    for location, block in sorted(moved, key=lambda place: (place[0].file, place[0].offset)):
        try:
            put_body(batch, block, files.append(files.read(location)))
        except CorruptStore:
            emptied.discard(location.file)  # a damaged body is left where it is
    tip = store.tip()
    if tip is None:
        raise CorruptStore(got="no tip record")
    put_tip(batch, store.get_ref(tip.block), files.end, tip.executed)
    hit(FailPoint.COMPACT_BEFORE_COMMIT)
    store.write(batch)
    hit(FailPoint.COMPACT_AFTER_COMMIT)
    for number in sorted(emptied):
        files.remove(number)


def _is_wasteful(size: int, known: list[tuple[BlockLocation, Hash]]) -> bool:
    waste = size - PREAMBLE_BYTES - sum(_record_bytes(location) for location, _ in known)
    return waste > size // WASTE_SHARE


def _record_bytes(location: BlockLocation) -> int:
    return HEAD_BYTES + location.size_bytes
