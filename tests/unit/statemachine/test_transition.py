"""Applying transactions and bodies: fees, failures, budgets, rewards."""

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import pytest

from engram.primitives.codec import encode
from engram.primitives.types import U32, U64, Address, Hash
from engram.statemachine import errors, money
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event, Status
from engram.statemachine.record import u32, u64
from engram.statemachine.records import Maturing, RecentBlock, Supply
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome, TxPayload
from engram.statemachine.transactions import TX_TYPES
from engram.statemachine.transactions.transfer import Transfer
from engram.statemachine.transition import apply_transaction
from tests.support.conservation import check_conservation
from tests.support.ledger import MINER, Ledger, key

ALICE, BOB = key(1), key(2)
START = 10**10


@dataclass(frozen=True)
class Probe:
    """A transaction type that does what the test asks for."""

    KIND: ClassVar[int] = 60_000
    NAME: ClassVar[str] = "probe"
    macs: U64 = 0
    mishap: U32 = 0

    def check(self, rules: Rules) -> None:
        return None

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        return Cost(macs=self.macs)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        money.take(state, sender, 1_000)
        money.burn(state, 1_000)
        match self.mishap:
            case 1:
                raise errors.UnknownBlob(got=txid)
            case 2:
                return Outcome((Event("punished", sender, (1_000,)),), failed="loss_mismatch")
            case 3:
                raise errors.MissingBlob(got=txid)
            case 4:
                raise AssertionError("a bug")
        return Outcome((Event("probed", sender),), blobs={txid: b"bytes"})


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> None:
    known = cast("dict[int, type[TxPayload]]", TX_TYPES)
    monkeypatch.setitem(known, Probe.KIND, Probe)


def make_ledger(rules: Rules | None = None) -> Ledger:
    ledger = Ledger({ALICE: START, BOB: START}, rules=rules)
    ledger.active = (*ledger.active, (Probe.KIND, 0))
    return ledger


def burned_of(minimum: int) -> int:
    return minimum - minimum // 8


@pytest.fixture
def ledger(types: None) -> Ledger:
    return make_ledger()


def test_a_success_pays_its_fee_and_uses_its_nonce(ledger: Ledger) -> None:
    tx = ledger.pay(ALICE, Probe())
    result = ledger.block(tx)
    receipt = result.receipts[0]
    assert (receipt.txid, receipt.status, receipt.code, receipt.fee) == (tx.id, Status.OK, "", tx.max_fee)
    assert receipt.events == (Event("probed", ALICE.address),)
    account = ledger.state.account(ALICE.address)
    assert (account.balance, account.nonce) == (START - tx.max_fee - 1_000, 1)
    assert result.blobs == {tx.id: b"bytes"}


def test_a_raised_failure_keeps_fee_and_nonce_only(ledger: Ledger) -> None:
    tx = ledger.pay(ALICE, Probe(mishap=1))
    result = ledger.block(tx)
    receipt = result.receipts[0]
    assert (receipt.status, receipt.code, receipt.events) == (Status.FAILED, "unknown_blob", ())
    account = ledger.state.account(ALICE.address)
    assert (account.balance, account.nonce) == (START - tx.max_fee, 1)
    assert ledger.state.get(Supply).burned == burned_of(tx.max_fee)
    assert result.blobs == {}


def test_a_returned_failure_keeps_its_penalties(ledger: Ledger) -> None:
    tx = ledger.pay(ALICE, Probe(mishap=2))
    receipt = ledger.block(tx).receipts[0]
    assert (receipt.status, receipt.code) == (Status.FAILED, "loss_mismatch")
    assert receipt.events == (Event("punished", ALICE.address, (1_000,)),)
    assert ledger.state.account(ALICE.address).balance == START - tx.max_fee - 1_000
    assert ledger.state.get(Supply).burned == 1_000 + burned_of(tx.max_fee)


@pytest.mark.parametrize(("mishap", "error"), [(3, errors.MissingBlob), (4, AssertionError)])
def test_what_is_no_verdict_comes_through(ledger: Ledger, mishap: int, error: type[Exception]) -> None:
    state = ledger.state
    with pytest.raises(error):
        apply_transaction(state, ledger.ctx, ledger.pay(ALICE, Probe(mishap=mishap)))
    assert state.changes() == {}


def test_the_state_stays_until_the_child_is_absorbed(ledger: Ledger) -> None:
    state, tx = ledger.state, ledger.pay(ALICE, Probe(macs=77))
    after, receipt, cost = apply_transaction(state, ledger.ctx, tx)
    assert state.changes() == {}
    assert (cost.macs, cost.size_bytes, receipt.macs) == (77, len(encode(tx)), 77)
    state.absorb(after)
    assert state.account(ALICE.address).nonce == 1


