"""Merkle root and proofs of an ordered list of byte strings. No storage; key-value trees are in `smt.py`.

    leaf(item)        = tagged_hash(list_leaf, item)
    node(left, right) = tagged_hash(list_node, left, right)
    root              = tagged_hash(list_root, count as 8 big-endian bytes, top); of no items, top is 32 zeros

If a level has an odd number of nodes, its last one moves up unchanged. It is not paired with itself, as in
Bitcoin, because then two different lists can have one root (CVE-2012-2459). The root also covers the number
of items, so that a list of inner nodes cannot pass for the list of items below them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from engram.primitives.errors import ListProofMismatch, MalformedProof
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import U32, ZERO_HASH, Hash, Size


@dataclass(frozen=True, slots=True)
class ListProof:
    """The proof that an item stands at an index of a list with a given root."""

    index: U32
    """Position of the item, from 0."""

    count: U32
    """Items in the list."""

    siblings: Annotated[tuple[Hash, ...], Size(0, 32)]
    """Hashes beside the path, from the leaf upwards; none on a level where the path's node has no sibling."""

    def verify(self, root: bytes, leaf: bytes) -> None:
        """Returns only if `leaf`, the item's own bytes, stands at `index` of the list whose root is `root`.

        Raises `MalformedProof` when no list of `count` items has such a path, else `ListProofMismatch`.
        """
        if not 0 <= self.index < self.count:
            raise MalformedProof("index lies outside the list", expected=self.count, got=self.index)
        sides = list(_path(self.index, self.count))
        if len(self.siblings) != len(sides):
            raise MalformedProof("path has a wrong length", expected=len(sides), got=len(self.siblings))
        top = tagged_hash(Tag.LIST_LEAF, leaf)
        for (_, _, is_right), sibling in zip(sides, self.siblings, strict=True):
            pair = (sibling, top) if is_right else (top, sibling)
            top = tagged_hash(Tag.LIST_NODE, *pair)
        computed = _root(self.count, top)
        if computed != root:
            raise ListProofMismatch(expected=root, got=computed)


def list_root(leaves: Sequence[bytes]) -> bytes:
    """The 32-byte root of an ordered list; depends on every item, their order and their number."""
    top = ZERO_HASH
    for level in _levels(leaves):
        top = level[0]
    return _root(len(leaves), top)


def prove_item(leaves: Sequence[bytes], index: int) -> ListProof:
    """The proof that `leaves[index]` stands at `index`. Raises `IndexError` for an index outside the list."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"item {index} of a list of {len(leaves)}")
    levels = list(_levels(leaves))
    siblings = tuple(levels[depth][position ^ 1] for depth, position, _ in _path(index, len(leaves)))
    return ListProof(index, len(leaves), siblings)


def _levels(leaves: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Hashes of each level, the leaves first, the single top last; nothing for an empty list."""
    level = [tagged_hash(Tag.LIST_LEAF, leaf) for leaf in leaves]
    while len(level) > 1:
        yield level
        above = [tagged_hash(Tag.LIST_NODE, *level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = above + level[len(above) * 2 :]
    if level:
        yield level


def _path(index: int, count: int) -> Iterator[tuple[int, int, bool]]:
    """(depth, position, is right child) of the path's nodes that have a sibling, from the leaf upwards."""
    depth = 0
    while count > 1:
        if index ^ 1 < count:
            yield depth, index, bool(index & 1)
        index, count, depth = index >> 1, (count + 1) >> 1, depth + 1


def _root(count: int, top: bytes) -> bytes:
    return tagged_hash(Tag.LIST_ROOT, count.to_bytes(8, "big"), top)
