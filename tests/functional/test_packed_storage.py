"""What deflates is kept deflated on disk, comes back whole, and damage to it is found."""

from pathlib import Path

import numpy as np
import pytest

from engram.consensus.block import Block
from engram.nn.data import part_bytes
from engram.node.chain.maintenance import measure_data_dir
from engram.node.chain.recovery import check_block
from engram.node.config import Config
from engram.node.datadir import make_data_dir
from engram.node.errors import CorruptStore
from engram.node.storage.schema import CONTENT
from engram.node.storage.store import BLOCKS_DIRECTORY
from engram.primitives.codec import encode
from engram.primitives.packing import plain_size, unpack
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.transactions.publish_part import PublishPart
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, SPEC, disk_store, running

ROWS, INPUTS = 300, 400
RNG = np.random.default_rng(1)
LABELS = RNG.integers(0, 2, ROWS).astype(np.uint16)
KEPT = RNG.random((ROWS, INPUTS)) < 0.1
SPARSE = part_bytes((RNG.integers(0, 256, (ROWS, INPUTS)) * KEPT).astype(np.uint8), LABELS)
NOISE = part_bytes(RNG.integers(0, 256, (ROWS, INPUTS)).astype(np.uint8), LABELS)


def publishing(*raws: bytes) -> Block:
    """The first block of a chain, which publishes these rows."""
    chain = MemoryChain(SPEC)
    parts = [PublishPart(ROWS, INPUTS, 2, bytes(32), Inline(raw)) for raw in raws]
    return chain.mine([chain.sign(ALICE, part, nonce=place) for place, part in enumerate(parts)])


async def test_rows_are_deflated_and_come_back_after_a_restart(tmp_path: Path) -> None:
    block = publishing(SPARSE, NOISE)
    async with running(disk_store(tmp_path)) as node:
        assert await node.take(block) == ["extended"]
    async with running(disk_store(tmp_path)) as node:
        store, head = node.chain.store, node.chain.head
        assert store.get_block(head) == block
        assert [store.get_blob(blob_id(raw)) for raw in (SPARSE, NOISE)] == [SPARSE, NOISE]
        check_block(store, head)
        sparse, noise = (store.database.get(CONTENT + blob_id(raw)) for raw in (SPARSE, NOISE))
        assert sparse is not None
        assert len(sparse) < len(SPARSE) // 2
        assert noise == b"\x00" + NOISE, "what is hardly smaller is kept plain"
        location = store.body_location(head)
        packed = store.files.read(location)
        assert (plain_size(packed), unpack(packed, 1 << 20)) == (len(encode(block)), encode(block))
        assert location.size_bytes == len(packed) < len(NOISE) + len(SPARSE) // 2


async def test_an_operator_sees_what_deflating_saves(tmp_path: Path) -> None:
    make_data_dir(tmp_path, SPEC)
    block = publishing(SPARSE, NOISE)
    async with running(disk_store(tmp_path)) as node:
        await node.take(block)
    sizes = measure_data_dir(Config(data_dir=tmp_path))
    assert (sizes.blocks, sizes.block_plain_bytes) == (1, len(encode(block)))
    assert (sizes.blobs, sizes.blob_plain_bytes) == (2, len(SPARSE) + len(NOISE))
    assert sizes.block_stored_bytes < sizes.block_plain_bytes - len(SPARSE) // 2
    assert sizes.blob_stored_bytes < sizes.blob_plain_bytes - len(SPARSE) // 2


async def test_a_flipped_bit_of_a_deflated_block_is_found(tmp_path: Path) -> None:
    async with running(disk_store(tmp_path)) as node:
        await node.take(publishing(SPARSE))
        store, head = node.chain.store, node.chain.head
        location = store.body_location(head)
        path = tmp_path / BLOCKS_DIRECTORY / f"{location.file:06d}.dat"
        whole = path.read_bytes()
        for at in range(location.offset, len(whole), len(whole) // 40):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            with pytest.raises(CorruptStore):
                store.get_block(head)
        path.write_bytes(whole)
        check_block(store, head)


@pytest.mark.parametrize("at", [0, 1, 4, 5, 40, -1])
async def test_a_blob_that_cannot_be_unpacked_is_corruption_not_a_crash(tmp_path: Path, at: int) -> None:
    """LevelDB's checksums find flipped bits; this row was written wrongly."""
    async with running(disk_store(tmp_path)) as node:
        await node.take(publishing(SPARSE))
        store, name = node.chain.store, blob_id(SPARSE)
        packed = bytearray(store.database.get(CONTENT + name) or b"")
        packed[at] ^= 0x02
        store.database.put(CONTENT + name, bytes(packed))
        with pytest.raises(CorruptStore):
            store.get_blob(name)
