"""Rewards that mature, and who may claim them when."""

import pytest

from engram.primitives.errors import Invalid
from engram.statemachine.receipt import Event
from engram.statemachine.record import u64
from engram.statemachine.records import Maturing, Supply
from engram.statemachine.rules import LOOKUP_MACS, Rules
from engram.statemachine.transactions.claim_rewards import MAX_HEIGHTS, ClaimRewards
from engram.statemachine.transactions.transfer import Transfer
from tests.support.conservation import check_conservation
from tests.support.ledger import Ledger, key

ALICE, BOB = key(1), key(2)


def reward(height: int, amount: int = 1_000) -> Maturing:
    return Maturing(ALICE.address, height, amount)


@pytest.fixture
def ledger() -> Ledger:
    """Alice has rewards that mature at heights 2, 4 and 5."""
    rewards = [reward(height) for height in (2, 4, 5)]
    return Ledger({ALICE: 10**9, BOB: 10**9}, rules=Rules(), records=rewards)


def refusal(ledger: Ledger, payload: ClaimRewards) -> Invalid:
    with pytest.raises(Invalid) as caught:
        ledger.execution().add(ledger.pay(ALICE, payload, max_fee=10**6))
    return caught.value


def test_a_claim_collects_its_whole_range(ledger: Ledger) -> None:
    ledger.skip_to(5)
    before = ledger.state.account(ALICE.address).balance
    receipt = ledger.send(ALICE, ClaimRewards(1, 4))
    assert receipt.events == (Event("rewards_claimed", ALICE.address, (2_000, 2)),)
    assert ledger.state.account(ALICE.address).balance == before + 2_000 - receipt.fee
    assert [ledger.state.find(Maturing, ALICE.address, u64(height)) for height in (2, 4)] == [None, None]
    assert ledger.state.get(Maturing, ALICE.address, u64(5)) == reward(5)


def test_a_reward_is_mature_from_its_height_on(ledger: Ledger) -> None:
    ledger.skip_to(4)
    error = refusal(ledger, ClaimRewards(5, 5))
    assert (error.code, error.expected, error.got) == ("claim_range_invalid", 4, 5)
    ledger.skip_to(5)
    assert ledger.send(ALICE, ClaimRewards(5, 5)).code == ""


def test_a_reward_is_claimed_once(ledger: Ledger) -> None:
    ledger.skip_to(5)
    ledger.send(ALICE, ClaimRewards(2, 5))
    assert ledger.send(ALICE, ClaimRewards(2, 5)).code == "nothing_to_claim"


def test_a_fee_matures_before_the_effect() -> None:
    """Where rewards mature at once, a miner's claim collects the eighth of the fee that it pays itself."""
    ledger = Ledger({ALICE: 10**9}, rules=Rules(maturity_blocks=0, subsidy=0))
    ledger.miner = ALICE.address
    receipt = ledger.send(ALICE, ClaimRewards(1, 1))
    assert receipt.events == (Event("rewards_claimed", ALICE.address, (receipt.fee // 8, 1)),)
    assert ledger.state.account(ALICE.address).balance == 10**9 - receipt.fee + receipt.fee // 8
    ledger.rules = Rules(maturity_blocks=1, subsidy=0)
    receipt = ledger.send(ALICE, ClaimRewards(2, 2))
    assert receipt.code == "nothing_to_claim"
    assert ledger.state.get(Maturing, ALICE.address, u64(3)).amount == receipt.fee // 8


def test_rewards_of_others_stay(ledger: Ledger) -> None:
    ledger.skip_to(5)
    assert ledger.send(BOB, ClaimRewards(2, 5)).code == "nothing_to_claim"
    assert ledger.state.get(Maturing, ALICE.address, u64(2)) == reward(2)


@pytest.fixture
def poor() -> Ledger:
    """Alice has no coin, and rewards of 200,000 that mature at heights 2 and 4."""
    rewards = [reward(height, 200_000) for height in (2, 4)]
    return Ledger({BOB: 10**9}, rules=Rules(), records=[*rewards, Supply(issued=10**9 + 400_000)])


def test_the_first_reward_pays_for_its_claim(poor: Ledger) -> None:
    poor.skip_to(5)
    receipt = poor.send(ALICE, ClaimRewards(2, 5))
    assert receipt.events == (Event("rewards_claimed", ALICE.address, (400_000, 2)),)
    account = poor.state.account(ALICE.address)
    assert (account.balance, account.nonce) == (400_000 - receipt.fee, 1)
    check_conservation(poor.nodes, poor.root)


@pytest.mark.parametrize(("first", "tip"), [(3, 0), (2, 200_000)], ids=["not at the first", "too small"])
def test_no_block_holds_a_claim_whose_fee_nobody_pays(poor: Ledger, first: int, tip: int) -> None:
    poor.skip_to(5)
    with pytest.raises(Invalid) as caught:
        poor.execution().add(poor.pay(ALICE, ClaimRewards(first, 5), tip=tip))
    assert caught.value.code == "insufficient_balance"


def test_balance_and_first_reward_pay_together(poor: Ledger) -> None:
    poor.skip_to(5)
    poor.block(poor.pay(BOB, Transfer(ALICE.address, 7)))
    least = poor.pay(ALICE, ClaimRewards(2, 2), tip=200_000).max_fee - 200_000
    poor.block(poor.pay(ALICE, ClaimRewards(2, 2), tip=200_007 - least))
    assert poor.state.account(ALICE.address).balance == 0
    check_conservation(poor.nodes, poor.root)


@pytest.mark.parametrize(("first", "last"), [(3, 2), (0, MAX_HEIGHTS), (2**64 - 1, 2**64 - 2)])
def test_ranges_that_cannot_be(first: int, last: int) -> None:
    with pytest.raises(Invalid) as caught:
        ClaimRewards(first, last).check(Rules())
    assert caught.value.code == "claim_range_invalid"


def test_a_claim_pays_for_every_height_it_looks_at(ledger: Ledger) -> None:
    ledger.skip_to(300)
    long = ledger.pay(BOB, ClaimRewards(10, 9 + MAX_HEIGHTS))
    assert long.max_fee >= MAX_HEIGHTS * LOOKUP_MACS // ledger.rules.fees.macs_per_spark


def test_subsidies_reach_their_miner(ledger: Ledger) -> None:
    miner = key(9)
    ledger = Ledger({miner: 10**9}, rules=Rules(subsidy=700, maturity_blocks=3))
    ledger.miner = miner.address
    ledger.block()
    ledger.skip_to(4)
    receipt = ledger.send(miner, ClaimRewards(4, 4))
    assert receipt.events[0].values == (700, 1)
    check_conservation(ledger.nodes, ledger.root)
