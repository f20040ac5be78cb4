"""What a transaction did: receipts, which every node computes and the block's header commits to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from engram.primitives.types import U8, U64, Hash, Range, Size, Text

EventValue = Annotated[int, Range(-(2**63), 2**64 - 1)]


class Status(IntEnum):
    """FAILED pays its fee and may forfeit a bond; nothing else of it stands."""

    OK = 0
    FAILED = 1


@dataclass(frozen=True)
class Event:
    """One fact that followers of the chain may want to know."""

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
    """Multiply-accumulates it was charged for; they count against the block's budget."""
    events: Annotated[tuple[Event, ...], Size(0, 1024)] = ()
