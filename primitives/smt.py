"""A persistent sparse Merkle tree: 32-byte keys to byte values, one root for one key-value set. No storage.

    leaf node   0x00 ‖ key ‖ value       hash = tagged_hash(leaf, key ‖ tagged_hash(leaf_value, value))
    inner node  0x01 ‖ left ‖ right      hash = tagged_hash(node, left ‖ right)

Bit i of a key, the highest first, chooses the left (0) or right (1) side at depth i.

The full tree over 256-bit keys is almost empty, so empty regions are not stored: an empty subtree is 32 zero
bytes, and a subtree that holds a single leaf is that leaf itself, at whatever depth. Every set of keys and
values thus has exactly one tree, and the root does not depend on the order in which changes were made. If
keys are hashes, as they should be, a path has about log₂(leaves) nodes; it never has more than 256.

Nodes are immutable and addressed by their hash. An update returns new nodes and changes no old one, so every
older root stays readable: a block on a side branch can be executed on its own parent's state.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Final, Protocol

from engram.primitives.errors import MalformedProof, SmtProofMismatch
from engram.primitives.hashing import Tag, prefixed, tagged_hash
from engram.primitives.types import ZERO_HASH, Hash, Size

KEY_BYTES: Final = 32
DEPTH: Final = 256

_LEAF: Final = 0
_LEAF_PREFIX: Final = b"\x00"
_INNER_PREFIX: Final = b"\x01"
TOP_SHIFT: Final = DEPTH - 1
"""The bit of a key that chooses the side at the root."""
_TOP: Final = TOP_SHIFT
_hash_inner: Final = prefixed(Tag.NODE).copy


class NodeReader(Protocol):
    """Where nodes come from: a database, a dict, or an overlay of both."""

    def get_node(self, node_hash: bytes) -> bytes:
        """The node's bytes. Raises `KeyError` if it is missing."""
        ...


@dataclass(frozen=True, slots=True)
class OtherLeaf:
    """The leaf of another key, at which the path of an absent key ends."""

    key: Hash
    """Its key, which begins with the same bits as the absent key, down to this leaf."""

    value_hash: Hash
    """Tagged hash of its value."""


@dataclass(frozen=True, slots=True)
class SmtProof:
    """The proof that a key has a value under a root, or that it has none."""

    siblings: Annotated[tuple[Hash, ...], Size(0, DEPTH)]
    """Hashes beside the path, from the root downwards."""

    other: OtherLeaf | None
    """If the key is absent and its path ends at the leaf of another key: that leaf; otherwise None."""

    def verify(self, root: bytes, key: bytes, value: bytes | None) -> None:
        """Returns only if the tree under `root` maps `key` to `value`; for None, only if it lacks the key.

        Raises `MalformedProof` when no tree has such a path, else `SmtProofMismatch`.
        """
        number = _number(key)
        depth = len(self.siblings)
        if depth > DEPTH:
            raise MalformedProof("path is too long", expected=DEPTH, got=depth)
        computed = self._end(number, key, value)
        for sibling in reversed(self.siblings):
            depth -= 1
            pair = (sibling, computed) if number >> _TOP - depth & 1 else (computed, sibling)
            computed = tagged_hash(Tag.NODE, *pair)
        if computed != root:
            raise SmtProofMismatch(expected=root, got=computed)

    def _end(self, number: int, key: bytes, value: bytes | None) -> bytes:
        """Hash of the subtree where the path ends."""
        if value is not None:
            if self.other is not None:
                raise MalformedProof("a proof of presence holds another leaf", got=self.other.key)
            return _leaf_hash(key, tagged_hash(Tag.LEAF_VALUE, value))
        if self.other is None:
            return ZERO_HASH
        beyond = DEPTH - len(self.siblings)
        if self.other.key == key or _number(self.other.key) >> beyond != number >> beyond:
            raise MalformedProof("the other leaf is not on the key's path", expected=key, got=self.other.key)
        return _leaf_hash(self.other.key, self.other.value_hash)


def node_hash(node: bytes) -> bytes:
    """The hash that names a node. Raises `ValueError` for bytes that are no node."""
    if node[:1] == _LEAF_PREFIX and len(node) >= 1 + KEY_BYTES:
        return _leaf_hash(node[1:33], tagged_hash(Tag.LEAF_VALUE, node[33:]))
    if node[:1] == _INNER_PREFIX and len(node) == 1 + 2 * KEY_BYTES:
        return tagged_hash(Tag.NODE, node[1:])
    raise ValueError("neither a leaf nor an inner node")