def test_the_miner_gets_subsidy_tips_and_an_eighth_of_the_minimum_when_they_mature(ledger: Ledger) -> None:
    txs = [*ledger.pay_each(ALICE, Probe(), Probe(mishap=1)), ledger.pay(BOB, Probe(mishap=2), tip=77)]
    receipts = ledger.block(*txs).receipts
    height = 1 + ledger.rules.maturity_blocks
    reward = ledger.state.get(Maturing, MINER, u64(height))
    minima = [receipt.fee - tx.tip for receipt, tx in zip(receipts, txs, strict=True)]
    assert reward.amount == ledger.rules.subsidy + sum(minimum // 8 for minimum in minima) + 77
    burned = sum(minimum - minimum // 8 for minimum in minima)
    assert ledger.state.get(Supply).burned == burned + 2 * 1_000, "two of the probes burned 1,000"
    check_conservation(ledger.nodes, ledger.root)


def test_transactions_see_those_before_them(ledger: Ledger) -> None:
    poor = key(3)
    gift = ledger.pay(ALICE, Transfer(poor.address, 10**6))
    spent = ledger.pay(poor, Transfer(BOB.address, 5))
    assert [receipt.code for receipt in ledger.block(gift, spent).receipts] == ["", ""]
    with pytest.raises(errors.InsufficientBalance):
        make_ledger().block(spent, gift)


def test_a_body_with_one_bad_transaction_is_bad(ledger: Ledger) -> None:
    good = ledger.pay(ALICE, Probe())
    with pytest.raises(errors.NonceMismatch):
        ledger.block(good, good)


def test_a_builder_goes_on_after_a_refusal(ledger: Ledger) -> None:
    first, second = ledger.pay_each(ALICE, Probe(), Probe())
    execution = ledger.execution()
    execution.add(first)
    with pytest.raises(errors.NonceMismatch):
        execution.add(first)
    execution.add(second)
    assert execution.finish().root == ledger.block(first, second).root


def test_the_ring_remembers_the_parent(types: None) -> None:
    ledger = make_ledger(Rules(tick_ring=20))
    parents = {}
    for height in range(25):
        parents[height] = ledger.parent
        ledger.block()
    for height in range(5, 25):
        slot = height % 20
        assert ledger.state.get(RecentBlock, u32(slot)) == RecentBlock(slot, height, parents[height])


def test_the_body_budget_in_bytes(types: None) -> None:
    size = len(encode(make_ledger().pay(ALICE, Probe())))
    ledger = make_ledger(Rules(max_body_bytes=2 * size))
    first, second, third = ledger.pay_each(ALICE, Probe(), Probe(), Probe())
    with pytest.raises(errors.BlockBytesExceeded) as caught:
        ledger.block(first, second, third)
    assert (caught.value.expected, caught.value.got) == (0, size)
    assert ledger.block(first, second).size_bytes == 2 * size


def test_the_block_budget_in_transactions(types: None) -> None:
    ledger = make_ledger(Rules(max_block_transactions=2))
    crowd = ledger.pay_each(ALICE, Probe(), Probe(), Probe())
    with pytest.raises(errors.BlockTransactionsExceeded) as caught:
        ledger.block(*crowd)
    assert (caught.value.expected, caught.value.got) == (2, 3)
    assert len(ledger.block(*crowd[:2]).receipts) == 2


def test_the_block_budget_in_macs(types: None) -> None:
    ledger = make_ledger(Rules(max_block_macs=1_000))
    fits, exceeds = ledger.pay(ALICE, Probe(macs=600)), ledger.pay(BOB, Probe(macs=401))
    with pytest.raises(errors.BlockMacsExceeded) as caught:
        ledger.block(fits, exceeds)
    assert (caught.value.expected, caught.value.got) == (400, 401)
    assert ledger.block(fits, ledger.pay(BOB, Probe(macs=400))).macs == 1_000


def test_a_chain_that_went_on_without_us(ledger: Ledger) -> None:
    ledger.active = (*ledger.active, (60_001, 3))
    ledger.skip_to(3)
    with pytest.raises(errors.UpgradeRequired) as caught:
        ledger.block()
    assert (caught.value.code, caught.value.expected) == ("upgrade_required", 60_001)


def test_events_come_in_the_order_of_transactions(ledger: Ledger) -> None:
    result = ledger.block(ledger.pay(ALICE, Probe()), ledger.pay(BOB, Probe(mishap=2)))
    assert [event.name for event in result.events] == ["probed", "punished"]


def test_the_same_body_gives_the_same_everything(ledger: Ledger) -> None:
    txs = [ledger.pay(ALICE, Probe()), ledger.pay(BOB, Transfer(MINER, 3))]
    twin = make_ledger()
    assert ledger.block(*txs) == twin.block(*txs)


def test_another_miner_is_another_state(ledger: Ledger) -> None:
    state, ctx = ledger.state, ledger.ctx
    tx = ledger.pay(ALICE, Probe())
    one = apply_transaction(state, ctx, tx)[0].commit()
    other = apply_transaction(state, replace(ctx, miner=BOB.address), tx)[0].commit()
    assert one != other
