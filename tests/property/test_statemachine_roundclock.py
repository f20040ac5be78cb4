"""What holds of the round clock whatever the blocks hold, and what it costs to play with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.consensus import chainspec
from engram.statemachine.fees import fee_of
from engram.statemachine.records import RoundClock
from engram.statemachine.roundclock import next_clock
from engram.statemachine.rules import Rules, check_rules
from engram.statemachine.transaction import Cost

RULES = Rules()
COIN = 10**8
ENOUGH = 10**8 * COIN
"""More than all coins of `main`, of which there will be 21 million."""

blocks = st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=40)
"""Runs of light or crowded blocks."""


@st.composite
def some_rules(draw: st.DrawFn) -> Rules:
    most = draw(st.integers(0, 200))
    least, patience = draw(st.integers(0, most)), draw(st.integers(1, 120))
    rules = replace(RULES, max_exponent=most, tick_exponent=least, tick_patience_blocks=patience)
    check_rules(rules)
    return rules


def course(rules: Rules, runs: list[tuple[bool, int]]) -> Iterator[tuple[int, bool, RoundClock, RoundClock]]:
    """Height, whether it is light, and the clock before and after, of each block from genesis on."""
    clock, height = RoundClock(), 0
    for light, count in runs:
        for _ in range(count):
            height += 1
            after = next_clock(rules, clock, height, light=light)
            yield height, light, clock, after
            clock = after


@settings(max_examples=200)
@given(some_rules(), blocks)
def test_the_clock_keeps_its_bounds(rules: Rules, runs: list[tuple[bool, int]]) -> None:
    for height, light, before, after in course(rules, runs):
        assert 0 <= after.exponent <= rules.max_exponent
        assert abs(after.exponent - before.exponent) <= 2
        ticked = after.ticks - before.ticks
        assert ticked in (0, 1)
        assert after.ticked == (height if ticked else before.ticked)
        assert after.ticks <= after.ticked <= height
        if ticked:
            assert light
        if light:
            assert after.exponent <= before.exponent
            assert ticked or after.exponent > rules.tick_exponent
            assert ticked or height - before.ticked < rules.tick_patience_blocks
        else:
            assert after.exponent == min(before.exponent + 1, rules.max_exponent)


@settings(max_examples=50)
@given(blocks)
def test_quiet_blocks_bring_the_clock_back_within_a_hundred(runs: list[tuple[bool, int]]) -> None:
    """From x = 200 they take 94 blocks to reach 12; after that, every block ticks."""
    *_, (height, _, _, clock) = course(RULES, [*runs, (True, 1)])
    for late in range(height + 1, height + 101):
        before, clock = clock, next_clock(RULES, clock, late, light=True)
    assert clock.ticks == before.ticks + 1
    assert clock.exponent == 0 or clock.exponent == before.exponent - 2


@pytest.mark.parametrize("crowded", [2, 5, 20])
def test_congestion_that_never_ends_slows_the_clock_a_hundredfold_and_no_more(crowded: int) -> None:
    """So many crowded blocks and one light one, in turn: one light block in a hundred blocks ticks."""
    runs = [(False, 40), *[(False, crowded), (True, 1)] * 200]
    ticks = [height for height, _, before, after in course(RULES, runs) if after.ticks > before.ticks]
    gaps = [late - early for early, late in pairwise(ticks)]
    assert gaps
    assert 100 <= min(gaps) <= max(gaps) <= 100 + crowded


@cache
def full_price(exponent: int) -> int:
    """What a block full of bytes is charged on `main`."""
    rules = chainspec.main().rules
    return fee_of(rules.fees, Cost(size_bytes=rules.max_body_bytes), exponent)


def price_of_a_window(share: float, ticks: int, seed: int) -> int:
    """Sparks for a miner who keeps somebody out for so many ticks by filling everybody else's blocks.

    The miner's own blocks are empty, so they tick as soon as the base allows it.
    """
    rules, rng = chainspec.main().rules, random.Random(seed)
    clock, height, paid = RoundClock(), 0, 0
    while clock.ticks < ticks and paid < ENOUGH:
        height += 1
        own = rng.random() < share
        paid += 0 if own else full_price(clock.exponent)
        clock = next_clock(rules, clock, height, light=own)
    return paid


@pytest.mark.parametrize(
    ("share", "least", "most"),
    [(0.4, 15, 30), (0.3, 60, 160), (0.2, 10**8, 10**12)],
    ids=["40 %", "30 %", "20 %"],
)
def test_what_it_costs_a_miner_to_keep_somebody_out_of_the_shortest_window(
    share: float, least: int, most: int
) -> None:
    """In coins. docs/protocol/chain.md quotes these numbers."""
    window = chainspec.main().rules.min_window_ticks
    coins = median(price_of_a_window(share, window, seed) for seed in range(400)) / COIN
    assert least <= coins <= most


def test_what_it_costs_to_stop_or_to_slow_the_clock() -> None:
    """With blocks that are just not light, which cost half of a full one."""
    halves = [full_price(exponent) / 2 / COIN for exponent in range(101)]
    assert [round(sum(halves[:blocks])) for blocks in (21, 100)] == [18, 218_760]
    assert 0.6 < (halves[13] + halves[14]) / 3 < 0.75, "for a block of: two of these, then a light one"
    assert full_price(200) / COIN > 10**9