def leaf_of(node: bytes) -> bytes:
    """The value that a leaf node holds."""
    return node[1 + KEY_BYTES :]


def children(node: bytes) -> tuple[bytes, ...]:
    """Hashes of the nodes below a node; none below a leaf and on an empty side."""
    if node[0] == _LEAF:
        return ()
    return tuple(child for child in (node[1:33], node[33:]) if child != ZERO_HASH)


def sides(reader: NodeReader, tree: bytes, shift: int) -> tuple[bytes, bytes]:
    """The trees to the left and to the right below the root of `tree`, whose keys part at bit `shift`.

    A single leaf is its own tree, and stands on the side of its key.
    """
    if tree == ZERO_HASH:
        return ZERO_HASH, ZERO_HASH
    node = reader.get_node(tree)
    if node[0] != _LEAF:
        return node[1:33], node[33:]
    return (ZERO_HASH, tree) if _number(node[1:33]) >> shift & 1 else (tree, ZERO_HASH)


def holds_leaf(reader: NodeReader, tree: bytes, leaf: bytes, key: bytes, shift: int) -> bool:
    """Whether the leaf with this hash and key stands in `tree`, whose keys part at bit `shift`."""
    number = _number(key)
    while tree not in (leaf, ZERO_HASH):
        node = reader.get_node(tree)
        if node[0] == _LEAF:
            return False
        tree = node[33:] if number >> shift & 1 else node[1:33]
        shift -= 1
    return tree == leaf


def get(reader: NodeReader, root: bytes, key: bytes) -> bytes | None:
    """The value of a 32-byte key under `root`, or None."""
    number, get_node = _number(key), reader.get_node
    shift, end = _TOP, root
    while end != ZERO_HASH:  # as in `_descend`, which takes a third longer, because it keeps the siblings
        node = get_node(end)
        if node[0] == _LEAF:
            return node[33:] if node[1:33] == key else None
        end = node[33:] if number >> shift & 1 else node[1:33]
        shift -= 1
    return None


def prove(reader: NodeReader, root: bytes, key: bytes) -> SmtProof:
    """The proof of what `get` returns."""
    node, siblings = _descend(reader, root, key)
    if node is None or node[1:33] == key:
        return SmtProof(siblings, None)
    return SmtProof(siblings, OtherLeaf(node[1:33], tagged_hash(Tag.LEAF_VALUE, node[33:])))


