"""Checks or rebuilds a data directory while no node runs on it. All calls block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.genesis import Genesis, genesis
from engram.node.chain.examine import Examination
from engram.node.chain.exchange import ExportedBlocks, ImportedBlocks, export_blocks, import_blocks
from engram.node.chain.importer import Importer
from engram.node.chain.pruning import Pruner, depths
from engram.node.chain.rebuild import Rebuilding, named, rebuild, would_lose
from engram.node.chain.recovery import Progress, check_end, open_chain
from engram.node.chain.replay import Heights, VerifiedChain, verify_chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.chain.snapshot import SnapshotInfo, restore_snapshot, take_snapshot
from engram.node.chain.verification import VerificationCache
from engram.node.config import Config
from engram.node.datadir import read_spec
from engram.node.engines.choosing import engine_for
from engram.node.errors import ChainNotFound, CorruptStore, DamageFound
from engram.node.files import folder_bytes
from engram.node.storage.blockfiles import BlockFiles, StoredRecord
from engram.node.storage.compaction import compact
from engram.node.storage.schema import CONTENT, Position
from engram.node.storage.store import BLOCKS_DIRECTORY, BlockRef, ChainStore, open_store
from engram.node.storage.swap import DATABASE_DIRECTORY
from engram.primitives.errors import CodecError
from engram.primitives.packing import plain_size
from engram.primitives.types import Hash
from engram.statemachine.scoring import Scorer


@dataclass(frozen=True)
class CheckedChain:
    """The best chain of a data directory after a check or a rebuild."""

    state: str
    """`sound` after a check, `rebuilt` after a rebuild."""
    head: BlockRef
    blocks: int
    """How many of its blocks were checked or executed again; genesis is not counted."""
    refused: int = 0
    """Intact records of the block files that hold no block that could be imported."""
    damaged_bytes: int = 0
    """Bytes of the block files that belong to no intact record."""
    blocks_lost: int = 0
    """Valid blocks that the database before the rebuild knew and the new one does not."""
    kept: str = ""
    """Folder of the database before the rebuild; empty if there was none."""

    def to_json(self) -> dict[str, object]:
        """The same as JSON values, with ids as hexadecimal text."""
        return {
            "state": self.state,
            "height": self.head.height,
            "head": self.head.id.hex(),
            "state_root": self.head.state_root.hex(),
            "blocks": self.blocks,
            "refused": self.refused,
            "damaged_bytes": self.damaged_bytes,
            "blocks_lost": self.blocks_lost,
            "kept": self.kept,
        }


@dataclass(frozen=True)
class StoredSizes:
    """What the block bodies and blobs of a data directory take, and what they would take undeflated."""

    blocks: int
    """Intact records of the block files, those of side branches included."""
    side_blocks: int
    """Those of them that are no body of the best chain."""
    block_plain_bytes: int
    block_stored_bytes: int
    blobs: int
    """Tensors, data parts and chunks in the database."""
    blob_plain_bytes: int
    blob_stored_bytes: int
    block_files_bytes: int
    """All bytes of the block files."""
    database_bytes: int
    """All bytes of the database's files, in which the blobs are."""

    def to_json(self) -> dict[str, object]:
        """The same as JSON values."""
        return asdict(self)


def snapshot_data_dir(config: Config, path: Path, height: int | None) -> SnapshotInfo:
    """Writes the state at a height, by default well below the head, to a file.

    Raises `ChainNotFound`, what `open_store` raises, and what `take_snapshot` raises.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    with _opened(config, spec, genesis(spec)) as store:
        return take_snapshot(store, check_end(store), spec, path, height)


def restore_data_dir(
    config: Config, path: Path, now_ms: int, checkpoint: Hash | None, min_work: int
) -> SnapshotInfo:
    """Begins the chain of a data directory, which holds no blocks yet, with a snapshot.

    Raises `ChainNotFound` and what `restore_snapshot` raises.
    """
    spec = read_spec(config.data_dir)
    return restore_snapshot(config.data_dir, spec, path, now_ms, checkpoint=checkpoint, min_work=min_work)


def export_data_dir(config: Config, path: Path, first: int, last: int | None) -> ExportedBlocks:
    """Writes blocks of the best chain to a file.

    Raises `ChainNotFound`, what `open_store` raises, and what `export_blocks` raises.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    with _opened(config, spec, genesis(spec)) as store:
        return export_blocks(store, check_end(store), spec, path, first, last)


def import_data_dir(config: Config, path: Path, now_ms: int, progress: Progress) -> ImportedBlocks:
    """Judges the blocks of a file as if peers had sent them.

    Raises `ChainNotFound`, what `open_store`, `engine_for` and `import_blocks` raise.
    """
    spec = read_spec(config.data_dir)
    first = genesis(spec)
    verifier = SignatureVerifier()
    try:
        with _opened(config, spec, first) as store:
            kept = depths(archive=config.archive)
            scorer = Scorer(VerificationCache(), engine_for(config.engine))
            importer = Importer(spec, store, scorer, verifier, kept)
            head = open_chain(spec, first, store, importer).head
            return import_blocks(importer, head, spec, path, now_ms, progress)
    finally:
        verifier.close()


