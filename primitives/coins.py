"""Amounts of sparks as text in coins, for the messages that people read. A coin is 10^8 sparks."""

from __future__ import annotations

from typing import Final

DECIMALS: Final = 8
SPARKS_PER_COIN: Final = 10**DECIMALS


def format_coins(sparks: int) -> str:
    """The shortest decimal text of an amount of sparks in coins."""
    coins, rest = divmod(abs(sparks), SPARKS_PER_COIN)
    return f"{'-' if sparks < 0 else ''}{coins}.{rest:0{DECIMALS}}".rstrip("0").rstrip(".")
