"""The index of accounts tells what a scan of the chain's blocks finds, whatever branches come and win.

Amounts are held against the state itself, too: what came in and went out makes the balance.
"""

import random
from collections.abc import Iterator

import pytest

from engram.node.chain.importer import ImportStatus
from engram.node.chain.pruning import DEFAULT_DEPTHS, Depths
from engram.node.history.index import AccountIndex, HistoryPlace
from engram.node.storage.schema import ACCOUNT
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives.keys import PrivateKey, address
from engram.primitives.types import Address
from engram.statemachine.records import Maturing
from engram.statemachine.rules import subsidy_at
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions import decode_payload
from engram.statemachine.transactions.claim_rewards import ClaimRewards
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import COIN, MemoryChain
from tests.support.node_chain import ALICE, BOB, CAROL, LATE_MS, SPEC, Opened, fork, memory_store, opened

PEOPLE = (ALICE, BOB, CAROL)
Told = tuple[int, int | None, int, int, int, int, bytes]
"""Height, index, what came in, what went out, the fee, the reward, and the other account."""


class Life:
    """Branches that grow at random, a node that is told of them, and its index."""

    def __init__(self, seed: int, node: Opened) -> None:
        self.rng = random.Random(seed)
        self.node = node
        self.head = node.start.head
        self.branches = [MemoryChain(SPEC)]
        self.index = AccountIndex(node.store, SPEC)
        self.index.begin(self.head)

    def grow(self) -> None:
        """A block on one of the branches, or first a new branch."""
        if self.rng.random() < 0.2:
            old = self.rng.choice(self.branches)
            best = [each for each in self.branches if each.tip.id == self.head.id][:1]
            others = [each for each in self.branches if each not in best][-1:]
            self.branches = [*others, *best, fork(old, max(0, old.height - self.rng.randint(1, 5)))]
        branch = self.branches[-1] if self.rng.random() < 0.5 else self.rng.choice(self.branches)
        found = [self.transaction(branch, person) for person in PEOPLE if self.rng.random() < 0.4]
        block = branch.mine(found, miner=self.rng.choice(PEOPLE).address)
        done = self.node.importer.import_block(block, self.head, LATE_MS)
        self.head = done.head
        self.node.importer.prune(self.head.height)
        if done.answer.outcome is ImportStatus.PARKED:  # its parent was deleted with a losing branch
            self.branches = [each for each in self.branches if each is not branch]

    def transaction(self, branch: MemoryChain, person: PrivateKey) -> Transaction:
        if self.rng.random() < 0.3:
            first = self.rng.randint(1, branch.height + 1)
            return branch.sign(person, ClaimRewards(first, branch.height + 1), tip=self.rng.randint(0, 9))
        stranger = bytes([self.rng.randint(1, 3)] * 20)
        target = self.rng.choice([stranger, *(each.address for each in PEOPLE)])
        return branch.sign(person, Transfer(target, self.rng.randint(1, COIN)), tip=self.rng.randint(0, 9))

    def step(self) -> bool:
        """One step of the index, which begins anew if its branch was deleted."""
        if self.index.ends is None:
            while self.index.drop():
                pass
            self.index.begin(self.head)
        return self.index.step(self.head) or self.index.ends is None

    def finish(self) -> None:
        while self.step():
            pass

    def line(self) -> list[BlockRef]:
        return [self.node.store.get_ref(block) for _, block in self.node.store.canonical(1)]


