"""How epochs of rounds are told to people, who count from 1. Records, RPC and JSON count from 0."""

from __future__ import annotations

from typing import Final

IN_EPOCHS: Final = ("commit", "update")
"""The names of the phases that every epoch has."""


def told_epoch(epoch: int) -> int:
    """The number by which people know an epoch of a record: the first is 1."""
    return epoch + 1


def in_epoch(epoch: int) -> str:
    """The words for an epoch of a record, such as "epoch 1" for the first."""
    return f"epoch {told_epoch(epoch)}"


def phase_and_epoch(phase: str, epoch: int) -> str:
    """The name of a phase, and of one that every epoch has, in which epoch it is."""
    return f"{phase}, {in_epoch(epoch)}" if phase in IN_EPOCHS else phase
