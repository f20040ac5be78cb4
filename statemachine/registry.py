"""The registry of record classes: which kind byte stands for which. A new record is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engram.statemachine.record import Record
from engram.statemachine.records import (
    Account,
    Badge,
    Blob,
    Maturing,
    Model,
    Part,
    RecentBlock,
    Reputation,
    Reservation,
    ScoreEntry,
    Supply,
    Upload,
    Version,
)
from engram.statemachine.rounds.records import Candidate, Commit, Round

RECORDS: Final[Mapping[int, type[Record]]] = {
    cls.KIND: cls
    for cls in (
        Account,
        Supply,
        RecentBlock,
        Maturing,
        Reservation,
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
    )
}
"""Every record class by its kind byte."""
