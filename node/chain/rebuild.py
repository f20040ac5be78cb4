"""Makes a new database from the block files, and says beforehand what the new one would lack.

The block files hold every body, so they are all that a database needs. But where a body is damaged, all
blocks after it lose their parent: a database that knows them is worth more than a new one. So what would be
lost is counted first. The old database is kept beside the new one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.genesis import Genesis, genesis
from engram.node.chain.importer import Importer
from engram.node.chain.pruning import Depths, depths
from engram.node.chain.recovery import Reached, RollForward, open_chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.errors import CorruptStore, RebuildWouldLose, SchemaMismatch
from engram.node.files import folder_bytes
from engram.node.storage.blockfiles import MAX_RECORD_BYTES, BlockFiles, StoredRecord
from engram.node.storage.db import LevelDatabase
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.schema import INDEX, IndexEntry, Position
from engram.node.storage.store import BLOCKS_DIRECTORY, ChainStore, check_identity
from engram.node.storage.swap import (
    BUILDING,
    DATABASE_DIRECTORY,
    finish_swap,
    need_space,
    swap,
    unused,
)
from engram.primitives.codec import decode
from engram.primitives.errors import CodecError, StorageError
from engram.primitives.packing import unpack
from engram.primitives.types import Hash
from engram.statemachine.scoring import Scorer

Known = dict[Hash, int]
"""Heights of valid blocks by their ids."""
Rebuilding = Callable[[int, int, int], None]
"""Called with the height of the new head, the bytes of the block files that were read, and all of them."""


@dataclass(frozen=True)
class Rebuilt:
    """What came of a rebuild."""

    forward: RollForward
    lost: Known
    """Valid blocks that the old database knew and the new one does not."""
    kept: Path | None
    """Where the old database is kept; None if there was none."""


def rebuild(
    directory: Path,
    spec: ChainSpec,
    scorer: Scorer,
    *,
    archive: bool = False,
    allow_loss: bool = False,
    progress: Rebuilding | None = None,
) -> Rebuilt:
    """Judges every block of the files again, into a new database that takes the place of the old one.

    Raises `RebuildWouldLose` before anything is changed, unless `allow_loss` is set; `SpaceMissing`,
    `DataDirLocked`, and what `open_store` raises.
    """
    first = genesis(spec)
    finish_swap(directory)
    known, end = _known(directory, spec, first)
    with unused(directory):
        would_lose = _missing(known, _reachable(directory, first))
        if would_lose and not allow_loss:
            raise RebuildWouldLose(_advice(would_lose), expected=len(known), got=len(known) - len(would_lose))
        need_space(directory, folder_bytes(directory / DATABASE_DIRECTORY), "a second database")
        building = directory / BUILDING
        shutil.rmtree(building, ignore_errors=True)
        with _new_store(directory, first, end) as store:
            if progress is not None:
                progress(0, 0, folder_bytes(directory / BLOCKS_DIRECTORY))
            forward = _judge_all(spec, first, store, scorer, depths(archive=archive), progress)
            lost = {block: height for block, height in known.items() if store.find_ref(block) is None}
        return Rebuilt(forward, lost, swap(directory))


def would_lose(directory: Path, spec: ChainSpec) -> Known:
    """Valid blocks that the database knows, and that one made from the block files would lack."""
    first = genesis(spec)
    known, _ = _known(directory, spec, first)
    return _missing(known, _reachable(directory, first))


def _judge_all(
    spec: ChainSpec,
    first: Genesis,
    store: ChainStore,
    scorer: Scorer,
    kept: Depths | None,
    progress: Rebuilding | None,
) -> RollForward:
    verifier = SignatureVerifier()
    try:
        importer = Importer(spec, store, scorer, verifier, kept)
        return open_chain(spec, first, store, importer, progress and _reached(store, progress))
    finally:
        verifier.close()


def _reached(store: ChainStore, progress: Rebuilding) -> Reached:
    """Turns a place in the block files into bytes."""
    assert isinstance(store.files, BlockFiles), "`_new_store` has opened the block files of a directory"
    before, total = dict[int, int](), 0
    for number, size in sorted(store.files.sizes().items()):
        before[number], total = total, total + size
    return lambda height, end: progress(height, before.get(end.file, 0) + end.offset, total)


@contextmanager
def _new_store(directory: Path, first: Genesis, end: Position) -> Iterator[ChainStore]:
    database = LevelDatabase(directory / BUILDING)
    try:
        files = BlockFiles(directory / BLOCKS_DIRECTORY, first.id, end)
    except BaseException:
        database.close()
        raise
    store = ChainStore(database, files)
    try:
        yield store
    finally:
        store.close()


def _known(directory: Path, spec: ChainSpec, first: Genesis) -> tuple[Known, Position]:
    """What can be read of the database: the valid blocks above genesis, and where the block files end.

    A database that cannot be opened is known to hold nothing. Raises `DataDirLocked`, `ForeignData`.
    """
    known: Known = {}
    nowhere = Position(0, 0)
    if not (directory / DATABASE_DIRECTORY / "CURRENT").exists():
        return known, nowhere
    try:
        database = LevelDatabase(directory / DATABASE_DIRECTORY)
    except CorruptStore:
        return known, nowhere
    try:
        with suppress(CorruptStore, SchemaMismatch):
            check_identity(database, spec_id(spec), first.id)
        with suppress(CorruptStore, CodecError):
            for key, raw in database.iterate(INDEX):
                entry = decode(IndexEntry, raw)
                if entry.is_valid and entry.height:
                    known[key[1:]] = entry.height
        return known, _end_of_files(directory, database)
    finally:
        database.close()


def _end_of_files(directory: Path, database: LevelDatabase) -> Position:
    """The position that the database has recorded, if the files reach that far; else the beginning."""
    with suppress(StorageError):
        tip = ChainStore(database, MemoryBlockFiles()).tip()
        if tip is not None:
            path = directory / BLOCKS_DIRECTORY / f"{tip.files_end.file:06d}.dat"
            if path.exists() and path.stat().st_size >= tip.files_end.offset:
                return tip.files_end
    return Position(0, 0)


def _reachable(directory: Path, first: Genesis) -> set[Hash]:
    """Ids of the blocks in the files that stand on genesis without a gap. Changes no file."""
    children: dict[Hash, list[Hash]] = {}
    for payload in _payloads(directory, first):
        with suppress(CodecError):
            header = decode(Block, unpack(payload, MAX_RECORD_BYTES)).header
            children.setdefault(header.parent, []).append(header.id)
    reached: set[Hash] = set()
    pending = [first.id]
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in reached:
                reached.add(child)
                pending.append(child)
    return reached


def _payloads(directory: Path, first: Genesis) -> Iterator[bytes]:
    files = BlockFiles(directory / BLOCKS_DIRECTORY, first.id, Position(0, 0), read_only=True)
    for item in files.scan(Position(0, 0)):
        if isinstance(item, StoredRecord):
            yield item.payload


def _missing(known: Known, reachable: set[Hash]) -> Known:
    return {block: height for block, height in known.items() if block not in reachable}


def _advice(lost: Known) -> str:
    return (
        f"a database rebuilt from the block files would lose {named(lost)}, that the present database knows, "
        "and nothing was changed: start the node, which fetches from its peers what bodies are damaged or "
        "missing, and rebuild then; if it does not start, accept the loss with --yes, and it fetches those "
        "blocks anew"
    )


def named(lost: Known) -> str:
    """How many blocks these are, and from where on."""
    count = "1 block" if len(lost) == 1 else f"{len(lost)} blocks"
    return f"{count}, from height {min(lost.values())} on"
