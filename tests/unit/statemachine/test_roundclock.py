"""The round clock: which blocks tick, how the base of fees moves, what the state remembers of it."""

from dataclasses import replace

import pytest

from engram.statemachine.fees import risen
from engram.statemachine.record import u32
from engram.statemachine.records import RecentBlock, RoundClock, Supply
from engram.statemachine.roundclock import is_light, next_clock, round_clock
from engram.statemachine.rules import Rules
from engram.statemachine.transactions.transfer import Transfer
from tests.support.ledger import Ledger, key

ALICE, BOB = key(1), key(2)
RULES = Rules()
PAIRS = replace(RULES, max_block_transactions=3)
"""A block of two transactions is full enough to stop the clock, one of one is not."""


def crowded(ledger: Ledger) -> int:
    """A block of two transfers; returns what both were charged."""
    txs = ledger.pay_each(ALICE, Transfer(BOB.address, 1), Transfer(BOB.address, 2))
    return sum(receipt.fee for receipt in ledger.block(*txs).receipts)


@pytest.mark.parametrize(
    ("clock", "height", "light", "after"),
    [
        (RoundClock(0, 0, 0), 1, True, RoundClock(1, 0, 1)),
        (RoundClock(7, 0, 9), 10, True, RoundClock(8, 0, 10)),
        (RoundClock(7, 1, 9), 10, True, RoundClock(8, 0, 10)),
        (RoundClock(7, 14, 9), 10, True, RoundClock(8, 12, 10)),
        (RoundClock(7, 15, 9), 10, True, RoundClock(7, 13, 9)),
        (RoundClock(7, 15, 9), 108, True, RoundClock(7, 13, 9)),
        (RoundClock(7, 15, 9), 109, True, RoundClock(8, 13, 109)),
        (RoundClock(7, 200, 9), 109, True, RoundClock(8, 198, 109)),
        (RoundClock(7, 0, 9), 10, False, RoundClock(7, 1, 9)),
        (RoundClock(7, 200, 9), 10, False, RoundClock(7, 200, 9)),
        (RoundClock(7, 3, 9), 500, False, RoundClock(7, 4, 9)),
    ],
)
def test_the_next_clock(clock: RoundClock, height: int, light: bool, after: RoundClock) -> None:
    assert next_clock(RULES, clock, height, light=light) == after


@pytest.mark.parametrize(
    ("transactions", "size_bytes", "macs", "light"),
    [
        (0, 0, 0, True),
        (2_048, 2**21, 10**10, True),
        (2_049, 0, 0, False),
        (0, 2**21 + 1, 0, False),
        (0, 0, 10**10 + 1, False),
    ],
)
def test_a_light_block_leaves_half_of_each_budget_free(
    transactions: int, size_bytes: int, macs: int, light: bool
) -> None:
    assert is_light(RULES, transactions, size_bytes, macs) is light


def test_before_the_first_block_the_clock_stands_at_zero() -> None:
    ledger = Ledger({})
    assert round_clock(ledger.state) == RoundClock(0, 0, 0)
    assert (ledger.ctx.tick, ledger.ctx.exponent) == (0, 0)
    ledger.block()
    assert ledger.state.get(RoundClock) == RoundClock(1, 0, 1)


def test_on_a_quiet_chain_ticks_and_heights_advance_together() -> None:
    ledger = Ledger({ALICE: 10**9})
    for height in range(1, 6):
        ledger.send(ALICE, Transfer(BOB.address, 1))
        assert ledger.clock == RoundClock(height, 0, height)


def test_crowded_blocks_let_no_time_pass_and_become_dearer_by_an_eighth_each() -> None:
    ledger = Ledger({ALICE: 10**9}, rules=PAIRS)
    charged = [crowded(ledger) for _ in range(20)]
    assert ledger.clock == RoundClock(0, 20, 0)
    floor = ledger.rules.fees.floor
    assert charged == [2 * risen(floor, exponent) for exponent in range(20)]
    for exponent in (18, 16, 14):
        ledger.block()
        assert ledger.clock == RoundClock(0, exponent, 0)
    ledger.block()
    assert ledger.clock == RoundClock(1, 12, 24)


def test_a_transaction_sees_the_clock_of_the_parent_whatever_its_own_block_does() -> None:
    ledger = Ledger({ALICE: 10**9}, rules=PAIRS)
    crowded(ledger)
    receipt = ledger.send(ALICE, Transfer(BOB.address, 1))
    assert receipt.fee == risen(ledger.rules.fees.floor, 1)
    assert ledger.clock == RoundClock(1, 0, 2)


def test_the_ring_remembers_the_blocks_that_ticked() -> None:
    ledger = Ledger({ALICE: 10**9}, rules=replace(PAIRS, tick_ring=20))
    ticking = [ledger.parent]
    for number in range(30):
        if number % 3:
            ledger.block()
            ticking.append(ledger.parent)
        else:
            crowded(ledger)
    ledger.block()
    assert ledger.clock.ticks == len(ticking)
    for tick in range(len(ticking) - 20, len(ticking)):
        slot = tick % 20
        assert ledger.state.get(RecentBlock, u32(slot)) == RecentBlock(slot, tick, ticking[tick])


def test_seven_eighths_of_what_a_block_charges_are_gone() -> None:
    ledger = Ledger({ALICE: 10**9}, rules=PAIRS)
    charged = sum(crowded(ledger) for _ in range(10))
    burned = ledger.state.get(Supply).burned
    assert charged * 7 // 8 <= burned <= charged * 7 // 8 + 20
