"""Verifies the stored chain anew: its headers with their work, and its blocks by executing them again.

`engram db check` asks whether what is stored is whole. This asks whether it is right: whether every block
keeps the rules, from the bodies alone. The whole chain is executed from genesis on a database of its own, so
that nothing is believed that the node has computed before. A range is executed on the states that the node
has kept, without writing anything. Where a node has neither (it began with a snapshot), headers and work are
verified and the result says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec
from engram.consensus.genesis import genesis
from engram.consensus.validation import check_transactions_root, validate_body, validate_execution
from engram.node.chain.headers import CheckedHeader, HeaderChain, check_block
from engram.node.chain.importer import Importer, ImportStatus
from engram.node.chain.recovery import Progress, write_genesis
from engram.node.chain.signatures import SignatureVerifier
from engram.node.errors import BlockNotFound, ChainBroken, CorruptStore, DamagedBody
from engram.node.files import folder_bytes
from engram.node.storage.db import Batch, LevelDatabase
from engram.node.storage.store import BlockRef, ChainStore
from engram.node.storage.swap import DATABASE_DIRECTORY, need_space
from engram.primitives.errors import Invalid, NotReady
from engram.statemachine.errors import UpgradeRequired
from engram.statemachine.scoring import Scorer

SCRATCH: Final = DATABASE_DIRECTORY + ".verifying"
"""The database on which the whole chain is executed. It is removed at the end, or by the next run."""


@dataclass(frozen=True)
class Heights:
    """Heights of the best chain, both included. Empty if `last` lies below `first`."""

    first: int
    last: int

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)


@dataclass(frozen=True)
class VerifiedChain:
    """What holds: every header of the range, and the blocks that were executed again."""

    head: BlockRef
    headers: Heights
    replayed: Heights
    bodies: int = field(default=0)
    """Bodies that are their headers', of blocks that could not be executed for want of a state."""
    missing: int = field(default=0)
    """Bodies from before a snapshot that are not here yet: once they are, all blocks can be executed."""

    def to_json(self) -> dict[str, object]:
        """The same as JSON values."""
        executed = [self.replayed.first, self.replayed.last] if len(self.replayed) else None
        return {
            "state": "holds",
            "height": self.head.height,
            "head": self.head.id.hex(),
            "headers": [self.headers.first, self.headers.last] if len(self.headers) else None,
            "replayed": executed,
            "not_replayed": len(self.headers) - len(self.replayed),
            "bodies": self.bodies,
            "bodies_missing": self.missing,
        }


def verify_chain(
    directory: Path,
    spec: ChainSpec,
    store: ChainStore,
    scorer: Scorer,
    head: BlockRef,
    asked: Heights,
    now_ms: int,
    progress: Progress,
) -> VerifiedChain:
    """Verifies the best chain's blocks of a range; `progress` is called with the height after each.

    A range that begins where the node has kept no state is executed from genesis on, if the node has all
    bodies. Raises `ChainBroken`, which names the first block that does not hold, `BlockNotFound` for heights
    that the chain has not, `UpgradeRequired`, `SpaceMissing`.
    """
    if head.height and not 1 <= asked.first <= asked.last <= head.height:
        got = f"{asked.first} to {asked.last}"
        raise BlockNotFound(expected=f"heights from 1 to {head.height}", got=got)
    pruned = store.pruned()
    missing = sum(store.find_body(_at(store, height)) is None for height in range(1, pruned.base + 1))
    anew = not missing and (asked.first == 1 or asked.first <= pruned.states)
    headers = Heights(1, asked.last) if anew else asked
    line = _Line(spec, store, headers, now_ms)
    verifier = SignatureVerifier()
    try:
        if anew:
            _execute_anew(directory, spec, store, scorer, line, verifier, progress)
            return VerifiedChain(head, headers, headers)
        replayed = Heights(max(asked.first, pruned.states + 1), asked.last)
        bodies = _execute_in_place(spec, store, scorer, line, replayed.first, verifier, progress)
        return VerifiedChain(head, headers, replayed, bodies, missing)
    finally:
        verifier.close()


