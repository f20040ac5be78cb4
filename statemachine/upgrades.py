"""Which transaction types are in force at a height. The heights themselves stand in the ChainSpec."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engram.statemachine.errors import NotActivated, UpgradeRequired
from engram.statemachine.transactions import TX_TYPES

Upgrades = Iterable[tuple[int, int]]
"""(kind, first height at which a block may hold it)."""

FROM_GENESIS: Final = tuple((kind, 0) for kind in sorted(TX_TYPES))
"""Every type that this software has, in force from the start."""


def check_active(upgrades: Upgrades, kind: int, height: int) -> None:
    """Raises `NotActivated` unless a block at this height may hold this kind."""
    for listed, first in upgrades:
        if listed == kind and first <= height:
            return
    raise NotActivated(got=(kind, height))


def check_upgrades(upgrades: Upgrades, height: int) -> None:
    """Raises `UpgradeRequired` if a kind is in force at this height that this software does not have.

    The node cannot judge blocks from that height on, so it stops until a newer release is installed.
    """
    for kind, first in upgrades:
        if first <= height and kind not in TX_TYPES:
            raise UpgradeRequired(
                f"transaction type {kind} is in force from height {first} on: install a release that has it",
                expected=kind,
                got=sorted(TX_TYPES),
            )
