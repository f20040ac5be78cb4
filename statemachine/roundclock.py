"""The clock of rounds: which blocks tick, and the base exponent of fees that decides about it.

Deadlines are counted in ticks and not in blocks, so that nobody can let one pass by filling blocks. A full
block does not let time pass, and it makes the next one dearer, by an eighth.
"""

from __future__ import annotations

from dataclasses import replace

from engram.primitives.types import Hash
from engram.statemachine.record import u32
from engram.statemachine.records import RecentBlock, RoundClock
from engram.statemachine.rules import Rules
from engram.statemachine.state import State


def round_clock(state: State) -> RoundClock:
    """The clock after the last block of this state."""
    return state.find(RoundClock) or RoundClock()


def block_of_tick(state: State, rules: Rules, tick: int) -> Hash:
    """The id of the block that made a tick, which is one of the last `tick_ring`, and not the running one."""
    block = state.get(RecentBlock, u32(tick % rules.tick_ring))
    assert block.tick == tick, "rounds ask for ticks that the ring still holds; `begin_block` adds the last"
    return block.block


def next_clock(rules: Rules, clock: RoundClock, height: int, *, light: bool) -> RoundClock:
    """The clock after the block at `height`; `clock` is the one after its parent.

    A block that is not light raises the exponent by 1. A light one lowers it by 2. Then it ticks, if the
    exponent is at most `tick_exponent`, or if it is the last of `tick_patience_blocks` blocks of which none
    ticked.
    """
    if not light:
        return replace(clock, exponent=min(clock.exponent + 1, rules.max_exponent))
    exponent = max(clock.exponent - 2, 0)
    if exponent <= rules.tick_exponent or height - clock.ticked >= rules.tick_patience_blocks:
        return RoundClock(clock.ticks + 1, exponent, height)
    return replace(clock, exponent=exponent)


def is_light(rules: Rules, transactions: int, size_bytes: int, macs: int) -> bool:
    """Whether a block that holds so much leaves at least half of each of its budgets free."""
    return (
        2 * transactions <= rules.max_block_transactions
        and 2 * size_bytes <= rules.max_body_bytes
        and 2 * macs <= rules.max_block_macs
    )
