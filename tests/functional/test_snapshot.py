"""A node begins with the state that another one wrote, verified; a bent snapshot is refused by name."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import spec_id
from engram.consensus.errors import CheckpointMissing, InsufficientWork
from engram.consensus.genesis import genesis
from engram.node.chain.examine import Examination
from engram.node.chain.maintenance import reindex_data_dir
from engram.node.chain.snapshot import MAGIC, Manifest, SnapshotInfo, restore_snapshot, take_snapshot
from engram.node.concurrency import ReaderThreads
from engram.node.config import Config
from engram.node.datadir import make_data_dir
from engram.node.errors import (
    BeforeSnapshot,
    ChainExists,
    DamagedBody,
    FileDamaged,
    ForeignData,
    RebuildWouldLose,
    SnapshotFalse,
    SnapshotNotAnchored,
    StatePruned,
)
from engram.node.storage.recordfile import RecordWriter, read_records
from engram.node.sync.mending import RETRY_S, Mending
from engram.primitives import smt
from engram.primitives.codec import decode, encode
from engram.primitives.types import Hash
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.transfer import Transfer
from tests.support.crash_server import ROWS
from tests.support.damage import damage_body, flip_bit
from tests.support.memory_chain import MemoryChain, search
from tests.support.node_chain import (
    ALICE,
    BOB,
    LATE_MS,
    SPEC,
    disk_store,
    opened,
    paying_chain,
    running,
    settled,
)
from tests.support.node_network import NodeNetwork
from tests.support.scripted_peer import ScriptedPeer
from tests.support.served_chain import ServedChain
from tests.support.until import until

pytestmark = pytest.mark.fault(id=53)

HEIGHT, HEAD = 20, 40
Records = list[tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    chain = paying_chain(5)
    chain.mine([chain.sign(ALICE, PublishPart(20, 400, 2, bytes(32), Inline(ROWS)))])
    while len(chain.blocks) <= HEAD:
        chain.mine([chain.sign(BOB, Transfer(ALICE.address, 1))])
    return chain


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory, chain: MemoryChain) -> tuple[Path, SnapshotInfo]:
    """A snapshot that nobody changes."""
    return asyncio.run(taken_in(tmp_path_factory.mktemp("source"), chain))


async def taken_in(directory: Path, chain: MemoryChain) -> tuple[Path, SnapshotInfo]:
    async with running(disk_store(directory)) as node:
        await node.take(*chain.blocks[1:])
        path = directory / "snapshot"
        return path, take_snapshot(node.chain.store, node.chain.head, SPEC, path, HEIGHT)


def restore(directory: Path, path: Path, chain: MemoryChain, height: int = HEAD) -> SnapshotInfo:
    return restore_snapshot(directory, SPEC, path, LATE_MS, checkpoint=chain.blocks[height].header.id)


def rewritten(path: Path, target: Path, change: Callable[[Records], Records]) -> Path:
    """The snapshot with changed records and right checksums, as a liar makes it."""
    writer = RecordWriter(target, MAGIC)
    for kind, payload in change(list(read_records(path, MAGIC))):
        writer.add(kind, payload)
    writer.finish()
    return target


async def test_a_node_goes_on_from_the_state(
    taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path
) -> None:
    path, info = taken
    assert (info.height, info.headers, info.content) == (HEIGHT, HEAD, 1)
    assert info.block == chain.blocks[HEIGHT].header.id
    assert restore(tmp_path, path, chain) == info
    for _ in range(2):
        async with running(disk_store(tmp_path)) as node:
            store = node.chain.store
            if node.chain.head.height == HEIGHT:
                assert await node.take(*chain.blocks[HEIGHT + 1 :]) == ["extended"] * (HEAD - HEIGHT)
            assert node.chain.head.id == chain.blocks[HEAD].header.id
            assert dict(smt.iterate(store, node.chain.head.state_root)) == dict(
                smt.iterate(chain, chain.tip.state_root)
            )
            assert store.get_blob(blob_id(ROWS)) == ROWS
            found = Examination(store)
            found.run(node.chain.head, None)
            assert found.problems == []
            old = store.get_ref(chain.blocks[7].header.id)
            for asked, error in (
                (store.receipts, BeforeSnapshot),
                (store.get_block, DamagedBody),
                (node.chain.state, StatePruned),
            ):
                with pytest.raises(error):
                    asked(old)
            assert not store.damaged, "what is still to come is not damaged"


async def test_the_earlier_blocks_are_fetched_in_the_background(
    network: NodeNetwork, taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path
) -> None:
    whole = await network.start("whole")
    await whole.take(chain.blocks[1:])
    make_data_dir(tmp_path / "late", SPEC)
    restore(tmp_path / "late", taken[0], chain)
    late = await network.start("late", "whole")
    await late.follow(whole)
    store = late.chain.store
    refs = [store.get_ref(block.header.id) for block in chain.blocks[1:]]
    await until(lambda: all(store.find_body(ref) is not None for ref in refs))
    assert [store.get_block(ref) for ref in refs] == chain.blocks[1:]
    (transfer,) = chain.blocks[1].transactions
    place = store.find_transaction(transfer.id)
    assert place is not None
    assert place.block == refs[0].id
    assert not store.damaged
    damage_body(tmp_path / "late", store, refs[6].id)
    found = Examination(store)
    found.run(late.chain.head, None)
    assert (found.count, found.bodies) == (1, 1)


async def test_what_peers_lack_is_asked_for_once_a_minute(
    taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path
) -> None:
    """One peer lacks the lower half of the bodies; only after a restart there is one that has them."""
    half = HEIGHT // 2
    upper, threads = ServedChain(chain.blocks), ReaderThreads(1)
    names = [block.header.id for block in chain.blocks]

    async def upper_half(name: Hash) -> bytes | None:
        return upper.found(name) if names.index(name) > half else None

    upper.body = upper_half
    lacking, whole = ScriptedPeer(upper), ScriptedPeer(ServedChain(chain.blocks))
    make_data_dir(tmp_path, SPEC)
    restore(tmp_path, taken[0], chain)
    async with running(disk_store(tmp_path)) as node, asyncio.TaskGroup() as tasks:
        mending = Mending(node.chain, node.clock, threads)
        assert mending.backfill == (HEIGHT, HEIGHT)
        service = tasks.create_task(mending.run())
        await settled()
        mending.joined(lacking)
        await until(lambda: mending.backfill == (HEIGHT, half) and len(lacking.asked) > HEIGHT - half)
        await settled()
        asked = len(lacking.asked)
        for _ in range(59):
            node.clock.advance(1_000)
            await settled()
        assert len(lacking.asked) == asked, "it is left in peace"
        node.clock.advance(int(RETRY_S * 1000))
        await until(lambda: len(lacking.asked) > asked)
        service.cancel()
    async with running(disk_store(tmp_path)) as node, asyncio.TaskGroup() as tasks:
        mending = Mending(node.chain, node.clock, threads)
        service = tasks.create_task(mending.run())
        mending.joined(lacking)
        mending.joined(whole)
        await until(lambda: mending.backfill == (HEIGHT, 0))
        assert set(whole.asked) <= set(names[1 : half + 1]), "what is there is not fetched again"
        blocks = [node.chain.store.find_block(name) for name in names[1 : HEIGHT + 1]]
        assert blocks == chain.blocks[1 : HEIGHT + 1]
        assert not node.chain.store.damaged
        assert not lacking.dismissed
        service.cancel()
    threads.close()


async def test_peers_are_asked_only_for_bodies_that_they_say_they_have(
    taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path
) -> None:
    """Which may become more: what a peer has is asked anew with each minute."""
    half, threads = HEIGHT // 2, ReaderThreads(1)
    upper = ServedChain(chain.blocks, bodies_from=half + 1)
    names = [block.header.id for block in chain.blocks]
    filling = ScriptedPeer(upper)
    make_data_dir(tmp_path, SPEC)
    restore(tmp_path, taken[0], chain)
    async with running(disk_store(tmp_path)) as node, asyncio.TaskGroup() as tasks:
        mending = Mending(node.chain, node.clock, threads)
        service = tasks.create_task(mending.run())
        mending.joined(filling)
        await until(lambda: mending.backfill == (HEIGHT, half))
        await settled()
        assert sorted(filling.asked) == sorted(names[half + 1 : HEIGHT + 1])
        upper.bodies_from = half
        node.clock.advance(int(RETRY_S * 1000))
        await until(lambda: mending.backfill == (HEIGHT, half - 1))
        await settled()
        assert filling.asked[HEIGHT - half :] == [names[half]]
        upper.bodies_from = 1
        node.clock.advance(int(RETRY_S * 1000))
        await until(lambda: mending.backfill == (HEIGHT, 0))
        assert len(filling.asked) == HEIGHT, "none was asked for twice"
        service.cancel()
    threads.close()


async def test_a_rebuild_that_would_lose_the_snapshots_blocks_is_refused(
    taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path
) -> None:
    make_data_dir(tmp_path, SPEC)
    restore(tmp_path, taken[0], chain)
    with pytest.raises(RebuildWouldLose):
        reindex_data_dir(Config(data_dir=tmp_path))
    with opened(disk_store(tmp_path)) as node:
        assert node.start.head.height == HEIGHT


def test_every_bent_byte_is_found(
    taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path
) -> None:
    bent = tmp_path / "bent"
    size = taken[1].size_bytes
    for place in [*range(0, size, size // 40), size - 1]:
        bent.write_bytes(taken[0].read_bytes())
        flip_bit(bent, place)
        with pytest.raises(FileDamaged) as told:
            restore(tmp_path / "new", bent, chain)
        assert told.value.code == "file_damaged"
    bent.write_bytes(taken[0].read_bytes()[:-1])
    with pytest.raises(FileDamaged):
        restore(tmp_path / "new", bent, chain)
    assert list((tmp_path / "new").rglob("*")) == []
    restore(tmp_path / "new", taken[0], chain)


def with_first(records: Records, kind: bytes, change: Callable[[bytes], bytes]) -> Records:
    """The first record of a kind is another one."""
    place = next(place for place, (found, _) in enumerate(records) if found == kind)
    return [*records[:place], (kind, change(records[place][1])), *records[place + 1 :]]


def bent_last_byte(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def false_header(raw: bytes) -> bytes:
    header = replace(decode(BlockHeader, raw), state_root=bytes(32))
    return encode(replace(header, nonce=search(SPEC, header)))


def other_height(raw: bytes) -> bytes:
    return encode(replace(decode(Manifest, raw), height=HEIGHT + 1))


LIES: dict[str, Callable[[Records], Records]] = {
    "a record of the state": lambda records: with_first(records, b"l", bent_last_byte),
    "a record less": lambda records: [each for each in records if each[0] != b"l"],
    "content": lambda records: with_first(records, b"x", bent_last_byte),
    "no content": lambda records: [each for each in records if each[0] != b"x"],
    "content twice": lambda records: [*records, records[-1]],
    "a header": lambda records: with_first(records, b"h", false_header),
    "a header too much": lambda records: [records[0], records[1], *records[1:]],
    "another height": lambda records: with_first(records, b"m", other_height),
    "no manifest": lambda records: records[1:],
    "nothing": lambda records: [],
    "an unknown kind": lambda records: [*records, (b"?", b"")],
    "no leaf": lambda records: with_first(records, b"l", lambda raw: b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_the_headers_do_not_commit_to_is_refused(
    taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path, lie: str
) -> None:
    false = rewritten(taken[0], tmp_path / "false", LIES[lie])
    with pytest.raises(SnapshotFalse):
        restore(tmp_path / "new", false, chain)
    assert list((tmp_path / "new").rglob("*")) == []


def test_a_state_of_the_forgers_own_is_not_anchored(
    taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path
) -> None:
    """Honest headers are free for everybody: only what stands on the state's block counts."""
    path, info = taken
    new = tmp_path / "new"
    with pytest.raises(SnapshotNotAnchored):
        restore_snapshot(new, SPEC, path, LATE_MS)
    with pytest.raises(CheckpointMissing, match=r"block 19 of the snapshot, .* from block 20"):
        restore(new, path, chain, HEIGHT - 1)
    with pytest.raises(CheckpointMissing, match=r"not in the snapshot: .* to block 40"):
        restore_snapshot(new, SPEC, path, LATE_MS, checkpoint=bytes(32))
    with pytest.raises(InsufficientWork):
        restore_snapshot(new, SPEC, path, LATE_MS, min_work=info.work + 1)
    assert restore_snapshot(new, SPEC, path, LATE_MS, min_work=info.work) == info


def test_a_directory_with_blocks_keeps_them(
    taken: tuple[Path, SnapshotInfo], chain: MemoryChain, tmp_path: Path
) -> None:
    restore(tmp_path, taken[0], chain)
    with pytest.raises(ChainExists):
        restore(tmp_path, taken[0], chain)
    other = replace(SPEC, name="other")
    with pytest.raises(ForeignData):
        restore_snapshot(tmp_path / "other", other, taken[0], LATE_MS, min_work=1)
    assert spec_id(other) != spec_id(SPEC)
    assert genesis(other).id != genesis(SPEC).id
