"""Balances, maturing rewards, burning: nothing appears or vanishes."""

import pytest

from engram.statemachine import money
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.record import u64
from engram.statemachine.records import Account, Maturing, Supply
from engram.statemachine.rules import Rules, subsidy_at, total_subsidy
from engram.statemachine.state import State
from tests.support.ledger import MINER, Ledger, key

ALICE, BOB = key(1), key(2)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger({ALICE: 100})


@pytest.fixture
def state(ledger: Ledger) -> State:
    return ledger.state


def test_move(state: State) -> None:
    money.move(state, ALICE.address, BOB.address, 30)
    assert (state.account(ALICE.address).balance, state.account(BOB.address).balance) == (70, 30)


def test_moving_to_oneself_changes_nothing(state: State) -> None:
    money.move(state, ALICE.address, ALICE.address, 30)
    assert state.account(ALICE.address).balance == 100


def test_take_refuses_more_than_there_is(state: State) -> None:
    with pytest.raises(InsufficientBalance) as caught:
        money.take(state, ALICE.address, 101)
    assert (caught.value.expected, caught.value.got) == (101, 100)
    assert state.changes() == {}


def test_balances_keep_the_nonce(state: State) -> None:
    state.put(Account(ALICE.address, 100, nonce=4))
    money.take(state, ALICE.address, 1)
    money.give(state, ALICE.address, 3)
    assert state.account(ALICE.address) == Account(ALICE.address, 102, 4)


def test_giving_nothing_makes_no_account(state: State) -> None:
    money.give(state, BOB.address, 0)
    assert state.find(Account, BOB.address) is None


def test_rewards_of_one_block_add_up(ledger: Ledger, state: State) -> None:
    ctx = ledger.ctx
    money.mature(state, ctx, MINER, 5)
    money.mature(state, ctx, MINER, 6)
    height = ctx.height + ledger.rules.maturity_blocks
    assert state.get(Maturing, MINER, u64(height)) == Maturing(MINER, height, 11)


@pytest.mark.parametrize(("price", "tip", "reward"), [(0, 0, 0), (7, 0, 0), (8, 0, 1), (23, 5, 7)])
def test_a_miner_gets_an_eighth_and_the_tip(
    ledger: Ledger, state: State, price: int, tip: int, reward: int
) -> None:
    money.pay_work(state, ledger.ctx, price, tip)
    height = ledger.ctx.height + ledger.rules.maturity_blocks
    found = state.find(Maturing, MINER, u64(height))
    assert (found.amount if found else 0) == reward
    assert state.get(Supply).burned == price + tip - reward


def test_what_burns_is_counted(state: State) -> None:
    money.burn(state, 7)
    money.burn(state, 0)
    assert state.get(Supply) == Supply(issued=100, burned=7)


def test_subsidy_halves() -> None:
    rules = Rules(subsidy=100, halving_blocks=10)
    assert [subsidy_at(rules, height) for height in (0, 1, 9, 10, 19, 20, 79)] == [0, 100, 100, 50, 50, 25, 0]


def test_total_subsidy_is_the_sum_over_all_blocks() -> None:
    rules = Rules(subsidy=100, halving_blocks=10)
    assert total_subsidy(rules) == sum(subsidy_at(rules, height) for height in range(1_000))
