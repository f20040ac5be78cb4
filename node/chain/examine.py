"""Reads everything that a stopped node has stored and names each value that is damaged, missing or false.

A check that ends at the first fault hides how much is lost, and one that only follows what it knows calls
unreadable rows sound. So every row of the database is read, and then everything that blocks and states refer
to is asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from engram.node.chain.recovery import check_state
from engram.node.errors import CorruptStore, DamagedBody
from engram.node.storage.schema import (
    ACCOUNT,
    BODY,
    BURIED,
    CANONICAL,
    CONTENT,
    DIFF,
    HEADER,
    INDEX,
    META,
    NODE,
    ONLY_SIDE,
    PEER,
    RECEIPTS,
    RECORD,
    SIDE,
    STAMP_BYTES,
    TRANSACTION,
    UNDO,
)
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives import smt
from engram.primitives.errors import CodecError
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.content import blob_id, chunk_hash

TABLES: Final = {
    HEADER: "headers",
    BODY: "places of bodies",
    RECEIPTS: "receipts",
    DIFF: "state changes",
    INDEX: "index entries",
    NODE: "nodes of the state",
    CONTENT: "blobs",
    RECORD: "names of records",
    CANONICAL: "ids by height",
    TRANSACTION: "places of transactions",
    UNDO: "what undoes state changes",
    SIDE: "blocks beside the best chain",
    BURIED: "losing blocks",
    ONLY_SIDE: "content of side blocks",
    META: "identity and tip",
    PEER: "peers",
    ACCOUNT: "entries of accounts",
}
MOST_NAMED: Final = 1_000
"""So many problems are named; the others are counted."""


class Examination:
    """One examination of a store. `problems` holds a line for each value that is not as it should be."""

    def __init__(self, store: ChainStore, progress: Callable[[int], None] | None = None) -> None:
        self.problems: list[str] = []
        self.count = 0
        """How many problems there are, those beyond `MOST_NAMED` included."""
        self.bodies = 0
        """How many of them are damaged bodies, which a running node fetches again."""
        self.blocks = 0
        """Blocks of the best chain that were examined; genesis is not counted."""
        self._store = store
        self._base = store.pruned().base
        self._progress = progress

    def run(self, head: BlockRef, blocks: int | None) -> None:
        """Examines the last `blocks` blocks below and with the head; by default everything."""
        first = 0 if blocks is None else max(1, head.height + 1 - blocks)
        if self._base:
            first = max(first, 1)  # the state of genesis did not come with the snapshot
        if blocks is None:
            self._rows()
            self._state(head)
            self._side_blocks()
        for height in range(first, head.height + 1):
            with self._named(f"the id of the best block at height {height}"):
                block = self._store.canonical_id(height)
                if block is None:
                    raise CorruptStore(got="missing")
                self._best_block(height, block)
            self.blocks += height > 0
            if self._progress is not None:
                self._progress(height)

    def _rows(self) -> None:
        """Reads every row. LevelDB passes over what it cannot read and says so at the end of a table."""
        for table, name in TABLES.items():
            with self._named(f"rows among the {name}"):
                for key, value in self._store.database.iterate(table):
                    if table == NODE:
                        self._is_node(key[1:], value[:-STAMP_BYTES])
                    elif table == CONTENT:
                        self._is_content(key[1:])

    def _is_node(self, name: Hash, value: bytes) -> None:
        with self._named(f"node {name.hex()} of the state"):
            try:
                right = smt.node_hash(value) == name
            except ValueError:
                right = False
            if not right:
                raise CorruptStore(got="another value than its hash says")

    def _is_content(self, name: Hash) -> None:
        with self._named(f"blob {name.hex()}"):
            raw = self._store.get_blob(name)
            if name not in (blob_id(raw), chunk_hash(raw)):
                raise CorruptStore(got="another value than its hash says")

    def _state(self, head: BlockRef) -> None:
        """Asks for every node of the head's state."""
        pending = [head.state_root] if head.state_root != ZERO_HASH else []
        while pending:
            name = pending.pop()
            with self._named(f"node {name.hex()} of the head's state"):
                pending.extend(smt.children(self._store.get_node(name)))

    def _side_blocks(self) -> None:
        with self._named("rows among the index entries"):
            for key, _ in self._store.database.iterate(INDEX):
                with self._named(f"block {key[1:].hex()}"):
                    ref = self._store.get_ref(key[1:])
                    if ref.is_valid and not self._store.is_canonical(ref):
                        self._parts(f"side block {ref.id.hex()}", ref)

    def _best_block(self, height: int, block: Hash) -> None:
        name = f"block {block.hex()} at height {height}"
        with self._named(name):
            ref = self._store.get_ref(block)
            if (ref.header.id, ref.height, ref.is_valid) != (block, height, True):
                raise CorruptStore(got="a header or an index entry that is not the block's")
            if height and ref.parent != self._store.canonical_id(height - 1):
                raise CorruptStore(got="a parent that is not on the best chain")
            if 0 < height <= self._base:
                if self._store.find_body(ref) is not None:
                    with self._named(f"the body of {name}"):
                        self._store.get_block(ref)
                return
            self._parts(name, ref)
            for index, receipt in enumerate(self._store.receipts(ref)):
                with self._named(f"the place of transaction {receipt.txid.hex()}"):
                    place = self._store.find_transaction(receipt.txid)
                    if place is None or (place.block, place.index) != (block, index):
                        raise CorruptStore(got="missing, or another one")

    def _parts(self, name: str, ref: BlockRef) -> None:
        """The receipts, the changes of the state and the body of a valid block."""
        txids: list[Hash] = []
        with self._named(f"the receipts of {name}"):
            txids += [receipt.txid for receipt in self._store.receipts(ref)]
        with self._named(f"the state of {name}"):
            check_state(self._store, ref)
        with self._named(f"the body of {name}"):
            body = self._store.get_block(ref)
            if txids and txids != [tx.id for tx in body.transactions]:
                raise CorruptStore(got="other transactions than the receipts name")

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        """Turns what is raised for a damaged value into a line of `problems`."""
        try:
            yield
        except (CorruptStore, CodecError) as error:
            self.count += 1
            self.bodies += isinstance(error, DamagedBody)
            if len(self.problems) < MOST_NAMED:
                self.problems.append(f"{what}: {error.got or error}")
