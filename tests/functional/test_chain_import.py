"""What becomes of a block that is offered: every named outcome, in every order of arrival."""

import asyncio
import random
from dataclasses import replace

import pytest

from engram.consensus.block import Block
from engram.consensus.chainspec import Upgrade
from engram.node.chain.chain import CHANGE_BLOCKS
from engram.node.errors import ChainStopped, DiskFull
from engram.node.storage.db import MemoryDatabase
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.schema import BlockLocation
from engram.node.storage.store import ChainStore
from engram.statemachine.errors import UpgradeRequired
from engram.statemachine.transactions.transfer import Transfer
from tests.support.loop_watchdog import LoopWatchdog
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import (
    ALICE,
    BOB,
    LATE_MS,
    SPEC,
    best_rows,
    fork,
    ids,
    memory_store,
    miner_address,
    reach,
    resealed,
    running,
    settled,
)


def grow(branch: MemoryChain, count: int, miner: int = 0) -> list[Block]:
    """Mines empty blocks; returns them."""
    return [branch.mine(miner=miner_address(miner)) for _ in range(count)]


async def test_extending_forking_and_overtaking() -> None:
    trunk = MemoryChain(SPEC)
    grow(trunk, 3)
    branch = fork(trunk, 1)
    other = grow(branch, 3, miner=1)
    async with running() as node:
        assert await node.take(*trunk.blocks[1:]) == ["extended"] * 3
        assert node.chain.head.id == ids(trunk.blocks)[-1]
        assert await node.take(other[0], other[1]) == ["side", "side"]
        assert node.chain.head.id == ids(trunk.blocks)[-1], "equal work: the first seen stays"
        assert await node.take(other[2]) == ["reorged"]
        assert node.chain.head.id == other[2].header.id
        assert [block for _, block in node.chain.store.canonical()] == ids(branch.blocks)
        assert await node.take(trunk.blocks[2], other[2]) == ["duplicate", "duplicate"]


async def test_transactions_follow_the_best_chain() -> None:
    trunk = MemoryChain(SPEC)
    trunk.mine([trunk.sign(ALICE, Transfer(BOB.address, 5))])
    common = trunk.blocks[1].transactions[0]
    branch = fork(trunk)
    left = trunk.sign(ALICE, Transfer(BOB.address, 6))
    right = branch.sign(BOB, Transfer(ALICE.address, 7))
    trunk.mine([left])
    branch.mine([right])
    branch.mine()
    async with running() as node:
        store = node.chain.store
        await node.take(*trunk.blocks[1:])
        assert store.find_transaction(left.id) is not None
        assert await node.take(*branch.blocks[2:]) == ["side", "reorged"]
        assert store.find_transaction(left.id) is None
        found = store.find_transaction(right.id)
        assert found is not None
        assert (found.block, found.index) == (ids(branch.blocks)[2], 0)
        assert store.find_transaction(common.id) is not None
        assert node.chain.state().account(BOB.address).nonce == 1
        old = store.get_ref(ids(trunk.blocks)[2])
        assert node.chain.state(old).account(ALICE.address).nonce == 2, "old states stay readable"


async def test_a_block_waits_for_its_parent() -> None:
    branch = MemoryChain(SPEC)
    blocks = grow(branch, 4)
    async with running() as node:
        assert await node.take(blocks[3], blocks[2], blocks[1]) == ["parked:unknown_parent"] * 3
        assert node.chain.parked(blocks[2].header.id) == "unknown_parent"
        assert await node.take(blocks[0]) == ["extended"]
        assert node.chain.head.id == ids(blocks)[3]
        assert node.chain.parked(blocks[2].header.id) == ""


async def test_a_block_waits_for_its_time() -> None:
    branch = MemoryChain(SPEC)
    first, second = grow(branch, 2)
    early_ms = first.header.timestamp_ms - SPEC.future_limit_ms - 1
    async with running(now_ms=early_ms) as node:
        assert await node.take(second, first) == ["parked:unknown_parent", "parked:timestamp_ahead"]
        assert node.chain.head.height == 0
        node.clock.advance(1)
        await reach(node.chain, 1)
        node.clock.advance(SPEC.block_time_ms)
        await reach(node.chain, 2)


@pytest.mark.fault(id=5)
async def test_unproven_work_is_not_even_parked() -> None:
    branch = MemoryChain(SPEC)
    blocks = grow(branch, 2)
    header = blocks[1].header
    hopeless = replace(header, target=0x1D00FFFF)
    boundless = replace(header, target=0x207FFFFF, parent=b"\x01" * 32)
    strict = replace(
        SPEC, max_target=(1 << 254).to_bytes(32, "big"), genesis_target=(1 << 254).to_bytes(32, "big")
    )
    async with running(spec=strict) as node:
        assert await node.take(Block(boundless, ())) == ["invalid:bad_target"]
    async with running() as node:
        assert await node.take(Block(hopeless, ())) == ["invalid:pow_not_met"]
        assert await node.take(blocks[1]) == ["parked:unknown_parent"]


