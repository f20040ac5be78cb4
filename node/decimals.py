"""Integers of JSON-RPC that can be beyond 2^53 - 1, which JavaScript and others would round: they are text.

It depends on the field alone, never on its value: a field of one of these names holds decimal text, and so do
the integers in a list of this name. All other integers are numbers; they count things that take time or room,
such as heights, ticks, milliseconds, nonces and bytes. The node turns them into text when it answers, the
client turns them back. In the other direction, a node takes a whole number in both forms.
"""

from __future__ import annotations

import re
from typing import Any, Final

_SPARKS: Final = (
    "amount",
    "author_bond",
    "balance",
    "bond",
    "bond_burned",
    "bounty",
    "burned",
    "carried",
    "deposit",
    "fee",
    "floor",
    "funds",
    "issued",
    "least",
    "max_fee",
    "min_author_bond",
    "min_entry",
    "min_opener_bond",
    "min_witness_bond",
    "minimum",
    "opener_bond",
    "paid",
    "per_byte",
    "per_record",
    "pot",
    "received",
    "reward",
    "sent",
    "subsidy",
    "tip",
    "upload_deposit",
    "witness_fee",
)
_MACS: Final = (
    "macs",
    "macs_per_row",
    "macs_per_spark",
    "max_block_macs",
    "max_macs_per_row",
    "max_update_macs",
)
_LOSSES: Final = (
    "baseline",
    "gained",
    "loss",
    "lost",
    "lost_ppm",
    "old_loss",
    "points",
    "sealed_loss",
    "squares",
    "validation_loss",
)
_OTHERS: Final = ("chain_id", "expected", "first", "got", "last", "values", "work")
"""`first` and `last` of a claim are chosen by its sender, `values` by the kind of an event; `expected` and
`got` stand in errors and can be anything.
"""
DECIMAL_FIELDS: Final = frozenset((*_SPARKS, *_MACS, *_LOSSES, *_OTHERS))
DECIMAL_PATTERN: Final = "^-?(0|[1-9][0-9]*)$"
_DECIMAL: Final = re.compile("-?(?:0|[1-9][0-9]{0,79})")
"""No number of the chain has more than 256 bits."""


def with_decimals(value: Any, name: str = "") -> Any:
    """A result as the node sends it. `name` is that of the field in which it stands."""
    if isinstance(value, dict):
        return {key: with_decimals(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_decimals(item, name) for item in value]
    return str(value) if name in DECIMAL_FIELDS and type(value) is int else value


def with_integers(value: Any, name: str = "") -> Any:
    """The same result as the node made it."""
    if isinstance(value, dict):
        return {key: with_integers(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [with_integers(item, name) for item in value]
    return int(value) if name in DECIMAL_FIELDS and is_decimal(value) else value


def is_decimal(value: object) -> bool:
    """Whether a JSON value is the decimal text of an integer of at most 80 digits."""
    return isinstance(value, str) and _DECIMAL.fullmatch(value) is not None
