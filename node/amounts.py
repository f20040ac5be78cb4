"""Amounts of the chain as text for people: coins, mean losses, accuracies. A coin is 10^8 sparks."""

from __future__ import annotations

from typing import Final

from engram.primitives.coins import DECIMALS as DECIMALS
from engram.primitives.coins import SPARKS_PER_COIN as SPARKS_PER_COIN
from engram.primitives.coins import format_coins as format_coins

Q24: Final = 2**24
NO_WORK: Final = "none: blocks of this chain cost no work"
"""What stands in place of an amount of work where there is none."""


def mean_loss(loss: int, rows: int) -> str:
    """The mean loss in nats a row, from an exact sum in Q24 nats; "-" if no row was scored."""
    return f"{loss / rows / Q24:.4f}" if rows else "-"


def accuracy(correct: int, rows: int) -> str:
    """The percentage of rows that were classified correctly; "-" if no row was scored."""
    return f"{100 * correct / rows:.2f} %" if rows else "-"
