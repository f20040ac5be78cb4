"""Checks or rebuilds a data directory while no node runs on it. All calls block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.genesis import Genesis, genesis
from engram.node.chain.importer import Importer
from engram.node.chain.recovery import Progress, check_end, open_chain, remove_database
from engram.node.chain.signatures import SignatureVerifier
from engram.node.chain.verification import VerificationCache
from engram.node.config import Config
from engram.node.datadir import read_spec
from engram.node.errors import ChainNotFound, CorruptStore
from engram.node.storage.blockfiles import StoredRecord
from engram.node.storage.schema import CONTENT, Position
from engram.node.storage.store import BLOCKS_DIRECTORY, DATABASE_DIRECTORY, BlockRef, ChainStore, open_store
from engram.primitives.errors import CodecError
from engram.primitives.packing import plain_size
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
        }


@dataclass(frozen=True)
class StoredSizes:
    """What the block bodies and blobs of a data directory take, and what they would take undeflated."""

    blocks: int
    """Intact records of the block files, those of side branches included."""
    block_plain_bytes: int
    block_stored_bytes: int
    blobs: int
    """Tensors, data parts and chunks in the database."""
    blob_plain_bytes: int
    blob_stored_bytes: int

    def to_json(self) -> dict[str, object]:
        """The same as JSON values."""
        return asdict(self)


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
    return StoredSizes(*blocks, *blobs)


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


def check_data_dir(config: Config, blocks: int | None = None) -> CheckedChain:
    """Checks that the last `blocks` blocks, by default all, match their receipts and states.

    Raises `ChainNotFound`, what `open_store` raises, and `CorruptStore`, which says what is wrong.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    if not (config.data_dir / DATABASE_DIRECTORY).is_dir():
        raise CorruptStore(f"the database of {config.data_dir} is missing: run `engram db reindex`")
    with _opened(config, spec, genesis(spec)) as store:
        tip = store.tip()
        if tip is None:
            raise CorruptStore(f"the database in {config.data_dir} is empty: run `engram db reindex`")
        head = check_end(store, tip.height + 1 if blocks is None else blocks)
        return CheckedChain("sound", head, head.height if blocks is None else min(blocks, head.height))


def reindex_data_dir(config: Config, progress: Progress | None = None) -> CheckedChain:
    """Removes the database and rebuilds it from the block files, judging every block again.

    Raises `ChainNotFound`, `DataDirLocked` while a node runs on the directory, and what `open_store` raises.
    """
    spec = read_spec(config.data_dir)
    _check_blocks(config)
    first = genesis(spec)
    remove_database(config.data_dir)
    verifier = SignatureVerifier()
    try:
        with _opened(config, spec, first) as store:
            importer = Importer(spec, store, Scorer(VerificationCache()), verifier)
            forward = open_chain(spec, first, store, importer, progress)
    finally:
        verifier.close()
    damaged = sum(damage.size_bytes for damage in forward.damage)
    return CheckedChain("rebuilt", forward.head, forward.head.height, forward.refused, damaged)


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
