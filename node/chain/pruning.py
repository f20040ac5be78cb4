"""Deletes old states: those that no branch is likely to stand on, and the losing branches beside them.

A node that kept every state would write five times what its blocks take. So only the states of the last
blocks are kept whole. When the state after a block P is deleted, the nodes are deleted that P has and its
child B on the best chain lacks. A later block may have made the same nodes once more. That is seen from the
stamp of a node, the order of the block that wrote it last: what was written after B stays, and goes when it
is replaced again. Beside the nodes, the records that B changed are exchanged for the records as they were, so
that an old state can be made again for a deeper reorganisation, from the oldest one that is kept downwards.

A branch that parts from the best chain below the oldest state can never be extended here. All that is stored
of it is deleted: if it should ever get more work, it is fetched again. Its nodes go later, once all blocks
that stand above the oldest state were judged after it: only then do stamps and that one state tell what is
in use.

Every step is one batch, so a crash leaves the states before or after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from engram.node.errors import CorruptStore, StatePruned
from engram.node.storage.batches import side_key, state_diff
from engram.node.storage.db import Batch
from engram.node.storage.failpoints import FailPoint, hit
from engram.node.storage.schema import (
    BODY,
    BURIED,
    CONTENT,
    DIFF,
    HEADER,
    INDEX,
    NODE,
    ONLY_SIDE,
    PRUNED,
    RECEIPTS,
    SIDE,
    UNDO,
    Buried,
    Pruned,
    stamp,
)
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives import smt
from engram.primitives.codec import decode, encode
from engram.primitives.types import ZERO_HASH, Hash

STEPS: Final = 4
"""Of how many blocks the states are deleted after one import: more than one, so that a backlog shrinks."""


HELD: Final = 16
"""So many blocks may join the best chain before the next block comes of a branch for which an old state was
made again. However slowly the branch comes in, it is not deleted as long as it grows.
"""


@dataclass(frozen=True)
class Depths:
    """How far below the head old states are kept."""

    states: int = 128
    """So many blocks below the head have their states."""
    changes: int = 2_048
    """So many blocks below the head can have their states made again."""


DEFAULT_DEPTHS: Final = Depths()


def depths(*, archive: bool) -> Depths | None:
    """What a node keeps; None keeps all."""
    return None if archive else DEFAULT_DEPTHS


class Pruner:
    """Deletes old states of a store and makes them again. The chain's one writer calls it."""

    def __init__(self, store: ChainStore, depths: Depths | None) -> None:
        self._store = store
        self._depths = depths
        self._held = 0
        """For so many calls of `advance` nothing is deleted, because a state was made again to build on."""
        self._held_for: Hash | None = None
        """The last block of the branch that is built on it."""

    def advance(self, height: int, steps: int = STEPS) -> int:
        """Deletes states that are too old for a head at this height; how many it has deleted."""
        if self._depths is None:
            return 0
        if self._held:
            self._held -= 1
            return 0
        pruned, done = self._store.pruned(), 0
        while done < steps and pruned.states < height - self._depths.states:
            pruned = self._step(pruned, height - self._depths.changes)
            done += 1
        return done

    def _step(self, pruned: Pruned, keep_changes: int) -> Pruned:
        """Deletes the oldest state that is kept."""
        store, batch = self._store, Batch()
        old, new = self._best(pruned.states), self._best(pruned.states + 1)
        before: dict[Hash, bytes | None] = {}
        for name, node, order in replaced(store, old.state_root, new.state_root):
            if node[0] == 0:
                before[node[1:33]] = node[33:]
            if order <= new.order:
                batch.delete(NODE + name)
        undo = {
            entry.key: before[entry.key] if entry.key in before else smt.get(store, old.state_root, entry.key)
            for entry in store.diff(new).entries
        }
        batch.put(UNDO + new.id, encode(state_diff(undo)))
        batch.delete(DIFF + new.id)
        buried = self._bury(batch, old, new)
        self._delete_buried(batch, new)
        oldest = pruned.changes
        while oldest < min(keep_changes, pruned.states):
            oldest += 1
            batch.delete(UNDO + self._best(oldest).id)
        moved = Pruned(new.height, oldest, pruned.base)
        batch.put(PRUNED, encode(moved))
        hit(FailPoint.PRUNE_BEFORE_COMMIT)
        store.write(batch, sync=False)
        hit(FailPoint.PRUNE_AFTER_COMMIT)
        store.forget_refs(buried)
        store.forget_written([new.id])
        store.forget_nodes(key[1:] for key in batch.changes if key[:1] == NODE)
        return moved

    def _best(self, height: int) -> BlockRef:
        block = self._store.canonical_id(height)
        if block is None:
            raise CorruptStore(expected=f"a best block at height {height}", got="none")
        return self._store.get_ref(block)

    def _bury(self, batch: Batch, old: BlockRef, new: BlockRef) -> set[Hash]:
        """Deletes the rows of the blocks that stand on `old` beside `new`, and of all that stand on them."""
        parents, height, buried = {old.id}, new.height, set[Hash]()
        while parents:
            found: set[Hash] = set()
            table = SIDE + height.to_bytes(8, "big")
            for key, parent in self._store.database.iterate(table):
                if parent in parents:
                    ref = self._store.get_ref(key[len(table) :])
                    found.add(ref.id)
                    self._bury_one(batch, ref)
            parents, height = found, height + 1
            buried |= found
        return buried

    def _bury_one(self, batch: Batch, ref: BlockRef) -> None:
        for table in (HEADER, BODY, RECEIPTS, DIFF, INDEX):
            batch.delete(table + ref.id)
        batch.delete(side_key(ref))
        batch.put(BURIED + side_key(ref)[len(SIDE) :], encode(Buried(ref.state_root, ref.order)))
        for content, block in self._store.database.iterate(ONLY_SIDE):
            if block == ref.id:
                batch.delete(content)
                batch.delete(CONTENT + content[1:])

    def _delete_buried(self, batch: Batch, oldest: BlockRef) -> None:
        """Deletes the nodes of losing blocks that were judged before all that stands above `oldest`."""
        waiting = [(key, decode(Buried, raw)) for key, raw in self._store.database.iterate(BURIED)]
        if not waiting:
            return
        after = min([self._best(oldest.height + 1).order, *self._side_orders()])
        for key, side in waiting:
            if side.order < after:
                for name, _, _ in replaced(self._store, side.state_root, oldest.state_root, side.order):
                    batch.delete(NODE + name)
                batch.delete(key)

    def _side_orders(self) -> Iterator[int]:
        for key, _ in self._store.database.iterate(SIDE):
            yield self._store.get_ref(key[9:]).order

    def grew(self, ref: BlockRef) -> None:
        """Called when a block has joined a branch that does not lead yet."""
        if ref.parent == self._held_for:
            self._held, self._held_for = HELD, ref.id

    def release(self) -> None:
        """Called when the branch has won for which an old state was made again."""
        self._held, self._held_for = 0, None

    def restore(self, ref: BlockRef) -> None:
        """Makes the states of the best chain from `ref` upwards again, if they were deleted.

        Raises `StatePruned` if that lies too far below, `CorruptStore` if another state comes of it.
        """
        pruned = self._store.pruned()
        if ref.height >= pruned.states:
            return
        if ref.height < pruned.changes or not self._store.is_canonical(ref):
            raise StatePruned(
                "a branch parts from this node's chain below all states that it keeps or can make again: "
                "run `engram db reindex` with the setting archive to follow it",
                expected=pruned.changes,
                got=ref.height,
            )
        self._held, self._held_for = HELD, ref.id
        upper = self._best(pruned.states)
        while upper.height > ref.height:
            upper = self._undo(upper)

    def _undo(self, upper: BlockRef) -> BlockRef:
        """Makes the state before a block from the state after it; the block before."""
        store, lower = self._store, self._store.parent_of(upper)
        undo = store.find_changes(UNDO, upper)
        if undo is None:
            raise CorruptStore(got=f"nothing that undoes block {upper.id.hex()}")
        root, nodes = smt.update(store, upper.state_root, {entry.key: entry.value for entry in undo.entries})
        if root != lower.state_root:
            raise CorruptStore(got=f"a state that is not of block {lower.id.hex()}")
        batch, mark = Batch(), stamp(lower.order)
        for name, node in nodes.items():
            if store.find_stamped_node(name) is None:
                batch.put(NODE + name, node + mark)
        changes = {entry.key: smt.get(store, upper.state_root, entry.key) for entry in undo.entries}
        batch.put(DIFF + upper.id, encode(state_diff(changes)))
        batch.delete(UNDO + upper.id)
        batch.put(PRUNED, encode(replace(store.pruned(), states=lower.height)))
        hit(FailPoint.RESTORE_BEFORE_COMMIT)
        store.write(batch, sync=False)
        hit(FailPoint.RESTORE_AFTER_COMMIT)
        return lower

    def put_side_content(self, batch: Batch, ref: BlockRef, blobs: Mapping[Hash, bytes]) -> None:
        """Notes which content a side block has brought alone, so that it goes with the block."""
        database = self._store.database
        for name in blobs:
            if database.get(ONLY_SIDE + name) is not None or database.get(CONTENT + name) is None:
                batch.put(ONLY_SIDE + name, ref.id)

    def put_best_content(self, batch: Batch, names: Iterable[Hash]) -> None:
        """Notes that content belongs to the best chain and stays."""
        for name in names:
            batch.delete(ONLY_SIDE + name)

    def side_content(self, refs: Iterable[BlockRef]) -> list[Hash]:
        """What these side blocks have brought alone."""
        blocks = {ref.id for ref in refs}
        rows = self._store.database.iterate(ONLY_SIDE)
        return [key[1:] for key, block in rows if block in blocks]


