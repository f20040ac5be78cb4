"""Pruning deletes what no kept state needs and nothing else, whatever branches come and win.

The states are small and their records return to old values again and again, because it is then that two
states share what neither has from the other.
"""

import random
from dataclasses import replace

import pytest

from engram.consensus.block import BlockHeader
from engram.consensus.forkchoice import plan_reorg
from engram.consensus.genesis import genesis
from engram.node.chain.pruning import Depths, Pruner
from engram.node.chain.recovery import write_genesis
from engram.node.errors import StatePruned
from engram.node.storage.batches import (
    Execution,
    put_connected,
    put_disconnected,
    put_execution,
    put_ref,
    put_side,
    put_tip,
    side_key,
)
from engram.node.storage.db import Batch, MemoryDatabase
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.schema import NODE, STAMP_BYTES, BlockLocation, Position, Verdict
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives import smt
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import ZERO_HASH, Hash
from tests.support.node_chain import SPEC

KEYS = [tagged_hash(Tag.KEY, bytes([number])) for number in range(12)]
DEPTHS = Depths(states=4, changes=12)
State = dict[Hash, bytes]


class Tree:
    """Blocks without bodies whose states are written as the importer writes them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.store = ChainStore(MemoryDatabase(), MemoryBlockFiles())
        first = genesis(SPEC)
        write_genesis(SPEC, first, self.store)
        self.head = self.store.get_ref(first.id)
        self.states: dict[Hash, State] = {first.id: dict(smt.iterate(self.store, self.head.state_root))}
        self.refs = {first.id: self.head}
        self.pruner = Pruner(self.store, DEPTHS)
        self.executed = 0

    def add(self, parent: BlockRef) -> BlockRef:
        """A block that sets and deletes some of a few records; it is the head if it stands highest."""
        keys = self.rng.sample(KEYS, self.rng.randint(0, 3))
        changes = {key: self.rng.choice([None, b"\x01a", b"\x01b"]) for key in keys}
        root, nodes = smt.update(self.store, parent.state_root, changes)
        self.executed += 1
        header = replace(
            parent.header,
            height=parent.height + 1,
            parent=parent.id,
            state_root=root,
            timestamp_ms=parent.header.timestamp_ms + self.executed,
        )
        ref = self.ref(header, parent)
        state = {**self.states[parent.id], **changes}
        self.states[ref.id] = {key: value for key, value in state.items() if value is not None}
        self.refs[ref.id] = ref
        batch = Batch()
        put_ref(batch, ref)
        put_execution(batch, ref.id, BlockLocation(0, 0, 0), Execution((), nodes, {}, changes), ref.order)
        if ref.height > self.head.height:
            plan = plan_reorg(self.head, ref, self.parent_of)
            for leaving in plan.disconnect:
                put_disconnected(batch, leaving, ())
            for joining in plan.connect:
                batch.delete(side_key(joining))
                put_connected(batch, joining, ())
            self.head = ref
        else:
            put_side(batch, ref)
        put_tip(batch, self.head, Position(0, 0), self.executed)
        self.store.write(batch)
        return ref

    def ref(self, header: BlockHeader, parent: BlockRef) -> BlockRef:
        work = parent.total_work + 1
        return BlockRef(header.id, header, work, Verdict.VALID, order=self.executed)

    def parent_of(self, ref: BlockRef) -> BlockRef:
        return self.refs[ref.parent]

    def kept(self) -> list[BlockRef]:
        """Blocks whose states must be whole: the best chain's newest, and side blocks that are known."""
        oldest = self.store.pruned().states
        return [
            ref
            for ref in self.refs.values()
            if self.store.find_ref(ref.id) is not None
            and (not self.store.is_canonical(ref) or ref.height >= oldest)
        ]

    def check(self) -> None:
        """Every kept state is whole, and is what it was."""
        for ref in self.kept():
            assert dict(smt.iterate(self.store, ref.state_root)) == self.states[ref.id]

    def nodes_needed(self) -> set[Hash]:
        needed: set[Hash] = set()
        pending = [ref.state_root for ref in self.kept()]
        while pending:
            name = pending.pop()
            if name not in needed and name != ZERO_HASH:
                needed.add(name)
                pending += smt.children(self.store.get_node(name))
        return needed

    def nodes_stored(self) -> set[Hash]:
        rows = list(self.store.database.iterate(NODE))
        assert all(smt.node_hash(value[:-STAMP_BYTES]) == key[1:] for key, value in rows)
        return {key[1:] for key, _ in rows}


@pytest.mark.parametrize("seed", range(30))
def test_what_is_kept_is_whole_and_what_is_not_needed_is_gone(seed: int) -> None:
    tree = Tree(seed)
    tips = [tree.head]
    for _ in range(120):
        if tree.rng.random() < 0.25:
            tips.append(tree.rng.choice(tree.kept()))
        place = tree.rng.randrange(len(tips))
        if tree.store.find_ref(tips[place].id) is None or tips[place] not in tree.kept():
            tips[place] = tree.head
        tips[place] = tree.add(tips[place])
        tips = tips[-4:]
        tree.pruner.advance(tree.head.height, tree.rng.randint(0, 4))
        tree.check()
    for _ in range(40):
        tree.add(tree.head)
    while tree.pruner.advance(tree.head.height):
        tree.check()
    assert tree.store.pruned().states == tree.head.height - DEPTHS.states
    assert tree.nodes_needed() <= tree.nodes_stored()
    surplus = tree.nodes_stored() - tree.nodes_needed()
    assert len(surplus) <= 8, "losing blocks that shared nodes may leave a few"


@pytest.mark.parametrize("seed", range(10))
def test_an_old_state_is_made_again_and_can_be_built_on(seed: int) -> None:
    tree = Tree(seed)
    for _ in range(40):
        tree.add(tree.head)
        tree.pruner.advance(tree.head.height)
    before = tree.nodes_stored()
    line = [tree.refs[block] for _, block in tree.store.canonical()]
    with pytest.raises(StatePruned):
        tree.pruner.restore(line[tree.head.height - DEPTHS.changes - 1])
    for height in (tree.head.height - DEPTHS.changes, tree.head.height - 7):
        old = line[height]
        tree.pruner.restore(old)
        assert tree.store.pruned().states <= height
        tree.check()
    branch = old
    for _ in range(9):
        branch = tree.add(branch)
    assert tree.head is branch
    tree.check()
    for _ in range(30):
        tree.add(tree.head)
        tree.pruner.advance(tree.head.height)
        tree.check()
    assert len(before) < 200
    assert len(tree.nodes_stored() - tree.nodes_needed()) <= 2


def test_an_archive_keeps_all() -> None:
    tree = Tree(1)
    tree.pruner = Pruner(tree.store, None)
    for _ in range(40):
        tree.add(tree.head)
        assert tree.pruner.advance(tree.head.height) == 0
    assert len(tree.kept()) == 41
    tree.check()
