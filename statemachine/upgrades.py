"""Which transaction types are in force at a height. The heights themselves stand in the ChainSpec."""

from __future__ import annotations

from collections.abc import Iterable

from engram.statemachine.errors import NotActivated, UpgradeRequired
from engram.statemachine.transactions import FIRST_UPGRADE_KIND, TX_TYPES

Upgrades = Iterable[tuple[int, int]]
"""(kind, height from which it is in force)."""


def activation_height(upgrades: Upgrades, kind: int) -> int | None:
    """First height at which blocks may hold this kind; None if it never comes into force here."""
    for listed, height in upgrades:
        if listed == kind:
            return height
    return 0 if kind < FIRST_UPGRADE_KIND else None


def check_active(upgrades: Upgrades, kind: int, height: int) -> None:
    """Raises `NotActivated` unless a block at this height may hold this kind."""
    first = activation_height(upgrades, kind)
    if first is None or height < first:
        raise NotActivated(expected=first, got=height)


def check_upgrades(upgrades: Upgrades, height: int) -> None:
    """Raises `UpgradeRequired` where the chain uses a kind that this software does not have.

    Such a node cannot judge blocks from that height on: it stops until a newer release is installed.
    """
    for kind, first in upgrades:
        if first <= height and kind not in TX_TYPES:
            raise UpgradeRequired(
                f"transaction type {kind} is in force from height {first} on: install a release that has it",
                expected=kind,
                got=sorted(TX_TYPES),
            )
