"""Writes a whole state into a new database, some records at a time: the tree, its stamps, its index."""

from __future__ import annotations

from collections.abc import Mapping

from engram.node.chain.pruning import replaced
from engram.node.storage.db import Batch
from engram.node.storage.recordindex import put_records
from engram.node.storage.schema import NODE, stamp
from engram.node.storage.store import ChainStore
from engram.primitives import smt
from engram.primitives.types import ZERO_HASH, Hash


class StateWriter:
    """The state as far as it has been written."""

    def __init__(self, store: ChainStore, order: int) -> None:
        """`order` is that of the block after which the state is."""
        self._store = store
        self._mark = stamp(order)
        self.root: Hash = ZERO_HASH
        self.leaves = 0
        """Records that were added."""

    def add(self, changes: Mapping[Hash, bytes | None]) -> None:
        """Adds records, each by its place in the tree. Nodes that only the root before had are deleted."""
        root, nodes = smt.update(self._store, self.root, changes)
        batch = Batch()
        for name, node in nodes.items():
            batch.put(NODE + name, node + self._mark)
        put_records(batch, changes)
        self._store.write(batch, sync=False)
        edge = [NODE + name for name, _, _ in replaced(self._store, self.root, root)]
        self._store.write(Batch(dict.fromkeys(edge)), sync=False)
        self._store.forget_nodes(key[1:] for key in edge)
        self.root = root
        self.leaves += len(changes)
