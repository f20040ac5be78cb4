"""What the mempool has acknowledged is known after a restart, and a reorganisation gives all of it back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engram.consensus.genesis import genesis
from engram.node.mempool import journaling, mempool
from engram.node.mempool.journal import JOURNAL_NAME, SLACK_BYTES, MempoolJournal
from engram.node.mempool.mempool import RETURNING_HEADS
from engram.node.mempool.upkeep import EXPIRY_S
from engram.primitives.codec import encode
from engram.primitives.types import Hash
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.transfer import Transfer
from tests.support.faults import Played
from tests.support.memory_chain import COIN, MemoryChain, key
from tests.support.node_chain import (
    ALICE,
    BOB,
    CAROL,
    LATE_MS,
    SPEC,
    Running,
    disk_store,
    fork,
    miner_address,
    running,
    settled,
)
from tests.support.until import until

pytestmark = pytest.mark.fault(id=44)


def payments(branch: MemoryChain, count: int, *, first: int = 0) -> list[Transaction]:
    return [
        branch.sign(ALICE, Transfer(BOB.address, 1 + nonce), nonce=nonce)
        for nonce in range(first, first + count)
    ]


@asynccontextmanager
async def node(folder: Path, *, now_ms: int = LATE_MS) -> AsyncIterator[Running]:
    """A node on a data directory, with what its journal holds."""
    journal = MempoolJournal(folder / JOURNAL_NAME, genesis(SPEC).id)
    async with running(disk_store(folder), now_ms=now_ms, journal=journal) as started:
        await started.mempool.restore()
        yield started


async def admit(node: Running, transactions: Sequence[Transaction]) -> None:
    for tx in transactions:
        assert (await node.mempool.admit(tx)).accepted


def waiting(node: Running) -> set[Hash]:
    return set(node.mempool.ids())


async def test_everything_acknowledged_is_known_after_a_restart(tmp_path: Path) -> None:
    branch = MemoryChain(SPEC)
    transactions = [*payments(branch, 20), branch.sign(BOB, Transfer(CAROL.address, 3))]
    async with node(tmp_path) as first:
        await admit(first, transactions)
        order = [entry.txid for entry in first.mempool.entries()]
    async with node(tmp_path) as second:
        assert [entry.txid for entry in second.mempool.entries()] == order
        assert second.mempool.next_nonce(ALICE.address) == 20
        assert second.mempool.candidates()
        assert (await second.mempool.admit(transactions[3])).code == "already_pooled"


async def test_a_long_journal_comes_back_while_the_node_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is lost by what happens meanwhile: a new transaction, another end of the node."""
    monkeypatch.setattr(mempool, "RESTORED_FIRST", 1)
    monkeypatch.setattr(journaling, "SLACK_BYTES", 0)
    branch = MemoryChain(SPEC)
    transactions = payments(branch, 60)
    new = branch.sign(BOB, Transfer(CAROL.address, 3))
    async with node(tmp_path) as first:
        await admit(first, transactions)
    async with node(tmp_path) as second:
        assert waiting(second) == {transactions[0].id}
        await admit(second, [new])
    async with node(tmp_path) as third:
        await until(lambda: waiting(third) == {tx.id for tx in (*transactions, new)})
        assert third.mempool.next_nonce(ALICE.address) == 60


async def test_what_was_replaced_included_or_grew_old_does_not_come_back(tmp_path: Path) -> None:
    branch = MemoryChain(SPEC)
    included, replaced, old = payments(branch, 3)
    dearer = branch.sign(ALICE, Transfer(BOB.address, 9), nonce=1, max_fee=10**9, tip=10**7)
    async with node(tmp_path) as first:
        await admit(first, [included, replaced, old])
        first.clock.advance(round(EXPIRY_S * 1000) - 1_000)
        await admit(first, [dearer])
        await first.take(branch.mine([included]))
        late_ms = first.clock.now_ms()
    async with node(tmp_path, now_ms=late_ms + 2_000) as second:
        assert waiting(second) == {dearer.id}
        assert second.mempool.drop_reason(old.id) == "expired", "its age outlives the restart"
        assert second.mempool.drop_reason(included.id) == ""
        assert second.mempool.drop_reason(replaced.id) == "expired", "known to be given up"