def scanned(store: ChainStore, line: list[BlockRef], account: Address) -> list[Told]:
    """What the blocks of a line say of an account, the latest first, with the rules written out once more."""
    found: list[Told] = [
        (0, number, given.amount, 0, 0, 0, b"")
        for number, given in enumerate(SPEC.allocations)
        if given.address == account and line and line[0].height == 1
    ]
    for ref in line:
        height, reward = ref.height, subsidy_at(SPEC.rules, ref.height)
        for index, (tx, receipt) in enumerate(
            zip(store.get_block(ref).transactions, store.receipts(ref), strict=True)
        ):
            reward += (receipt.fee - tx.tip) // 8 + tx.tip
            payload, sends = decode_payload(tx), address(tx.sender) == account
            gets = isinstance(payload, Transfer) and payload.target == account
            if not sends and not gets:
                continue
            came = went = 0
            other = b""
            if isinstance(payload, Transfer):
                came, went = payload.amount * gets, payload.amount * sends
                other = payload.target if sends else address(tx.sender)
            elif receipt.status == 0:
                came = receipt.events[0].values[0]
            found.append((height, index, came, went, receipt.fee * sends, 0, other))
        if ref.header.miner == account:
            found.append((height, None, 0, 0, 0, reward, b""))
    return found[::-1]


def paged(index: AccountIndex, account: Address, size: int) -> Iterator[Told]:
    """The whole history of an account, read page by page."""
    before: HistoryPlace | None = None
    while True:
        page = index.page(account, size, before)
        assert page is not None
        assert len(page.entries) <= size
        for each in page.entries:
            entry = each.entry
            assert each.block.height == each.place.height
            yield (
                each.place.height,
                each.place.index,
                entry.received,
                entry.sent,
                entry.fee,
                entry.reward,
                entry.other,
            )
        if not page.more:
            return
        before = page.entries[-1].place


def known_accounts() -> list[Address]:
    return [*(person.address for person in PEOPLE), *(bytes([number] * 20) for number in (1, 2, 3))]


@pytest.mark.parametrize("depths", [DEFAULT_DEPTHS, Depths(3, 30)], ids=["kept", "pruned"])
@pytest.mark.parametrize("seed", range(3))
def test_a_history_is_what_a_scan_finds(seed: int, depths: Depths) -> None:
    """With losing branches that stay, and with such as are deleted while the index still stands on them."""
    with opened(memory_store(), depths=depths) as node:
        life = Life(seed, node)
        reorganised = False
        for _ in range(60):
            before = life.head
            life.grow()
            reorganised |= life.head.id != before.id and life.head.parent != before.id
            if life.rng.random() < 0.3:
                life.step()
        life.finish()
        assert reorganised, "choose another seed"
        line = life.line()
        state = State(node.store, life.head.state_root)
        for account in known_accounts():
            told = list(paged(life.index, account, 1 + seed * 3))
            assert told == scanned(node.store, line, account)
            flow = sum(came - went - fee for _, _, came, went, fee, _, _ in told)
            assert state.account(account).balance == flow
            rewards = {h + SPEC.rules.maturity_blocks: reward for h, _, _, _, _, reward, _ in told if reward}
            for height, reward in rewards.items():
                held = state.find(Maturing, account, height.to_bytes(8, "big"))
                assert held is None or held.amount == reward
        assert sum(1 for _ in node.store.database.iterate(ACCOUNT)) == sum(
            len(scanned(node.store, line, account)) for account in known_accounts()
        ), "nothing is left of blocks that have lost"


@pytest.mark.parametrize("seed", range(3))
def test_an_index_that_begins_late_tells_the_latest_first(seed: int) -> None:
    with opened(memory_store()) as node:
        life = Life(100 + seed, node)
        while life.index.drop():
            pass
        for _ in range(30):
            life.grow()
        life.index = AccountIndex(node.store, SPEC)
        life.index.begin(life.head)
        for _ in range(40):
            if life.rng.random() < 0.4:
                life.grow()
            if life.rng.random() < 0.7:
                life.step()
            page = life.index.page(ALICE.address, 1_000, None)
            if page is None:
                continue
            line = [ref for ref in life.line() if page.below.height < ref.height <= page.top.height]
            assert [(each.place.height, each.place.index) for each in page.entries] == [
                row[:2] for row in scanned(node.store, line, ALICE.address)
            ]
            life.index = AccountIndex(node.store, SPEC)
            assert life.index.open(), "it is taken up where it was left"
        life.finish()
        for account in known_accounts():
            assert list(paged(life.index, account, 7)) == scanned(node.store, life.line(), account)
