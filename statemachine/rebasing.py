"""Records of a state as a chain begins with that takes them over from another one. Pure; no tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace

from engram.primitives.types import Address
from engram.statemachine.record import Record
from engram.statemachine.records import Maturing, RoundClock


def rebased(records: Iterable[Record], height: int) -> Iterator[Record]:
    """The records after block `height` of a chain, as genesis of another chain holds them.

    Heights count from genesis anew, so whatever a block made before has height 0: it can be used from the
    first block on. Rewards mature as many blocks later as they would have. Ticks go on, because rounds that
    are open count in them. The order of commits of one epoch stays as their heights say; only a tie asks.
    """
    claimable: dict[Address, int] = {}
    for record in records:
        if isinstance(record, Maturing) and record.height <= height:
            claimable[record.address] = claimable.get(record.address, 0) + record.amount
        elif isinstance(record, Maturing):
            yield replace(record, height=record.height - height)
        elif isinstance(record, RoundClock):
            yield replace(record, ticked=0)
        elif "height" in {field.name for field in fields(record)}:  # type: ignore[arg-type]  # all are dataclasses
            yield replace(record, height=0)  # type: ignore[type-var]
        else:
            yield record
    for address, amount in claimable.items():
        yield Maturing(address, 0, amount)
