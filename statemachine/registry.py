"""The registry of record classes: which kind byte stands for which. A new record is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engram.primitives.errors import UnknownTag
from engram.statemachine.record import Record
from engram.statemachine.records import (
    Account,
    Badge,
    Blob,
    Maturing,
    Model,
    Part,
    PartBytes,
    RecentBlock,
    Reputation,
    RetiredPart,
    RoundClock,
    ScoreEntry,
    Supply,
    Upload,
    Version,
)
from engram.statemachine.rounds.records import Candidate, Commit, Round
from engram.statemachine.state import read_leaf

RECORDS: Final[Mapping[int, type[Record]]] = {
    cls.KIND: cls
    for cls in (
        Account,
        Supply,
        RecentBlock,
        Maturing,
        RoundClock,
        Blob,
        Upload,
        Part,
        Model,
        Version,
        ScoreEntry,
        Badge,
        Reputation,
        Round,
        Commit,
        Candidate,
        PartBytes,
        RetiredPart,
    )
}
"""Every record class by its kind byte."""


def parse_record(raw: bytes) -> Record:
    """The record that a tree leaf holds, of whatever kind. Raises `CodecError`."""
    cls = RECORDS.get(raw[0]) if raw else None
    if cls is None:
        raise UnknownTag("no record has this kind", got=raw[:1])
    return read_leaf(cls, raw)
