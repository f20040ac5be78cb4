"""What is served of large blocks from the disk: outlines, and parts that are read without the rest."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engram.consensus.block import Block
from engram.node.concurrency import ReaderThreads
from engram.node.largebody import BodyPart
from engram.node.outlines import StoredOutlines, outline_of
from engram.node.storage.db import MemoryDatabase
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.store import BLOCKS_DIRECTORY, BlockRef, ChainStore
from engram.primitives.codec import encode
from engram.primitives.packing import pack_plain
from engram.statemachine.transactions.transfer import Transfer
from tests.support.damage import damage_body, flip_bit
from tests.support.large_blocks import LARGE, large_chain
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, LATE_MS, disk_store, memory_store, opened

CHUNKS = 20
CHAIN, BLOCKS = large_chain(0, CHUNKS)
BLOCKS.append(
    CHAIN.mine([CHAIN.sign(ALICE, Transfer(BOB.address, 1 + n), nonce=CHUNKS + n) for n in range(9)])
)
EMPTY, LARGEST, SMALL = BLOCKS
"""The last one is kept deflated."""


@pytest.fixture
def threads() -> Iterator[ReaderThreads]:
    threads = ReaderThreads(1)
    yield threads
    threads.close()


@asynccontextmanager
async def stored(store: ChainStore, threads: ReaderThreads) -> AsyncIterator[StoredOutlines]:
    with opened(store, LARGE) as node:
        head = node.start.head
        for block in BLOCKS:
            head = node.importer.import_block(block, head, LATE_MS).head
        assert head.id == CHAIN.tip.id
        yield StoredOutlines(store, threads)


@pytest.mark.parametrize("on_disk", [True, False])
async def test_outlines_and_parts_are_those_of_the_block(
    tmp_path: Path, threads: ReaderThreads, on_disk: bool
) -> None:
    store = disk_store(tmp_path, LARGE) if on_disk else memory_store()
    async with stored(store, threads) as outlines:
        for block in (*BLOCKS, *BLOCKS):
            assert await outlines.outline(block.header.id) == outline_of(block)
        for block, places in ((LARGEST, (0, 7, CHUNKS - 1)), (LARGEST, tuple(range(15))), (SMALL, (2, 3))):
            chosen = tuple(block.transactions[place] for place in places)
            assert await outlines.part(block.header.id, places) == pack_plain(encode(BodyPart(chosen)))


async def test_what_is_not_there_is_not_served(threads: ReaderThreads) -> None:
    async with stored(memory_store(), threads) as outlines:
        assert await outlines.outline(bytes(32)) is None
        assert await outlines.part(bytes(32), (0,)) is None
        for places in ((CHUNKS,), (1, 0), (2, 2)):
            assert await outlines.part(LARGEST.header.id, places) is None
        assert await outlines.part(LARGEST.header.id, tuple(range(CHUNKS))) is None, (
            "more than a message holds"
        )
        genesis = MemoryChain(LARGE).blocks[0]
        assert await outlines.outline(genesis.header.id) == outline_of(genesis)


async def test_a_damaged_part_is_not_served_and_the_others_are(
    tmp_path: Path, threads: ReaderThreads
) -> None:
    store, name = disk_store(tmp_path, LARGE), LARGEST.header.id
    async with stored(store, threads) as outlines:
        assert await outlines.outline(name) is not None
        location = store.body_location(store.get_ref(name))
        flip_bit(
            tmp_path / BLOCKS_DIRECTORY / f"{location.file:06d}.dat", location.offset + location.size_bytes
        )
        assert await outlines.part(name, (0, 1)) is not None
        assert not store.damaged
        assert await outlines.part(name, (CHUNKS - 1,)) is None
        assert name in store.damaged


async def test_no_outline_is_made_of_a_damaged_block(tmp_path: Path, threads: ReaderThreads) -> None:
    store, name = disk_store(tmp_path, LARGE), LARGEST.header.id
    async with stored(store, threads) as outlines:
        damage_body(tmp_path, store, name)
        assert await outlines.outline(name) is None
        assert await outlines.part(name, (0,)) is None
        assert name in store.damaged


async def test_one_block_at_a_time_is_read_as_a_whole_and_once() -> None:
    """However many peers ask, for outlines or for parts."""
    reading, most, read = 0, 0, list[bytes]()

    class Counting(ChainStore):
        def whole_block(self, ref: BlockRef) -> Block | None:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            read.append(ref.id)
            try:
                return super().whole_block(ref)
            finally:
                reading -= 1

    many = ReaderThreads(8)
    names = [block.header.id for block in BLOCKS]
    async with stored(Counting(MemoryDatabase(), MemoryBlockFiles()), many) as outlines:
        read.clear()
        asked = [outlines.outline(name) for name in names * 8]
        parts = [outlines.part(LARGEST.header.id, (place,)) for place in range(CHUNKS)]
        answers = await asyncio.gather(*asked, *parts)
    many.close()
    assert None not in answers
    assert most == 1
    assert sorted(read) == sorted(names)