INVALID = [
    ("wrong_height", {"height": 9}),
    ("timestamp_too_old", {"timestamp_ms": 1}),
    ("bad_target", {"target": 0x1F00FFFF}),
    ("wrong_version", {"version": 2}),
    ("wrong_receipts_root", {"receipts_root": bytes(32)}),
    ("wrong_state_root", {"state_root": bytes(32)}),
]


@pytest.mark.parametrize(("code", "changes"), INVALID, ids=[code for code, _ in INVALID])
async def test_a_wrong_header_is_named_remembered_and_poisons_what_stands_on_it(
    code: str, changes: dict[str, object]
) -> None:
    branch = MemoryChain(SPEC)
    good = branch.mine()
    bad = resealed(branch.mine(), **changes)
    child = resealed(branch.mine(), parent=bad.header.id)
    grandchild = resealed(branch.mine(), parent=child.header.id)
    async with running() as node:
        before = dict(node.chain.store.database.iterate())
        assert await node.take(grandchild, child) == ["parked:unknown_parent"] * 2
        assert await node.take(good) == ["extended"]
        assert await node.take(bad) == [f"invalid:{code}"]
        assert await node.take(bad, child, grandchild) == [
            f"invalid:{code}",
            "invalid:invalid_ancestor",
            "invalid:invalid_ancestor",
        ]
        assert node.chain.head.id == good.header.id
        assert await node.take(*branch.blocks[2:]) == ["extended"] * 3
        assert (
            before.items()
            <= {**dict(node.chain.store.database.iterate()), **{k: before[k] for k in (b"mtip",)}}.items()
        )


async def test_a_verdict_on_proven_work_survives_a_restart_and_others_leave_no_row() -> None:
    branch = MemoryChain(SPEC)
    block = branch.mine()
    false_state, false_time = resealed(block, state_root=bytes(32)), resealed(block, timestamp_ms=1)
    store = memory_store()
    async with running(store) as node:
        rows = len(list(store.database.iterate()))
        await node.take(false_time)
        assert len(list(store.database.iterate())) == rows
        await node.take(false_state)
        kept = ChainStore(store.database, store.files)
        ref = kept.find_ref(false_state.header.id)
        assert ref is not None
        assert (ref.is_valid, ref.code) == (False, "wrong_state_root")
        assert kept.find_block(ref.id) is None


async def test_a_body_that_is_not_the_headers_condemns_nobody() -> None:
    branch = MemoryChain(SPEC)
    tx = branch.sign(ALICE, Transfer(BOB.address, 1))
    block = branch.mine([tx])
    async with running() as node:
        for stranger in ((), (tx, tx), (branch.sign(BOB, Transfer(BOB.address, 1), nonce=9),)):
            assert await node.take(Block(block.header, stranger)) == ["invalid:wrong_transactions_root"]
        assert await node.take(block) == ["extended"]


def random_tree(seed: int) -> tuple[list[Block], MemoryChain]:
    """About forty blocks on up to five branches, some invalid, and the one heaviest branch."""
    rng = random.Random(seed)
    branches = [MemoryChain(SPEC)]
    blocks: list[Block] = []
    for number in range(rng.randint(20, 40)):
        branch = rng.choice(branches)
        if len(branches) < 5 and rng.random() < 0.2:
            branch = fork(branch, rng.randint(0, branch.height))
            branches.append(branch)
        sender = rng.choice((ALICE, BOB))
        txs = [branch.sign(sender, Transfer(rng.randbytes(20), 1))] if rng.random() < 0.5 else []
        blocks.append(branch.mine(txs, miner=miner_address(number)))
        if rng.random() < 0.15:
            bad = resealed(branch.mine(miner=miner_address(number)), state_root=rng.randbytes(32))
            branch.blocks.pop()
            branch.executed.pop()
            blocks += [bad, resealed(blocks[-1], parent=bad.header.id, height=bad.header.height + 1)]
    best = max(branches, key=lambda branch: branch.height)
    while any(branch.height >= best.height for branch in branches if branch is not best):
        blocks.append(best.mine(miner=miner_address(99)))
    return blocks, best


@pytest.mark.fault(id=13)
@pytest.mark.parametrize("seed", range(25))
async def test_every_order_of_arrival_ends_on_the_same_head_and_rows(seed: int) -> None:
    blocks, best = random_tree(seed)
    rng = random.Random(seed)
    rows: list[dict[bytes, bytes]] = []
    for _ in range(3):
        order = rng.sample(blocks, len(blocks))
        async with running() as node:
            for block in order:
                await node.chain.import_block(block)
            assert node.chain.head.id == ids(best.blocks)[-1]
            rows.append(best_rows(node.chain.store))
    async with running() as fresh:
        await fresh.take(*best.blocks[1:])
        rows.append(best_rows(fresh.chain.store))
    assert all(other == rows[0] for other in rows)