def iterate(reader: NodeReader, root: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every (key, value) under `root`, in the order of keys."""
    pending = [root]
    while pending:
        node_hash = pending.pop()
        if node_hash == ZERO_HASH:
            continue
        node = reader.get_node(node_hash)
        if node[0] == _LEAF:
            yield node[1:33], node[33:]
        else:
            pending += (node[33:], node[1:33])


def update(
    reader: NodeReader, root: bytes, changes: Mapping[bytes, bytes | None]
) -> tuple[bytes, dict[bytes, bytes]]:
    """Sets each key to its value, or deletes it where the value is None.

    Returns the new root, and by their hashes the nodes that the new tree has and the old one lacks. If
    nothing really changes, it returns `root` and no nodes. It makes about log₂(leaves) nodes for each key,
    fewer where changed keys share a path. Raises `ValueError` for a key that is not 32 bytes, and what the
    reader raises for a missing node.
    """
    keys = sorted(changes)
    batch = _Batch(reader, [_number(key) for key in keys], keys, [changes[key] for key in keys])
    return batch.subtree(root, _TOP, 0, len(keys)), batch.nodes


class _Batch:
    """One update: sorted changes, and the nodes made so far.

    `shift` is the number of the bit of a key that chooses the side at this depth: 255 at the root, 0 at the
    deepest inner node. The changes inside a subtree are the slice [lo, hi) of the sorted lists.
    """

    def __init__(
        self, reader: NodeReader, numbers: list[int], keys: list[bytes], values: list[bytes | None]
    ) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self._get_node = reader.get_node
        self._numbers = numbers
        self._keys = keys
        self._values = values

    def subtree(self, old: bytes, shift: int, lo: int, hi: int) -> bytes:
        """Hash of the subtree `old` after the changes in [lo, hi)."""
        if hi - lo <= 1:
            return self._single(old, shift, lo) if lo < hi else old
        if old == ZERO_HASH:
            return self._build(shift, self._insertions(lo, hi))
        node = self._get_node(old)
        if node[0] == _LEAF:
            return self._replace_leaf(old, node, shift, lo, hi)
        left, right = node[1:33], node[33:]
        middle = bisect_left(self._numbers, (self._numbers[lo] >> shift | 1) << shift, lo, hi)
        new_left = self.subtree(left, shift - 1, lo, middle)
        new_right = self.subtree(right, shift - 1, middle, hi)
        return old if new_left == left and new_right == right else self._join(new_left, new_right)

    def _single(self, old: bytes, shift: int, index: int) -> bytes:
        """As `subtree` for a single change, without recursion: down to the end of the path and up again."""
        number = self._numbers[index]
        get_node = self._get_node
        path: list[bytes] = []
        end, leaf = old, b""
        while end != ZERO_HASH:
            node = get_node(end)
            if node[0] == _LEAF:
                leaf = node
                break
            path.append(node)
            end = node[33:] if number >> shift & 1 else node[1:33]
            shift -= 1
        if leaf:
            new = self._replace_leaf(end, leaf, shift, index, index + 1)
        else:
            new = self._build(shift, self._insertions(index, index + 1))
        if new == end:
            return old
        for node in reversed(path):
            shift += 1
            new = self._join(node[1:33], new) if number >> shift & 1 else self._join(new, node[33:])
        return new

    def _replace_leaf(self, old: bytes, node: bytes, shift: int, lo: int, hi: int) -> bytes:
        """Hash of the subtree that was the single leaf `node`, after the changes in [lo, hi)."""
        key, value = node[1:33], node[33:]
        leaves = self._insertions(lo, hi)
        at = bisect_left(self._keys, key, lo, hi)
        if at == hi or self._keys[at] != key:
            insort(leaves, (_number(key), key, value))
        new = self._build(shift, leaves)
        self.nodes.pop(old, None)  # the old leaf may stand deeper now, but it is no new node
        return new

    def _insertions(self, lo: int, hi: int) -> list[tuple[int, bytes, bytes]]:
        rows = zip(self._numbers[lo:hi], self._keys[lo:hi], self._values[lo:hi], strict=True)
        return [(number, key, value) for number, key, value in rows if value is not None]

    def _build(self, shift: int, leaves: list[tuple[int, bytes, bytes]]) -> bytes:
        """Hash of a new subtree of exactly these leaves, sorted by key."""
        if not leaves:
            return ZERO_HASH
        if len(leaves) == 1:
            _, key, value = leaves[0]
            leaf = _leaf_hash(key, tagged_hash(Tag.LEAF_VALUE, value))
            self.nodes[leaf] = _LEAF_PREFIX + key + value
            return leaf
        boundary = (leaves[0][0] >> shift | 1) << shift
        middle = bisect_left(leaves, boundary, key=itemgetter(0))
        left, right = self._build(shift - 1, leaves[:middle]), self._build(shift - 1, leaves[middle:])
        return self._inner(left, right)

    def _join(self, left: bytes, right: bytes) -> bytes:
        """Hash of the subtree with these two sides; a leaf beside an empty side takes the place of both."""
        if left == ZERO_HASH and (right == ZERO_HASH or self._is_leaf(right)):
            return right
        if right == ZERO_HASH and self._is_leaf(left):
            return left
        return self._inner(left, right)

    def _inner(self, left: bytes, right: bytes) -> bytes:
        pair = left + right
        state = _hash_inner()
        state.update(pair)
        inner = state.digest()
        self.nodes[inner] = _INNER_PREFIX + pair
        return inner

    def _is_leaf(self, node_hash: bytes) -> bool:
        node = self.nodes.get(node_hash)
        return (self._get_node(node_hash) if node is None else node)[0] == _LEAF


def _number(key: bytes) -> int:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a tree key is {KEY_BYTES} bytes, not {len(key)}")
    return int.from_bytes(key, "big")


def _leaf_hash(key: bytes, value_hash: bytes) -> bytes:
    return tagged_hash(Tag.LEAF, key, value_hash)


def _descend(reader: NodeReader, root: bytes, key: bytes) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The leaf at which the path of `key` ends (None: an empty subtree), and the siblings that it passes."""
    number = _number(key)
    siblings: list[bytes] = []
    shift, end = _TOP, root
    while end != ZERO_HASH:
        node = reader.get_node(end)
        if node[0] == _LEAF:
            return node, tuple(siblings)
        if number >> shift & 1:
            siblings.append(node[1:33])
            end = node[33:]
        else:
            siblings.append(node[33:])
            end = node[1:33]
        shift -= 1
    return None, tuple(siblings)
