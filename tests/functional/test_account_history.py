"""The index of accounts beside a node's chain: switched on late, off and on again, held up, and after a
snapshot.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from engram.consensus.block import Block
from engram.consensus.genesis import genesis
from engram.node.chain.snapshot import restore_snapshot, take_snapshot
from engram.node.concurrency import ReaderThreads
from engram.node.errors import AccountIndexOff
from engram.node.history.entries import AccountRole, Told, entries_of
from engram.node.history.index import HistoryPage, HistoryPlace
from engram.node.history.service import AccountHistory
from engram.node.storage.db import Batch
from engram.node.storage.schema import ACCOUNT, ACCOUNTS, INDEX
from engram.node.storage.store import ChainStore
from engram.primitives.keys import PrivateKey, address
from engram.statemachine.record import Record, u64
from engram.statemachine.records import Badge, Maturing
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Round
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.transfer import Transfer
from tests.support.claimed_rounds import better, play_of
from tests.support.damage import damage_body
from tests.support.memory_chain import COIN, MemoryChain
from tests.support.node_chain import (
    ALICE,
    BOB,
    CAROL,
    LATE_MS,
    SPEC,
    Running,
    disk_store,
    fork,
    ids,
    memory_store,
    miner_address,
    paying_chain,
    running,
)
from tests.support.replay_chain import replay
from tests.support.rounds import ALICE as PLAYED_ALICE
from tests.support.rounds import BOB as PLAYED_BOB
from tests.support.rounds import SMALL_RULES, network
from tests.support.until import pass_until, until

VECTOR = Path(__file__).resolve().parents[1] / "vectors" / "consensus_chain_50.json"
T = TypeVar("T")
PAYMENTS = 10
"""Transfers of Alice to Bob in the first 30 blocks of `paying_chain`."""


@asynccontextmanager
async def indexing(node: Running, *, enabled: bool = True) -> AsyncIterator[AccountHistory]:
    """The service beside a chain."""
    threads = ReaderThreads(2)
    kept = AccountHistory(node.chain, node.clock, threads, threads, enabled=enabled)
    service = asyncio.create_task(kept.run())
    try:
        yield kept
    finally:
        service.cancel()
        await asyncio.wait([service])
        threads.close()
        if not service.cancelled():
            service.result()


def rows(store: ChainStore) -> int:
    return sum(1 for _ in store.database.iterate(ACCOUNT))


def places(page: HistoryPage) -> list[tuple[int, int | None]]:
    """Those of blocks above genesis."""
    return [(each.place.height, each.place.index) for each in page.entries if each.place.height]


def received(page: HistoryPage) -> list[int]:
    return [each.entry.received for each in page.entries if each.place.height]


def begun(page: HistoryPage) -> list[int]:
    """What genesis gave."""
    return [each.entry.received for each in page.entries if not each.place.height]


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(30)


async def test_switched_on_late_then_off_and_on_again(tmp_path: Path, chain: MemoryChain) -> None:
    async with running(disk_store(tmp_path)) as node, indexing(node, enabled=False) as kept:
        await node.take(*chain.blocks[1:])
        with pytest.raises(AccountIndexOff):
            await kept.page(BOB.address, 10, None)
        assert kept.heights is None
        assert rows(node.chain.store) == 0
    for _ in range(2):
        async with running(disk_store(tmp_path)) as node, indexing(node) as kept:
            await until(lambda: kept.heights == (1, 30))
            page = await kept.page(BOB.address, PAYMENTS, None)
            assert places(page) == [(height, 0) for height in range(28, 0, -3)]
            assert received(page) == list(range(28, 0, -3))
            assert page.more
            rest = await kept.page(BOB.address, PAYMENTS, page.entries[-1].place)
            assert (begun(rest), rest.more) == ([1_000 * COIN], False)
    async with running(disk_store(tmp_path)) as node, indexing(node, enabled=False):
        await until(lambda: rows(node.chain.store) == 0)
        assert node.chain.store.database.get(ACCOUNTS) is None
        more = fork(chain)
        await node.take(more.mine([more.sign(ALICE, Transfer(BOB.address, 99))]))
    async with running(disk_store(tmp_path)) as node, indexing(node) as kept:
        await until(lambda: kept.heights == (1, 31))
        assert received(await kept.page(BOB.address, 2, None)) == [99, 28]


async def test_what_was_left_half_deleted_is_no_index(tmp_path: Path, chain: MemoryChain) -> None:
    """It dies while it deletes: rows are left, but nothing says that they are an index."""
    async with running(disk_store(tmp_path)) as node:
        await node.take(*chain.blocks[1:10])
        async with indexing(node) as kept:
            await until(lambda: kept.heights == (1, 9))
        stale = ACCOUNT + BOB.address + HistoryPlace(5, 0).key
        value = node.chain.store.database.get(ACCOUNT + BOB.address + HistoryPlace(4, 0).key)
        assert value is not None
        node.chain.store.database.put(stale, value)
        database = node.chain.store.database
        database.write(deleting(ACCOUNTS))
        async with indexing(node) as kept:
            await until(lambda: kept.heights == (1, 9))
            assert places(await kept.page(BOB.address, 9, None)) == [(7, 0), (4, 0), (1, 0)]


def deleting(key: bytes) -> Batch:
    return Batch({key: None})


class Gated(ReaderThreads):
    """Threads in which nothing is deleted before the gate is open."""

    def __init__(self) -> None:
        super().__init__(1)
        self.gate = asyncio.Event()

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        if work.__name__ == "drop":
            await self.gate.wait()
        return await super().run(work, *arguments)


async def test_nobody_waits_for_what_is_deleted(chain: MemoryChain) -> None:
    async with running() as node:
        await node.take(*chain.blocks[1:10])
        node.chain.store.database.put(ACCOUNT + BOB.address + HistoryPlace(5, 0).key, b"left")
        threads = Gated()
        kept = AccountHistory(node.chain, node.clock, threads, threads, enabled=True)
        service = asyncio.create_task(kept.run())
        page = await kept.page(BOB.address, 9, None)
        assert (page.below.height + 1, page.top.height, page.entries) == (10, 9, ()), "nothing is indexed yet"
        threads.gate.set()
        await until(lambda: kept.heights == (1, 9))
        assert places(await kept.page(BOB.address, 9, None)) == [(7, 0), (4, 0), (1, 0)]
        service.cancel()
        await asyncio.wait([service])
        threads.close()


async def test_whoever_asks_hears_of_the_block_that_has_just_come(chain: MemoryChain) -> None:
    async with running() as node, indexing(node) as kept:
        for block in chain.blocks[1:8]:
            await node.take(block)
            page = await kept.page(ALICE.address, 1, None)
            assert page.top.id == block.header.id
        assert places(page) == [(7, 0)]


async def test_a_cursor_goes_on_where_it_was_whatever_branch_has_won(chain: MemoryChain) -> None:
    branch = fork(chain, 20)
    for number in range(12):
        branch.mine([branch.sign(CAROL, Transfer(BOB.address, 1_000 + number))], miner=miner_address(5))
    async with running() as node, indexing(node) as kept:
        await node.take(*chain.blocks[1:])
        first = await kept.page(BOB.address, 2, None)
        assert received(first) == [28, 25]
        before = first.entries[-1].place
        assert received(await kept.page(BOB.address, 2, before)) == [22, 19]
        outcomes = await node.take(*branch.blocks[21:])
        assert "reorged" in outcomes
        assert received(await kept.page(BOB.address, 5, before)) == [1_003, 1_002, 1_001, 1_000, 19]
        assert received(await kept.page(BOB.address, 1, None)) == [1_011]
        assert places(await kept.page(miner_address(5), 1, None)) == [(32, None)]
        assert received(await kept.page(BOB.address, 9, HistoryPlace(2, -1))) == [1]


async def test_a_damaged_body_holds_it_up_and_a_losing_one_does_not(
    tmp_path: Path, chain: MemoryChain
) -> None:
    """Blocks whose bodies cannot be read are taken out all the same, and put in once their bodies came."""
    branch = fork(chain, 6)
    for _ in range(5):
        branch.mine([branch.sign(CAROL, Transfer(BOB.address, 7))], miner=miner_address(6))
    async with running(disk_store(tmp_path)) as node, indexing(node) as kept:
        await node.take(*chain.blocks[1:11])
        await until(lambda: kept.heights == (1, 10))
        store = node.chain.store
        for height in (7, 8):
            damage_body(tmp_path, store, chain.blocks[height].header.id)
        store.forget_written(ids(chain.blocks))  # as if they had been written long ago
        await node.take(*branch.blocks[7:])
        page = await kept.page(BOB.address, 99, None)
        assert places(page) == [(11, 0), (10, 0), (9, 0), (8, 0), (7, 0), (4, 0), (1, 0)]
        assert await node.take(*chain.blocks[11:13]) == ["side", "reorged"]
        page = await kept.page(BOB.address, 99, None)
        assert (page.top.height, places(page)) == (6, [(4, 0), (1, 0)]), "block 7 is missing"
        assert chain.blocks[7].header.id in store.damaged, "so that it is fetched again"
        await node.take(chain.blocks[7])
        await pass_until(node.clock, lambda: kept.heights == (1, 7))
        store.whole_block(store.get_ref(chain.blocks[8].header.id))
        await node.take(chain.blocks[8])
        await pass_until(node.clock, lambda: kept.heights == (1, 12))
        assert places(await kept.page(BOB.address, 2, None)) == [(10, 0), (7, 0)]


@pytest.mark.parametrize("height", [4, 5])
async def test_a_branch_that_is_gone_begins_the_index_anew(chain: MemoryChain, height: int) -> None:
    """The index stands on a branch of which a block was deleted while the index was not kept."""
    store = memory_store()
    branch = fork(chain, 3)
    for _ in range(2):
        branch.mine(miner=miner_address(7))
    async with running(store) as node:
        await node.take(*branch.blocks[1:])
        async with indexing(node) as kept:
            await until(lambda: kept.heights == (1, 5))
        await node.take(*chain.blocks[4:])
        lost = branch.blocks[height].header.id
        store.forget_refs([lost])
        store.database.write(deleting(INDEX + lost))
        async with indexing(node) as kept:
            await until(lambda: kept.heights == (1, 30))
            assert len(places(await kept.page(BOB.address, 99, None))) == PAYMENTS
            assert places(await kept.page(miner_address(7), 99, None)) == []


def test_what_rounds_give_is_what_the_state_holds() -> None:
    """A recorded chain with rounds: rewards, bonds and badges, against the records of the state."""
    chain = replay(json.loads(VECTOR.read_text()))
    rules, roles = chain.spec.rules, AccountRole(0)
    badges: set[tuple[bytes, int]] = set()
    untold = {each.opener for each in written(chain) if isinstance(each, Round)}
    untold |= {address(tx.sender) for block in chain.blocks for tx in block.transactions if witnesses(tx)}
    for block, executed in zip(chain.blocks[1:], chain.executed, strict=True):
        height, rewards = block.header.height, dict[bytes, int]()
        for account, _, entry in entries_of(block, executed.result.receipts, rules):
            roles |= AccountRole(entry.roles)
            rewards[account] = rewards.get(account, 0) + entry.reward
            if entry.roles & AccountRole.BADGE:
                badges.add((account, height))
        state = State(chain, block.header.state_root)
        for account, reward in rewards.items():
            held = state.find(Maturing, account, u64(height + rules.maturity_blocks))
            given = 0 if held is None else held.amount
            assert given >= reward
            assert given == reward or account in untold, "openers get back and witnesses get what is not told"
    kept = {(each.address, each.height) for each in written(chain) if isinstance(each, Badge)}
    assert badges == kept != set()
    assert roles & AccountRole.BOUNTY
    assert roles & AccountRole.BOND_RETURNED


def witnesses(tx: Transaction) -> bool:
    return tx.kind == RevealSealed.KIND


def written(chain: MemoryChain) -> Iterator[Record]:
    """Every record that a block has written."""
    for executed in chain.executed:
        for value in executed.result.changes.values():
            if value is not None:
                yield parse_record(value)


async def test_blocks_from_before_a_snapshot_come_when_their_bodies_do(
    tmp_path: Path, chain: MemoryChain
) -> None:
    """What happened is told of them, but not whether it did: their receipts are lost."""
    async with running(disk_store(tmp_path / "source")) as node:
        await node.take(*chain.blocks[1:])
        take_snapshot(node.chain.store, node.chain.head, SPEC, tmp_path / "snapshot", 20)
    checkpoint = chain.blocks[25].header.id
    restore_snapshot(tmp_path / "late", SPEC, tmp_path / "snapshot", LATE_MS, checkpoint=checkpoint)
    async with running(disk_store(tmp_path / "late")) as node, indexing(node) as kept:
        await node.take(*chain.blocks[21:])
        page = await kept.page(BOB.address, 99, None)
        assert (kept.heights, places(page)) == ((21, 30), [(28, 0), (25, 0), (22, 0)])
        assert not page.more
        assert begun(page) == [], "genesis comes last"
        for height in range(20, 0, -1):
            name = chain.blocks[height].header.id
            node.chain.store.damaged.expect(name)
            await node.take(chain.blocks[height])
        await pass_until(node.clock, lambda: kept.heights == (1, 30))
        page = await kept.page(BOB.address, 99, None)
        assert received(page) == list(range(28, 0, -3))
        assert begun(page) == [1_000 * COIN]
        told = {each.place.height: each.entry.status for each in page.entries[:-1]}
        assert told == {height: Told.OK if height > 20 else Told.UNKNOWN for height in range(28, 0, -3)}


@pytest.mark.parametrize("challenger", [PLAYED_BOB, PLAYED_ALICE])
def test_a_refuted_claim_tells_what_the_challenger_got_and_what_burned(challenger: PrivateKey) -> None:
    """Author and challenger can be one account; then it got the reward once."""
    play = play_of()
    play.lies[PLAYED_ALICE.address, 0] = better(row=9)
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch((PLAYED_ALICE, network(play.inputs, 8)))
    play.audit()
    play.at(Phase.SCORE)
    bond = play.candidate(PLAYED_ALICE).bond
    tx = play.ledger.pay(challenger, play.dispute_payload(PLAYED_ALICE, part=0, number=1))
    (receipt,) = play.ledger.block(tx).receipts
    block = Block(genesis(SPEC).block.header, (tx,))
    told = {account: entry for account, _, entry in entries_of(block, [receipt], SMALL_RULES)}
    assert told[challenger.address].received == bond // 2
    assert told[PLAYED_ALICE.address].burned == bond - bond // 2
    assert told[PLAYED_ALICE.address].roles & AccountRole.BOND_BURNED