async def test_the_journal_is_bounded_by_what_waits(tmp_path: Path) -> None:
    """Each replacement leaves a dead record; the file may not grow with their number."""
    branch = MemoryChain(SPEC)
    size = MempoolJournal(tmp_path / JOURNAL_NAME, genesis(SPEC).id)
    size.open()
    dead = encode(payments(branch, 1)[0])
    kept = payments(branch, 1, first=1)[0]
    async with node(tmp_path) as first:
        await admit(first, [kept])
        room = SLACK_BYTES + 2 * first.mempool.memory_bytes
    size.close()
    with (tmp_path / JOURNAL_NAME).open("ab") as stream:
        stream.write(dead * (1 + room // len(dead)))
    async with node(tmp_path) as second:
        assert waiting(second) == {kept.id}
        assert (tmp_path / JOURNAL_NAME).stat().st_size < room, "what is dead was cut off"
    async with node(tmp_path) as third:
        assert waiting(third) == {kept.id}


async def test_a_reorganisation_returns_everything_far_beyond_the_bounds_of_a_sender() -> None:
    """300 payments of one account, of which 64 may wait by its own sending."""
    branch = MemoryChain(SPEC)
    other = fork(branch, 0)
    transactions = payments(branch, 300)
    async with running() as node:
        for start in range(0, 300, 15):
            await node.take(branch.mine(transactions[start : start + 15]))
        taken = payments(other, 1)
        blocks = [other.mine(taken, miner=miner_address(9))]
        blocks += [other.mine(miner=miner_address(9)) for _ in range(20)]
        await node.take(*blocks)
        assert node.chain.head.id == other.tip.id
        while node.mempool.followed != node.chain.head.height:
            await settled()
        assert waiting(node) == {tx.id for tx in transactions} - {taken[0].id}
        assert node.mempool.next_nonce(ALICE.address) == 300
        assert await node.mempool.hindrances([ALICE.address]) == {}
        extra = branch.sign(ALICE, Transfer(BOB.address, 1), nonce=300)
        assert (await node.mempool.admit(extra)).code == "nonce_gap", "only what returns is exempt"
        await node.take(other.mine(transactions[1:11]))
        while node.mempool.followed != node.chain.head.height:
            await settled()
        assert waiting(node) == {tx.id for tx in transactions[11:]}
        assert node.mempool.candidates()[0].id == transactions[11].id


async def test_what_returned_is_journaled_too(tmp_path: Path) -> None:
    branch = MemoryChain(SPEC)
    other = fork(branch, 0)
    transactions = payments(branch, 100)
    async with node(tmp_path) as first:
        await first.take(branch.mine(transactions[:50]), branch.mine(transactions[50:]))
        await first.take(*[other.mine(miner=miner_address(9)) for _ in range(3)])
        while first.mempool.followed != first.chain.head.height or len(first.mempool) < 100:
            await settled()
    async with node(tmp_path) as second:
        assert waiting(second) == {tx.id for tx in transactions}


async def followed(node: Running) -> None:
    """Returns once the mempool knows the head."""
    while node.mempool.followed != node.chain.head.height:
        await settled()


def depending(branch: MemoryChain) -> tuple[Transaction, Transaction]:
    """Alice gives coins to a new account, which pays with them; a block takes both."""
    heir = key(77)
    gift = branch.sign(ALICE, Transfer(heir.address, 10 * COIN))
    payment = branch.sign(heir, Transfer(BOB.address, COIN), nonce=0)
    return gift, payment


@pytest.mark.fault(id=12)
async def test_a_reorganisation_returns_what_depends_on_the_transaction_of_another(fault: Played) -> None:
    """If it did not, the account could pay again with what an abandoned block had paid already."""
    branch = MemoryChain(SPEC)
    other = fork(branch, 0)
    gift, payment = depending(branch)
    async with running() as node:
        await node.take(branch.mine([gift, payment]))
        await node.take(*[other.mine(miner=miner_address(9)) for _ in range(2)])
        await followed(node)
        assert waiting(node) == {gift.id}
        assert node.mempool.returns_later(payment.id) == "insufficient_balance"
        assert node.mempool.drop_reason(payment.id) == "", "peers that have it may bring it, too"
        await node.take(other.mine([gift], miner=miner_address(9)))
        await followed(node)
        assert waiting(node) == {payment.id}
        assert node.mempool.returns_later(payment.id) == ""
        await node.take(other.mine(node.mempool.candidates()))
        await followed(node)
        assert node.chain.store.find_transaction(payment.id) is not None
    fault.tell(1)


async def test_what_cannot_return_any_more_is_dropped_with_the_reason() -> None:
    branch = MemoryChain(SPEC)
    other = fork(branch, 0)
    gift, payment = depending(branch)
    instead = other.sign(ALICE, Transfer(CAROL.address, 1))
    async with running() as node:
        await node.take(branch.mine([gift, payment]))
        await node.take(other.mine([instead], miner=miner_address(9)), other.mine())
        await followed(node)
        assert node.mempool.drop_reason(gift.id) == "nonce_mismatch"
        for _ in range(RETURNING_HEADS):
            assert node.mempool.returns_later(payment.id) == "insufficient_balance"
            await node.take(other.mine())
            await followed(node)
        assert node.mempool.returns_later(payment.id) == ""
        assert node.mempool.drop_reason(payment.id) == "insufficient_balance"
        assert waiting(node) == set()