class _Line:
    """The blocks of a range, each with its header checked on top of the one before."""

    def __init__(self, spec: ChainSpec, store: ChainStore, heights: Heights, now_ms: int) -> None:
        self._store = store
        self._heights = heights
        self._now_ms = now_ms
        self._chain = HeaderChain(spec, store, _at(store, heights.first - 1))

    def __iter__(self) -> Iterator[tuple[BlockRef, CheckedHeader]]:
        for height in range(self._heights.first, self._heights.last + 1):
            ref = _at(self._store, height)
            with _named(ref):
                # What is asked is whether the chain is right, not whether this machine's clock is.
                now_ms = max(self._now_ms, ref.header.timestamp_ms)
                checked = self._chain.extend(ref.header, now_ms)
                if (checked.id, checked.total_work) != (ref.id, ref.total_work):
                    raise CorruptStore(
                        got="an id or a work that is not the header's: run `engram db reindex`"
                    )
            yield ref, checked


def _execute_anew(
    directory: Path,
    spec: ChainSpec,
    store: ChainStore,
    scorer: Scorer,
    line: _Line,
    verifier: SignatureVerifier,
    progress: Progress,
) -> None:
    need_space(directory, folder_bytes(directory / DATABASE_DIRECTORY), "a second database")
    with _scratch(directory) as database:
        second = ChainStore(database, store.files)
        write_genesis(spec, genesis(spec), second)
        importer = Importer(spec, second, scorer, verifier)
        head = _at(second, 0)
        for ref, checked in line:
            with _named(ref):
                block = check_block(checked, store.get_block(ref)).block
                where = store.body_location(ref), store.files.end
                done = importer.import_block(block, head, ref.header.timestamp_ms, where, checked)
                if done.answer.outcome is not ImportStatus.EXTENDED:
                    message = f"block {ref.height} {ref.id.hex()} does not hold: {done.answer.detail}"
                    raise ChainBroken(message, got=done.answer.code)
            head = done.head
            importer.prune(head.height)
            progress(head.height)


def _execute_in_place(
    spec: ChainSpec,
    store: ChainStore,
    scorer: Scorer,
    line: _Line,
    first: int,
    verifier: SignatureVerifier,
    progress: Progress,
) -> int:
    """Executes the blocks from a height on; of those below it, only bodies are compared with headers."""
    bodies = 0
    for ref, _ in line:
        with _named(ref):
            if ref.height >= first:
                _execute(spec, store, store.get_block(ref), scorer, verifier)
            elif store.find_body(ref) is not None:
                check_transactions_root(store.get_block(ref))
                bodies += 1
        progress(ref.height)
    return bodies


def _execute(
    spec: ChainSpec, store: ChainStore, block: Block, scorer: Scorer, verifier: SignatureVerifier
) -> None:
    parent = store.get_ref(block.header.parent).header
    checked = validate_body(spec, block, verifier.verify)
    validate_execution(spec, store, store, parent, block, scorer, checked)


def _at(store: ChainStore, height: int) -> BlockRef:
    block = store.canonical_id(height)
    if block is None:
        raise CorruptStore(got=f"no id at height {height}")
    return store.get_ref(block)


@contextmanager
def _named(ref: BlockRef) -> Iterator[None]:
    """Says of an error which block it is about."""
    name = f"block {ref.height} {ref.id.hex()}"
    try:
        yield
    except UpgradeRequired:
        raise
    except DamagedBody as error:
        message = f"the body of {name} cannot be read: start the node, it fetches the body from its peers"
        raise ChainBroken(message, got=error.code) from error
    except (Invalid, NotReady, CorruptStore) as error:
        raise ChainBroken(f"{name} does not hold: {error}", got=error.code) from error


class _Unsynced(LevelDatabase):
    """A database that nobody needs after a crash, so it waits for no disk."""

    def write(self, batch: Batch, *, sync: bool = True) -> None:
        super().write(batch, sync=False)


@contextmanager
def _scratch(directory: Path) -> Iterator[LevelDatabase]:
    path = directory / SCRATCH
    shutil.rmtree(path, ignore_errors=True)
    try:
        database = _Unsynced(path)
        try:
            yield database
        finally:
            database.close()
    finally:
        shutil.rmtree(path, ignore_errors=True)
