"""Amounts of coins as text and numbers, to and from sparks, exactly. A coin is 10^8 sparks."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from engram.node.amounts import DECIMALS
from engram.node.amounts import SPARKS_PER_COIN as SPARKS_PER_COIN  # reading and writing belong together
from engram.node.amounts import format_coins as format_coins
from engram.participant.errors import AmountInvalid

MAX_SPARKS: Final = 2**64 - 1
Coins = int | float | Decimal | str
"""An amount of coins. A float means the decimal number that Python prints for it."""

_COINS = re.compile(r"([0-9]+)(?:\.([0-9]{1,8}))?")


def parse_coins(text: str) -> int:
    """The sparks of a decimal amount of coins, such as `12` or `0.00000001`.

    Raises `ValueError` for a text that is no such amount, or for more than 2^64 - 1 sparks.
    """
    match = _COINS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an amount of coins: write digits and at most {DECIMALS} decimals")
    sparks = int(match[1]) * SPARKS_PER_COIN + int((match[2] or "").ljust(DECIMALS, "0"))
    if sparks > MAX_SPARKS:
        raise ValueError(f"{text} coins are more than can exist")
    return sparks


def sparks_of(coins: Coins) -> int:
    """The sparks of an amount of coins, which has eight decimals at most.

    Raises `AmountInvalid`, for a negative amount, or for more than eight decimals.
    """
    if isinstance(coins, float):
        coins = Decimal(repr(float(coins)))  # numpy prints its floats in another way
    try:
        return parse_coins(f"{coins:f}" if isinstance(coins, Decimal) else str(coins))
    except ValueError as error:
        raise AmountInvalid(str(error)) from error


def coins_of(sparks: int) -> Decimal:
    """An amount of sparks in coins, exactly."""
    return Decimal(format_coins(sparks))
