"""Every spark of a state, found by walking its whole tree. The law: issued - burned = what is held."""

from __future__ import annotations

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
    records = [parse_record(value) for _, value in smt.iterate(reader, root)]
    supplies = [record for record in records if isinstance(record, Supply)]
    assert len(supplies) == 1, "a state has one supply"
    existing = supplies[0].issued - supplies[0].burned
    held = sum(coins_held(record) for record in records)
    assert held == existing, f"{held} sparks are held, {existing} exist"
    return existing
