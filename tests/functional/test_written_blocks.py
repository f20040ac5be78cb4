"""What the writer holds of the blocks that it has just written is what stands on the disk."""

from pathlib import Path

import pytest

from engram.node.storage.batches import state_diff
from engram.node.storage.store import ChainStore
from engram.node.storage.written import WRITTEN_BLOCKS, WRITTEN_BYTES, Written, written_bytes
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import LATE_MS, disk_store, fork, miner_address, opened, paying_chain

BLOCKS = 12


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(BLOCKS)


def test_memory_and_disk_tell_the_same(tmp_path: Path, chain: MemoryChain) -> None:
    side = fork(chain, BLOCKS - 3)
    for _ in range(2):
        side.mine(miner=miner_address(1))
    with opened(disk_store(tmp_path)) as node:
        head = node.start.head
        for block in (*chain.blocks[1:], *side.blocks[BLOCKS - 2 :]):
            head = node.importer.import_block(block, head, LATE_MS).head
        fresh = ChainStore(node.store.database, node.store.files)
        for block in (*chain.blocks[1:], *side.blocks[BLOCKS - 2 :]):
            ref, read = node.store.get_ref(block.header.id), fresh.get_ref(block.header.id)
            assert ref == read
            assert node.store.new_block(ref) is block, "it is not read"
            assert fresh.new_block(read) == block
            assert node.store.receipts(ref) == fresh.receipts(read)
            assert node.store.diff(ref) == fresh.diff(read)
            assert node.store.receipts(ref) is node.store.receipts(ref)


def test_what_a_reverted_block_has_left_is_read_again(tmp_path: Path, chain: MemoryChain) -> None:
    with opened(disk_store(tmp_path)) as node:
        head = node.start.head
        for block in chain.blocks[1:]:
            head = node.importer.import_block(block, head, LATE_MS).head
        last = head
        node.importer.revert(node.store.parent_of(head), head)
        assert node.store.new_block(last) is not chain.blocks[-1]
        assert not node.store.get_ref(last.id).is_valid


def test_few_blocks_are_kept_whatever_their_size(chain: MemoryChain) -> None:
    for block, executed in zip(chain.blocks[1:], chain.executed, strict=True):
        size = written_bytes(Written(block, executed.result.receipts, state_diff(executed.result.changes)))
        assert size * WRITTEN_BLOCKS >= WRITTEN_BYTES
