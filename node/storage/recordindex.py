"""Which records have ever existed: an append-only index of keys by kind, to list models or rounds from.

The state tree finds a record by its hashed key and lists nothing. This index is written in the batch of each
block and never undone: whoever lists takes the keys from here and the records from the state of a head, where
what a reorganisation took back, or a transaction deleted, is simply not found.

    k ‖ KIND ‖ record key   empty
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from engram.node.storage.db import Batch, Database
from engram.node.storage.schema import RECORD
from engram.primitives.types import Hash
from engram.statemachine.record import Record
from engram.statemachine.records import Badge, Maturing, Model, Part, Reputation, ScoreEntry, Version
from engram.statemachine.rounds.records import Candidate, Commit, Round
from engram.statemachine.state import State, parse_record

R = TypeVar("R", bound=Record)

INDEXED: Final = frozenset(
    cls.KIND
    for cls in (Badge, Candidate, Commit, Maturing, Model, Part, Reputation, Round, ScoreEntry, Version)
)


def put_records(batch: Batch, changes: Mapping[Hash, bytes | None]) -> None:
    """Adds the keys of a block's changed records; `changes` maps tree keys to leaf values."""
    for value in changes.values():
        if value is not None and value[0] in INDEXED:
            batch.put(RECORD + value[:1] + parse_record(value).key, b"")


def records(
    database: Database, state: State, cls: type[R], *key_parts: bytes, start: bytes = b""
) -> Iterator[R]:
    """The records of a class in `state` whose keys begin with these parts, by ascending key; `start`: from
    the parts followed by this on.
    """
    assert cls.KIND in INDEXED, f"{cls.__name__} is not indexed"
    prefix = RECORD + bytes([cls.KIND])
    for key, _ in database.iterate(prefix + b"".join(key_parts), start=start):
        record = state.find(cls, key[len(prefix) :])
        if record is not None:
            yield record