async def test_a_hundred_blocks_give_way_to_a_hundred_and_one() -> None:
    trunk = MemoryChain(SPEC)
    trunk.mine()
    branch = fork(trunk)
    for number in range(100):
        trunk.mine([trunk.sign(ALICE, Transfer(BOB.address, 1 + number))])
    for number in range(101):
        branch.mine([branch.sign(BOB, Transfer(ALICE.address, 1 + number))])
    async with running() as node, running() as fresh:
        await node.take(*trunk.blocks[1:])
        outcomes = await node.take(*branch.blocks[2:])
        assert outcomes == ["side"] * 100 + ["reorged"]
        await fresh.take(*branch.blocks[1:])
        assert best_rows(node.chain.store) == best_rows(fresh.chain.store)


async def test_readers_hear_of_both_halves_of_a_reorg() -> None:
    trunk = MemoryChain(SPEC)
    grow(trunk, 3)
    branch = fork(trunk, 1)
    grow(branch, 3, miner=1)
    async with running() as node:
        changes = node.chain.changes()
        await node.take(*trunk.blocks[1:])
        first = await anext(changes)
        assert ([], ids(trunk.blocks)[1:]) == (
            [ref.id for ref in first.disconnected],
            [ref.id for ref in first.connected],
        )
        await node.take(*branch.blocks[2:])
        second = await anext(changes)
        assert [ref.id for ref in second.disconnected] == ids(trunk.blocks)[:1:-1]
        assert [ref.id for ref in second.connected] == ids(branch.blocks)[2:]


async def test_a_slow_reader_gets_bounded_steps_that_add_up() -> None:
    branch = MemoryChain(SPEC)
    grow(branch, CHANGE_BLOCKS + 40)
    async with running() as node:
        steps = node.chain.changes()
        await node.take(*branch.blocks[1:])
        connected = [ref.id for ref in (await anext(steps)).connected]
        assert len(connected) == CHANGE_BLOCKS
        connected += [ref.id for ref in (await anext(steps)).connected]
        assert connected == ids(branch.blocks)[1:]


def full_blocks() -> MemoryChain:
    """Three blocks of 200 transfers each."""
    branch = MemoryChain(SPEC)
    for _ in range(3):
        nonce = branch.state.account(ALICE.address).nonce
        txs = [branch.sign(ALICE, Transfer(BOB.address, 1), nonce=nonce + index) for index in range(200)]
        branch.mine(txs)
    return branch


async def test_the_loop_runs_on_while_blocks_are_judged(loop_watchdog: LoopWatchdog) -> None:
    branch = await asyncio.to_thread(full_blocks)
    async with running() as node:
        await node.take(*branch.blocks[1:])
        assert node.chain.head.height == 3


async def test_a_disk_error_stops_the_writer_and_every_caller_hears_of_it() -> None:
    branch = MemoryChain(SPEC)
    blocks = grow(branch, 3)

    class FullFiles(MemoryBlockFiles):
        def append(self, payload: bytes, *, sync: bool = True) -> BlockLocation:
            if self.end.offset:
                raise DiskFull()
            return super().append(payload, sync=sync)

    async def scenario() -> None:
        async with running(ChainStore(MemoryDatabase(), FullFiles())) as node:
            await node.take(blocks[0])
            offers = [asyncio.ensure_future(node.chain.import_block(block)) for block in blocks[1:]]
            results = await asyncio.gather(*offers, return_exceptions=True)
            assert [type(result) for result in results] == [ChainStopped, ChainStopped]
            with pytest.raises(ChainStopped):
                await node.chain.import_block(blocks[1])
            assert node.chain.head.id == blocks[0].header.id

    with pytest.raises(ExceptionGroup) as caught:
        await scenario()
    assert [type(error) for error in caught.value.exceptions] == [DiskFull]


async def test_a_node_without_a_type_in_force_stops_at_its_height() -> None:
    branch = MemoryChain(SPEC)
    blocks = grow(branch, 3)
    upgraded = replace(SPEC, upgrades=(*SPEC.upgrades, Upgrade(9_999, 2)))

    async def scenario() -> None:
        async with running(spec=upgraded) as node:
            assert await node.take(blocks[0]) == ["extended"]
            with pytest.raises(ChainStopped):
                await node.take(blocks[1])
            assert node.chain.head.height == 1

    with pytest.raises(ExceptionGroup) as caught:
        await scenario()
    assert [type(error) for error in caught.value.exceptions] == [UpgradeRequired]


async def test_stopping_finishes_the_block_that_has_been_begun() -> None:
    branch = MemoryChain(SPEC)
    blocks = grow(branch, 30)
    store = memory_store()
    async with running(store) as node:
        offers = [asyncio.ensure_future(node.chain.import_block(block)) for block in blocks]
        await settled()
    results = await asyncio.gather(*offers, return_exceptions=True)
    judged = sum(not isinstance(result, BaseException) for result in results)
    assert judged < 30
    assert all(isinstance(result, ChainStopped) for result in results[judged:])


async def test_now_is_asked_of_the_clock_for_each_block() -> None:
    branch = MemoryChain(SPEC)
    block = branch.mine()
    async with running(now_ms=LATE_MS) as node:
        future = resealed(block, timestamp_ms=LATE_MS + SPEC.future_limit_ms + 1)
        assert await node.take(future) == ["parked:timestamp_ahead"]
        assert await node.take(resealed(block, timestamp_ms=LATE_MS + SPEC.future_limit_ms)) == ["extended"]
