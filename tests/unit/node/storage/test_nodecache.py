"""Nodes of the state tree in memory: which are kept, and how many."""

import pytest

from engram.node.storage.nodecache import KEPT_NODE_BYTES, KEPT_NODES, NodeCache


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_a_small_node_is_kept_and_a_large_one_is_not() -> None:
    cache = NodeCache()
    cache.keep(name(1), bytes(KEPT_NODE_BYTES))
    cache.keep(name(2), bytes(KEPT_NODE_BYTES + 1))
    assert cache.get(name(1)) == bytes(KEPT_NODE_BYTES)
    assert cache.get(name(2)) is None


def test_what_is_read_outlives_what_is_not() -> None:
    cache = NodeCache()
    for number in range(3 * KEPT_NODES):
        cache.keep(name(number), b"node")
        assert cache.get(name(0)) == b"node"
    kept = sum(cache.get(name(number)) is not None for number in range(1, 3 * KEPT_NODES))
    assert KEPT_NODES // 2 < kept <= 2 * KEPT_NODES
    assert cache.get(name(1)) is None


@pytest.mark.parametrize("count", [1, KEPT_NODES - 1, KEPT_NODES + 5])
def test_the_nodes_of_a_block_are_kept_as_if_one_by_one(count: int) -> None:
    cache = NodeCache()
    cache.keep(name(0), b"before")
    cache.keep_all({name(1 + number): b"node" for number in range(count)} | {name(10**6): bytes(1_000)})
    assert cache.get(name(0)) == b"before", "a full table is kept beside the new one"
    assert cache.get(name(1)) == b"node"
    assert len(cache.recent) <= KEPT_NODES
    assert cache.get(name(10**6)) is None


def test_a_node_that_is_forgotten_is_in_neither_table() -> None:
    cache = NodeCache()
    for number in range(KEPT_NODES + 1):
        cache.keep(name(number), b"node")
    cache.forget([name(0), name(KEPT_NODES), name(KEPT_NODES + 1)])
    assert cache.get(name(0)) is None
    assert cache.get(name(KEPT_NODES)) is None
    assert cache.get(name(1)) == b"node"
