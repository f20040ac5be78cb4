"""Losses and accuracies for people: means and shares of the exact integers of the chain."""

from __future__ import annotations

from typing import Final

Q24: Final = 2**24


def mean_loss(loss: int, rows: int) -> str:
    """Nats a row, of an exact sum in Q24 nats; nothing where no row was scored."""
    return f"{loss / rows / Q24:.4f}" if rows else "-"


def accuracy(correct: int, rows: int) -> str:
    """Percent of the rows that are right; nothing where no row was scored."""
    return f"{100 * correct / rows:.2f} %" if rows else "-"
