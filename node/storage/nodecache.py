"""The nodes of the state tree that are kept in memory, because every lookup of a key reads the topmost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from engram.primitives.types import Hash

KEPT_NODES: Final = 32_768
"""So many nodes are kept, and as many again that were kept before them and not read since."""
KEPT_NODE_BYTES: Final = 128
"""Nodes up to this size are kept: inner nodes and accounts. With its key, one takes about 300 bytes."""


class NodeCache:
    """Small nodes by their hashes. Several threads may use it: a node never changes.

    There are two tables in turn, since keeping the order in which nodes are used would cost more than it
    saves: once the first is full it becomes the second, and what is read of the second moves to the first.
    """

    def __init__(self) -> None:
        self.recent: dict[Hash, bytes] = {}
        """Most nodes are found here. Whoever reads nodes by the thousand looks here before calling `get`."""
        self._older: dict[Hash, bytes] = {}

    def get(self, node_hash: Hash) -> bytes | None:
        """A node that is kept; None if it is not."""
        node = self.recent.get(node_hash)
        if node is None:
            node = self._older.get(node_hash)
            if node is not None:
                self.keep(node_hash, node)
        return node

    def keep(self, node_hash: Hash, node: bytes) -> None:
        """Keeps a node, unless it is large."""
        if len(node) <= KEPT_NODE_BYTES:
            if len(self.recent) >= KEPT_NODES:
                self._older, self.recent = self.recent, {}
            self.recent[node_hash] = node

    def keep_all(self, nodes: Mapping[Hash, bytes]) -> None:
        """As `keep`, for the nodes of a block at once; if they are too many, for some of them."""
        small = {name: node for name, node in nodes.items() if len(node) <= KEPT_NODE_BYTES}
        if len(small) > KEPT_NODES:
            small = dict(islice(small.items(), KEPT_NODES))
        if len(self.recent) + len(small) > KEPT_NODES:
            self._older, self.recent = self.recent, small
        else:
            self.recent.update(small)

    def forget(self, names: Iterable[Hash]) -> None:
        """Keeps these nodes no longer."""
        for name in names:
            self.recent.pop(name, None)
            self._older.pop(name, None)
