"""Units on the command line: coins (`participant/coins.py` reads and writes them), mean losses, accuracies.

A coin is 10^8 sparks. The chain and --json use sparks and sums of losses over rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from engram.node.amounts import NO_WORK as NO_WORK
from engram.node.amounts import Q24 as Q24
from engram.node.amounts import accuracy as accuracy
from engram.node.amounts import mean_loss as mean_loss
from engram.participant.coins import format_coins, parse_coins

MONEY: Final = frozenset(
    {
        "amount",
        "author_bond",
        "bond",
        "bounty",
        "fee",
        "funds",
        "max_fee",
        "minimum",
        "opener_bond",
        "paid",
        "pot",
        "tip",
        "witness_fee",
    }
)
"""Names of the JSON fields that hold sparks."""
HAS_WORK: Final = "has_work"
_OF_WORK: Final = frozenset({"work", "target"})
"""Names of the fields of headers that say nothing on a chain without work."""


def in_coins(value: Any) -> Any:
    """A copy of a JSON value in which every field with a name of `MONEY`, at any depth, is in coins."""
    match value:
        case dict():
            return {
                name: format_coins(inner) if name in MONEY and isinstance(inner, int) else in_coins(inner)
                for name, inner in value.items()
            }
        case list():
            return [in_coins(item) for item in value]
        case _:
            return value


def format_bytes(count: int) -> str:
    """A number of bytes for people, with four digits at most: 812 B, 4.2 KiB, 317 MiB."""
    if count < 1024:
        return f"{count} B"
    value, units = count / 1024, iter(("KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    while value >= 1000 and unit != "PiB":
        value, unit = value / 1024, next(units)
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def format_duration(seconds: float) -> str:
    """A length of time for people, in its two largest units: 3 s, 2 min 5 s, 4 h 0 min, 12 d 3 h."""
    minutes, rest = divmod(int(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class CoinsType(click.ParamType[int]):
    """A click parameter for a decimal amount of coins; its value is in sparks."""

    name = "coins"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The amount in sparks. A whole number, such as a default, is taken as sparks already."""
        if isinstance(value, int):
            return value
        try:
            return parse_coins(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


COINS: Final = CoinsType()


def without_work(shown: Mapping[str, Any], *, has_work: bool) -> dict[str, Any]:
    """A header or a head for people: on a chain without work, its work and its target are said to be none.

    The numbers that stand there only count blocks, and nobody should take them for what a forger has to pay.
    """
    told = {name: value for name, value in shown.items() if name != HAS_WORK}
    return told if has_work else {name: NO_WORK if name in _OF_WORK else told[name] for name in told}


def node_fields(info: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What `node_info` tells, for people."""
    head = without_work(info["head"], has_work=info[HAS_WORK])
    return [(name, head if name == "head" else value) for name, value in info.items() if name != HAS_WORK]
