"""A start after full blocks reads no more than after small ones, and still finds what is missing."""

from pathlib import Path

import pytest

from engram.consensus.genesis import genesis
from engram.node.chain.recovery import check_end
from engram.node.errors import CorruptStore
from engram.node.storage.blockfiles import BlockFiles
from engram.node.storage.db import Batch, LevelDatabase
from engram.node.storage.schema import NODE, RECEIPTS, Position
from engram.node.storage.store import BLOCKS_DIRECTORY, ChainStore
from engram.node.storage.swap import DATABASE_DIRECTORY
from engram.statemachine.transactions.transfer import Transfer
from tests.support.damage import damage_body
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, SPEC, disk_store, miner_address, running

pytestmark = pytest.mark.fault(id=48)

PAYMENTS, BLOCKS = 60, 4
RECORDS = 20


class Counted(LevelDatabase):
    """Counts its reads."""

    reads = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().get(key)


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    """Data that end with blocks of many payments to new accounts."""
    chain = MemoryChain(SPEC)
    async with running(disk_store(tmp_path)) as node:
        for block in range(BLOCKS):
            numbers = range(block * PAYMENTS, (block + 1) * PAYMENTS)
            payments = [
                chain.sign(ALICE, Transfer(miner_address(number), 1), nonce=number) for number in numbers
            ]
            assert await node.take(chain.mine(payments)) == ["extended"]
    return tmp_path


def store_of(directory: Path, database: LevelDatabase) -> ChainStore:
    files = BlockFiles(directory / BLOCKS_DIRECTORY, genesis(SPEC).id, Position(0, 0), read_only=True)
    return ChainStore(database, files)


def reads(directory: Path, **limits: int) -> int:
    """How many rows a check of the end reads."""
    database = Counted(directory / DATABASE_DIRECTORY)
    store = store_of(directory, database)
    try:
        assert check_end(store, **limits).height == BLOCKS
        assert not store.damaged
        return database.reads
    finally:
        store.close()


async def test_full_blocks_are_looked_at_in_part(directory: Path) -> None:
    nothing, some, everything = (reads(directory, records=records) for records in (0, RECORDS, 10**6))
    assert nothing < 60
    assert some < nothing + RECORDS * 12 < everything // 2


async def test_what_a_lost_write_leaves_out_is_found(directory: Path) -> None:
    store = disk_store(directory)
    head = store.get_ref(store.canonical_id(BLOCKS) or b"")
    damage_body(directory, store, head.id)
    assert check_end(store, records=0).id == head.id
    assert store.damaged.blocks() == [head.id], "the body is read, though not decoded"
    rows = dict(store.database.iterate())
    for lost in ([RECEIPTS + head.id], [key for key in rows if key[:1] == NODE]):
        store.write(Batch(dict.fromkeys(lost)))
        fresh = ChainStore(store.database, store.files)
        with pytest.raises(CorruptStore):
            check_end(fresh, records=RECORDS)
        store.write(Batch({key: rows[key] for key in lost}))
    store.close()
