"""Receipts say what a transaction did; every node computes them, and the block's header commits to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from engram.primitives.types import U8, U64, Hash, Range, Size, Text

EventValue = Annotated[int, Range(-(2**63), 2**64 - 1)]


class Status(IntEnum):
    """Whether a transaction did what it asked for. If it FAILED, only its fee and penalties were taken."""

    OK = 0
    FAILED = 1


@dataclass(frozen=True)
class Event:
    """One thing that happened, for those who follow the chain."""

    name: Text
    """What happened, in snake case."""
    subject: Annotated[bytes, Size(0, 64)]
    """Id of what it happened to: a round, a model, an address."""
    values: Annotated[tuple[EventValue, ...], Size(0, 65536)] = ()
    text: Annotated[tuple[Text, ...], Size(0, 16)] = ()


@dataclass(frozen=True)
class Receipt:
    """The outcome of one transaction."""

    txid: Hash
    status: U8
    code: Text
    """Why it failed; empty if it did not."""
    fee: U64
    macs: U64
    """Multiply-accumulates that it needed room for; they count against the block's budget."""
    events: Annotated[tuple[Event, ...], Size(0, 1024)] = ()