class StampedNodes(Protocol):
    """A state tree whose nodes say which block has written them last."""

    def get_node(self, node_hash: Hash) -> bytes:
        """A node. Raises `CorruptStore` if it is missing."""
        ...

    def find_stamped_node(self, node_hash: Hash) -> tuple[bytes, int] | None:
        """A node and its stamp; None if it is missing."""
        ...


def replaced(
    store: StampedNodes, old: Hash, new: Hash, only: int | None = None
) -> Iterator[tuple[Hash, bytes, int]]:
    """The nodes of a tree that another tree lacks: hash, node and stamp.

    With `only`, nodes are passed over that have another stamp, or are missing, and all that is below them.
    An inner node has one place in all trees, because the keys below it begin with the bits that lead there.
    A leaf may stand higher or deeper, so it is looked for along its key.
    """
    pending = [(old, new, smt.TOP_SHIFT)]
    while pending:
        name, other, shift = pending.pop()
        if name in (other, ZERO_HASH):
            continue
        found = store.find_stamped_node(name)
        if found is None or (only is not None and found[1] != only):
            if only is None:
                raise CorruptStore(got=f"no state tree node {name.hex()}")
            continue
        node, order = found
        if node[0] == 0:
            if not smt.holds_leaf(store, other, name, node[1:33], shift):
                yield name, node, order
            continue
        yield name, node, order
        left, right = smt.sides(store, other, shift)
        pending += ((node[1:33], left, shift - 1), (node[33:], right, shift - 1))
