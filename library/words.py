"""Puts words in place of the numbers and zeros of RPC results: for `--json`, and for programs.

A state, a kind or a policy becomes the word that people read: `decided` and not 1. An id of zeros, which
names nothing, becomes null. `engram rpc` prints results as the node gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import Any, Final

NOTHING: Final = "0" * 64
_MAY_NAME_NOTHING: Final = frozenset(
    {"base", "open_round", "parent", "root", "round", "seed", "statistics", "winner_root"}
)
"""Fields in which an id of zeros says that there is none."""


def in_words(value: Any) -> Any:
    """A copy of a JSON value with words in place of numbers that stand for them, at any depth."""
    if isinstance(value, list | tuple):
        return [in_words(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {name: _said(value, name, inner) for name, inner in value.items()}


def _said(owner: Mapping[str, Any], name: str, value: Any) -> Any:
    if isinstance(value, str):
        return None if value == NOTHING and name in _MAY_NAME_NOTHING else value
    if not isinstance(value, int) or isinstance(value, bool):
        return in_words(value)
    for field, marks, words in _WORDS:
        if field == name and marks <= owner.keys():
            return words().get(value, value)
    return value


def _names(find: Callable[[], type[IntEnum]]) -> Callable[[], dict[int, str]]:
    @cache
    def words() -> dict[int, str]:
        return {int(member): member.name.lower() for member in find()}

    return words


def _round_status() -> type[IntEnum]:
    from engram.statemachine.rounds.records import RoundStatus

    return RoundStatus


def _round_kind() -> type[IntEnum]:
    from engram.statemachine.rounds.records import RoundKind

    return RoundKind


def _claim_status() -> type[IntEnum]:
    from engram.statemachine.rounds.records import ClaimStatus

    return ClaimStatus


def _receipt_status() -> type[IntEnum]:
    from engram.statemachine.receipt import Status

    return Status


def _policy() -> type[IntEnum]:
    from engram.nn.growth import Policy

    return Policy


def _loss_kind() -> type[IntEnum]:
    from engram.nn.loss import LossKind

    return LossKind


def _badge() -> type[IntEnum]:
    from engram.statemachine.records import BadgeKind

    return BadgeKind


@cache
def _transactions() -> dict[int, str]:
    from engram.statemachine.transactions import TX_TYPES

    return {kind: cls.NAME for kind, cls in TX_TYPES.items()}


_WORDS: Final[tuple[tuple[str, frozenset[str], Callable[[], dict[int, str]]], ...]] = (
    ("status", frozenset({"terms"}), _names(_round_status)),
    ("status", frozenset({"fee", "macs", "events"}), _names(_receipt_status)),
    ("status", frozenset({"roots"}), _names(_claim_status)),
    ("round_status", frozenset(), _names(_round_status)),
    ("kind", frozenset({"commitments"}), _names(_round_kind)),
    ("kind", frozenset({"sealed_rows"}), _names(_round_kind)),
    ("kind", frozenset({"max_fee", "tip"}), _transactions),
    ("policy", frozenset(), _names(_policy)),
    ("loss_kind", frozenset(), _names(_loss_kind)),
    ("badge", frozenset(), _names(_badge)),
)
"""Names of fields, what else the object holds in which they stand for these words, and the words."""
