"""Every spark of a state, found by walking its whole tree. The law: issued - burned = what is held."""

from __future__ import annotations

from functools import lru_cache

from engram.primitives import smt
from engram.primitives.types import Hash
from engram.statemachine.record import Record
from engram.statemachine.records import Account, Maturing, Model, Supply, Upload
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.records import Candidate, Commit, Round


def coins_held(record: Record) -> int:
    """Sparks in one record: a balance, a reward that matures, bonds, fees, deposits, pots."""
    match record:
        case Account():
            return record.balance
        case Maturing():
            return record.amount
        case Upload():
            return record.deposit
        case Round():
            of_witnesses = sum(witness.bond + witness.fee for witness in record.witnesses)
            return record.bond + record.pot + record.carried + of_witnesses
        case Model():
            return record.carried
        case Commit() | Candidate():
            return record.bond
        case _:
            return 0


def check_conservation(reader: smt.NodeReader, root: Hash) -> int:
    """Asserts the law for the state under `root`; returns the sparks in existence."""
    leaves = [_in_leaf(value) for _, value in smt.iterate(reader, root)]
    supplies = [existing for _, existing in leaves if existing is not None]
    assert len(supplies) == 1, "a state has one supply"
    held = sum(held for held, _ in leaves)
    assert held == supplies[0], f"{held} sparks are held, {supplies[0]} exist"
    return supplies[0]


@lru_cache(maxsize=10_000)
def _in_leaf(value: bytes) -> tuple[int, int | None]:
    """Sparks that the record of a leaf holds, and if it is the supply, how many exist. Most leaves stay."""
    record = parse_record(value)
    existing = record.issued - record.burned if isinstance(record, Supply) else None
    return coins_held(record), existing
