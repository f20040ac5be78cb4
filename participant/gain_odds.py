"""How likely a good update proves its gain on so many rows.

The chain asks that the sum of the rows' gains is z times its scatter, the root of the sum of their squares
(`statemachine.rounds.judging`). If all of n rows gain alike, that quotient is the root of n. A row that the
update gets wrong costs more than a right one gains, the more the surer the update was: so a network that is
right nearly always may fail on few rows.
"""

from __future__ import annotations

from typing import Final

from engram.participant.gate_odds import binomial_cdf

RIGHT: Final = 0.9
"""The share of rows that the update of `proof_chance` gets right."""
COST: Final = 3
"""What a wrong row costs it, in gains of a right row: it is sure of itself where it is wrong."""
SURE: Final = 0.95
"""How often that update is to prove its gain where `rows_to_prove` are enough."""
MANY_ROWS: Final = 2**22
"""More rows than a round's parts have."""


def proof_chance(rows: int, z_squared: int) -> float:
    """The chance that an update which gets `RIGHT` of all rows right proves its gain on so many of them."""
    low, high = 0, rows + 1  # the fewest right rows that prove it; more of them prove it, too
    while low < high:
        middle = (low + high) // 2
        if _proves(middle, rows - middle, z_squared):
            high = middle
        else:
            low = middle + 1
    return float(1 - binomial_cdf(rows, RIGHT)[low - 1]) if 0 < low <= rows else float(low == 0)


def rows_to_prove(z_squared: int) -> int:
    """So many rows that the update of `proof_chance` proves its gain on them in `SURE` of rounds."""
    low, high = 1, 2
    while proof_chance(high, z_squared) < SURE and high < MANY_ROWS:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if proof_chance(middle, z_squared) >= SURE:
            high = middle
        else:
            low = middle + 1
    return high


def _proves(right: int, wrong: int, z_squared: int) -> bool:
    gain = right - COST * wrong
    return gain > 0 and gain**2 >= z_squared * (right + COST**2 * wrong)