def verify_data_dir(
    config: Config, first: int, last: int | None, now_ms: int, progress: Progress
) -> VerifiedChain:
    """Verifies blocks of the best chain anew, by default to the head.

    Raises `ChainNotFound`, what `open_store`, `engine_for` and `verify_chain` raise.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    with _opened(config, spec, genesis(spec)) as store:
        head = check_end(store, 0)
        asked = Heights(first, head.height if last is None else last)
        scorer = Scorer(VerificationCache(), engine_for(config.engine))
        return verify_chain(config.data_dir, spec, store, scorer, head, asked, now_ms, progress)


def compact_data_dir(config: Config, *, prune: bool) -> tuple[int, int]:
    """Gives the disk the room of what is deleted; the bytes of database and blocks before and after.

    With `prune`, all old states are deleted first, unless the setting archive keeps them.

    Raises `ChainNotFound` and what `open_store` raises.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    with _opened(config, spec, genesis(spec)) as store:
        head, before = check_end(store), _stored_bytes(config)
        pruner = Pruner(store, depths(archive=config.archive))
        while prune and pruner.advance(head.height):
            pass
        assert isinstance(store.files, BlockFiles), "the store of a data directory has block files on disk"
        compact(store, store.files)
    with _opened(config, spec, genesis(spec)):
        return before, _stored_bytes(config)  # opening deletes the tables that compaction has replaced


def _stored_bytes(config: Config) -> int:
    return sum(folder_bytes(config.data_dir / name) for name in (DATABASE_DIRECTORY, BLOCKS_DIRECTORY))


def measure_data_dir(config: Config) -> StoredSizes:
    """Adds up declared and stored sizes; reads everything once and inflates nothing.

    Raises `ChainNotFound`, what `open_store` raises, and `CorruptStore` for a value that is not packed.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    with _opened(config, spec, genesis(spec)) as store:
        blocks = _sizes(
            item.payload for item in store.files.scan(Position(0, 0)) if isinstance(item, StoredRecord)
        )
        blobs = _sizes(packed for _, packed in store.database.iterate(CONTENT))
        best = sum(store.find_body(store.get_ref(block)) is not None for _, block in store.canonical(1))
    folders = [config.data_dir / name for name in (BLOCKS_DIRECTORY, DATABASE_DIRECTORY)]
    files, database = map(folder_bytes, folders)
    count, plain, stored = blocks
    return StoredSizes(count, max(0, count - best), plain, stored, *blobs, files, database)


def _sizes(values: Iterable[bytes]) -> tuple[int, int, int]:
    """How many packed values there are, their plain bytes, and their stored bytes."""
    count = plain = stored = 0
    for packed in values:
        try:
            plain += plain_size(packed)
        except CodecError as error:
            raise CorruptStore(got=f"a stored value that is not packed: {error}") from error
        count, stored = count + 1, stored + len(packed)
    return count, plain, stored


def check_data_dir(
    config: Config, blocks: int | None = None, progress: Progress | None = None
) -> CheckedChain:
    """Checks the last `blocks` blocks, by default everything that is stored. Changes nothing.

    Raises `ChainNotFound`, what `open_store` raises, and `DamageFound`, which names all that is damaged, and
    says what helps and what would be lost by it.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    if not (config.data_dir / DATABASE_DIRECTORY).is_dir():
        raise DamageFound("there is no database: `engram db reindex` makes one from the block files")
    try:
        with _opened(config, spec, genesis(spec)) as store:
            head = check_end(store, 0)
            found = Examination(store, progress)
            found.run(head, blocks)
    except CorruptStore as error:
        remedy = _remedy(config, spec, 1, 0)
        raise DamageFound(remedy, got=(str(error.got or error),)) from error
    if found.count:
        remedy = _remedy(config, spec, found.count, found.bodies)
        raise DamageFound(remedy, got=tuple(found.problems))
    return CheckedChain("sound", head, found.blocks)


def _remedy(config: Config, spec: ChainSpec, problems: int, bodies: int) -> str:
    """What to do: damaged bodies are fetched again by a running node, all else is rebuilt."""
    count = "1 stored value is" if problems == 1 else f"{problems} stored values are"
    if problems == bodies:
        return (
            f"{count} damaged or missing, and nothing but bodies of blocks: nothing is lost for the network; "
            "start the node, which fetches them again from its peers"
        )
    lost = would_lose(config.data_dir, spec)
    says = "loses no block by that" if not lost else f"would lose {named(lost)} by that, and asks first"
    return (
        f"{count} damaged or missing: `engram db reindex` makes a new database from the block files, {says}; "
        "the old one is kept beside it"
    )


def reindex_data_dir(
    config: Config, progress: Rebuilding | None = None, *, allow_loss: bool = False
) -> CheckedChain:
    """Makes a new database from the block files, judging every block again, and keeps the old one.

    Raises `ChainNotFound`, and what `engine_for` and `rebuild` raise.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    scorer = Scorer(VerificationCache(), engine_for(config.engine))
    done = rebuild(
        config.data_dir, spec, scorer, archive=config.archive, allow_loss=allow_loss, progress=progress
    )
    forward, kept = done.forward, done.kept
    return CheckedChain(
        "rebuilt",
        forward.head,
        forward.head.height,
        forward.refused,
        sum(damage.size_bytes for damage in forward.damage),
        len(done.lost),
        "" if kept is None else str(kept),
    )


def block_files_of(config: Config) -> tuple[int, int]:
    """How many block files the data directory has, and their bytes. Raises `ChainNotFound`."""
    _check_blocks(config)
    sizes = [path.stat().st_size for path in (config.data_dir / BLOCKS_DIRECTORY).glob("*.dat")]
    return len(sizes), sum(sizes)


def _check_blocks(config: Config) -> None:
    if not (config.data_dir / BLOCKS_DIRECTORY).is_dir():
        raise ChainNotFound(f"there are no blocks in {config.data_dir} yet: start the node once")


@contextmanager
def _opened(config: Config, spec: ChainSpec, first: Genesis) -> Iterator[ChainStore]:
    store = open_store(config.data_dir, spec_id(spec), first.id)
    try:
        yield store
    finally:
        store.close()
