"""An append-only index of the keys of all records that any block has written, to list models or rounds.

The state tree finds a record by the hash of its key, so it cannot list records. This index can. The batch of
each block adds the keys of its records, and no key is ever removed. `records` takes the keys from the index
and looks each one up in the state of a head: a record that a reorganisation took back, or that a transaction
deleted, is not found there and therefore not listed.

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
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.records import Candidate, Commit, Round
from engram.statemachine.state import State

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
    """The records of a class in `state` whose keys begin with `key_parts`, by ascending key.

    `start` is compared with what follows these parts in a key; records with lesser keys are left out.
    """
    assert cls.KIND in INDEXED, f"callers ask for kinds of `INDEXED` only, not for {cls.__name__}"
    prefix = RECORD + bytes([cls.KIND])
    for key, _ in database.iterate(prefix + b"".join(key_parts), start=start):
        record = state.find(cls, key[len(prefix) :])
        if record is not None:
            yield record
