"""Blocks that wait: found by parent and by time, bounded in number and bytes, the cheapest out first."""

import gc
import tracemalloc
from dataclasses import replace

import pytest

from engram.consensus.block import Block
from engram.consensus.compact import target_to_bits
from engram.node.chain.orphans import Orphan, OrphanPool, memory_of
from engram.primitives.codec import decode, encode
from engram.primitives.types import Hash
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC

CHAIN = MemoryChain(SPEC)
BLOCKS = [CHAIN.mine([CHAIN.sign(ALICE, Transfer(BOB.address, 1))]) for _ in range(4)]
IDS = [block.header.id for block in BLOCKS]
HARD = [
    Block(replace(BLOCKS[0].header, target=target_to_bits(2**200), nonce=bytes([number]) * 8), ())
    for number in range(4)
]
"""Blocks that name much more work."""
HEADER_BYTES = 2_000
"""Memory of a header, at most."""


def parked(block: Block, due_ms: int = 0) -> Orphan:
    return Orphan(block.header.id, block, "why", due_ms)


def held(blocks: OrphanPool) -> list[Hash]:
    names = [*IDS, *(block.header.id for block in HARD)]
    return [name for name in names if blocks.get(name) is not None]


def test_children_are_taken_once() -> None:
    blocks = OrphanPool()
    sibling = Block(replace(BLOCKS[1].header, nonce=b"\xff" * 8), ())
    for block in (BLOCKS[1], sibling, BLOCKS[2]):
        blocks.add(parked(block))
    assert [entry.block for entry in blocks.take_children(IDS[0])] == [BLOCKS[1], sibling]
    assert blocks.take_children(IDS[0]) == []
    assert held(blocks) == [IDS[2]]


def test_what_is_due_comes_in_the_order_of_parking() -> None:
    blocks = OrphanPool()
    for block, due_ms in zip(BLOCKS, (0, 30, 10, 20), strict=True):
        blocks.add(parked(block, due_ms))
    assert blocks.next_due_ms() == 10
    assert blocks.take_due(9) == []
    assert [entry.id for entry in blocks.take_due(20)] == [IDS[2], IDS[3]]
    assert blocks.next_due_ms() == 30
    assert held(blocks) == [IDS[0], IDS[1]]
    assert [entry.id for entry in blocks.take_due(10**9)] == [IDS[1]]
    assert blocks.next_due_ms() is None


def test_the_oldest_goes_where_there_are_too_many() -> None:
    blocks = OrphanPool(max_blocks=2)
    for block in (*BLOCKS[:3], BLOCKS[1], BLOCKS[3]):
        blocks.add(parked(block))
    assert held(blocks) == [IDS[1], IDS[3]], "a block that came again is the newest"


@pytest.mark.fault(id=24)
def test_the_oldest_goes_where_there_are_too_many_bytes() -> None:
    size = memory_of(BLOCKS[0])
    blocks = OrphanPool(max_bytes=2 * size)
    for block in BLOCKS:
        blocks.add(parked(block))
    assert held(blocks) == IDS[2:]
    blocks.remove(IDS[2])
    blocks.remove(IDS[2])
    blocks.add(parked(BLOCKS[0]))
    assert held(blocks) == [IDS[0], IDS[3]]


@pytest.mark.fault(id=24)
def test_blocks_that_cost_little_push_out_none_that_cost_more() -> None:
    """The easiest cost nothing; a branch that is proved up to the clock is worth more than any of them."""
    good, other, proved, ahead = HARD
    blocks = OrphanPool(max_blocks=3)
    blocks.add(parked(good))
    blocks.add(replace(parked(proved, due_ms=9), total_work=7))
    blocks.add(replace(parked(ahead, due_ms=9), total_work=8))
    for block in BLOCKS:
        blocks.add(parked(block))
    assert held(blocks) == [good.header.id, proved.header.id, ahead.header.id]
    blocks.add(parked(other))
    assert held(blocks) == [other.header.id, proved.header.id, ahead.header.id], "the newer of equals"
    blocks.add(replace(parked(BLOCKS[0], due_ms=9), total_work=9))
    assert held(blocks) == [IDS[0], proved.header.id, ahead.header.id]
    blocks.add(replace(parked(BLOCKS[1], due_ms=9), total_work=6))
    assert held(blocks) == [IDS[0], proved.header.id, ahead.header.id], "a branch with less work"


def test_a_block_that_exceeds_the_bounds_alone_is_not_kept() -> None:
    blocks = OrphanPool(max_bytes=memory_of(BLOCKS[0]) - 1)
    blocks.add(parked(BLOCKS[0]))
    assert len(blocks) == 0


@pytest.mark.fault(id=24)
@pytest.mark.parametrize("count", [1, 500])
def test_memory_is_not_counted_for_less_than_it_is(count: int) -> None:
    """A block of many small transactions takes several times as much as its bytes."""
    payments = [Transfer(bytes([number % 251]) * 20, 1 + number) for number in range(count)]
    signed = [CHAIN.sign(ALICE, payment, nonce=nonce) for nonce, payment in enumerate(payments)]
    raw = encode(Block(BLOCKS[0].header, tuple(signed)))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        block = decode(Block, raw)
        assert all(tx.id for tx in block.transactions)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before - HEADER_BYTES <= memory_of(block) <= 3 * (after - before)
