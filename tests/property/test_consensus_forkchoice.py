"""On random trees the head does not depend on the order of arrival, but for the first seen on ties."""

import random
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engram.consensus.forkchoice import better, plan_reorg
from tests.support.faults import plays


@dataclass(frozen=True)
class Entry:
    number: int
    height: int
    total_work: int


@dataclass(frozen=True)
class Tree:
    entries: tuple[Entry, ...]
    parents: tuple[int, ...]

    def parent_of(self, entry: Entry) -> Entry:
        assert entry.number > 0, "nobody asks for the parent of the root"
        return self.entries[self.parents[entry.number]]

    def ancestors(self, entry: Entry) -> list[Entry]:
        """The entry and all before it, the root last."""
        chain = [entry]
        while chain[-1].number:
            chain.append(self.parent_of(chain[-1]))
        return chain


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Entry 0 is the root; every other has an earlier parent and some work of its own."""
    size = draw(st.integers(1, 25))
    parents = [0] + [draw(st.integers(max(0, n - 4), n - 1)) for n in range(1, size)]
    entries = [Entry(0, 0, 1)]
    for number in range(1, size):
        parent = entries[parents[number]]
        entries.append(Entry(number, parent.height + 1, parent.total_work + draw(st.integers(1, 3))))
    return Tree(tuple(entries), tuple(parents))


def arrive(tree: Tree, seed: int) -> list[Entry]:
    """All entries but the root in a random order in which parents come first."""
    rng = random.Random(seed)
    waiting, order, known = list(tree.entries[1:]), [], {0}
    while waiting:
        ready = [entry for entry in waiting if tree.parents[entry.number] in known]
        order.append(rng.choice(ready))
        known.add(order[-1].number)
        waiting.remove(order[-1])
    return order


def heads(tree: Tree, order: list[Entry]) -> list[Entry]:
    """Every head that a node has held, the last one last."""
    held = [tree.entries[0]]
    for entry in order:
        if better(entry, held[-1]):
            held.append(entry)
    return held


@given(tree=trees(), seeds=st.lists(st.integers(0, 2**32), min_size=2, max_size=4))
@plays(13, sample=100)
def test_the_head_has_the_most_work_and_the_first_seen_wins_ties(tree: Tree, seeds: list[int]) -> None:
    most = max(entry.total_work for entry in tree.entries)
    tied = [entry for entry in tree.entries if entry.total_work == most]
    for seed in seeds:
        order = arrive(tree, seed)
        head = heads(tree, order)[-1]
        first_seen = next(entry for entry in (tree.entries[0], *order) if entry in tied)
        assert head == first_seen


@given(tree=trees(), seed=st.integers(0, 2**32))
@plays(13, sample=100)
def test_following_the_plans_keeps_the_chain_of_the_head(tree: Tree, seed: int) -> None:
    chain = [tree.entries[0]]
    held = heads(tree, arrive(tree, seed))
    for old, new in pairwise(held):
        plan = plan_reorg(old, new, tree.parent_of)
        for entry in plan.disconnect:
            assert chain.pop() == entry
        chain.extend(plan.connect)
        assert chain[::-1] == tree.ancestors(new)


@given(tree=trees(), data=st.data())
@plays(13, sample=100)
def test_a_plan_is_the_shortest_and_its_reverse_undoes_it(tree: Tree, data: st.DataObject) -> None:
    old, new = (data.draw(st.sampled_from(tree.entries)) for _ in range(2))
    plan, back = plan_reorg(old, new, tree.parent_of), plan_reorg(new, old, tree.parent_of)
    assert not set(plan.disconnect) & set(plan.connect)
    assert plan.disconnect == back.connect[::-1]
    assert plan.connect == back.disconnect[::-1]
