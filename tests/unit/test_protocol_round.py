"""The round that docs/protocol/rounds.md works through in numbers is the one of the recorded chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from engram.nn.fixed import ln_q24
from engram.primitives import keys
from engram.primitives.types import Address
from engram.statemachine.money import MINER_SHARE
from engram.statemachine.receipt import Event, Receipt
from engram.statemachine.record import Record
from engram.statemachine.records import Maturing, Model, Reputation, RoundClock, Supply
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.candidates import validation_bar
from engram.statemachine.rounds.judging import threshold_loss
from engram.statemachine.rounds.records import Candidate, Round
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions import TX_TYPES, decode_payload
from tests.support.memory_chain import MemoryChain
from tests.support.protocol_text import rows, section
from tests.support.replay_chain import replay
from tests.support.rounds import ALICE, BOB, CAROL, OPENER, WITNESS

VECTOR = Path(__file__).resolve().parents[1] / "vectors" / "consensus_chain_50.json"
NAMES = {
    OPENER.address: "opener",
    ALICE.address: "Alice",
    BOB.address: "Bob",
    CAROL.address: "Carol",
    WITNESS.address: "witness",
}
END, CLEARED = 25, 28
"""Heights at which the round ends, and at which its last update is withdrawn."""
NO_END = "\u2013"
TEXT = section("rounds", "A round in numbers")


@dataclass(frozen=True)
class Played:
    """The recorded chain up to the block that ends its first round."""

    chain: MemoryChain

    def changed(self, height: int) -> list[Record]:
        """Records as the block at this height left them."""
        values = self.chain.executed[height - 1].result.changes.values()
        return [parse_record(value) for value in values if value]

    def events(self, name: str) -> list[Event]:
        found = (event for executed in self.chain.executed for event in executed.result.events)
        return [event for event in found if event.name == name]

    @property
    def round(self) -> Round:
        """The first round as it ended."""
        return next(record for record in self.changed(END) if isinstance(record, Round))

    def open_round(self, height: int) -> Round:
        """The round as the block at this height left it."""
        return next(record for record in self.changed(height) if isinstance(record, Round))

    def candidate(self, author: Address, epoch: int, height: int) -> Candidate:
        found = (record for record in self.changed(height) if isinstance(record, Candidate))
        return next(each for each in found if (each.author, each.epoch) == (author, epoch))

    def transactions(self) -> list[tuple[int, Transaction, Receipt]]:
        """Height, transaction and receipt of everything that belongs to the first round."""
        played = [
            (block.block.header.height, tx, receipt)
            for block in self.chain.executed
            for tx, receipt in zip(block.block.transactions, block.result.receipts, strict=True)
        ]
        return [each for each in played if each[0] == 1 or self._names_the_round(each[1])]

    def _names_the_round(self, tx: Transaction) -> bool:
        return getattr(decode_payload(tx), "round", None) == self.round.id


@pytest.fixture(scope="module")
def played() -> Played:
    vector = json.loads(VECTOR.read_text())
    return Played(replay({**vector, "blocks": vector["blocks"][:CLEARED]}))


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_transactions_of_the_round(played: Played) -> None:
    said = [row for row in rows(TEXT) if len(row) == 6]
    rules = played.chain.spec.rules
    made = []
    for height, tx, receipt in played.transactions():
        phase = Calendar.of(played.round, rules).at(height - 1).phase.name
        name = TX_TYPES[tx.kind].NAME
        made.append([str(height), phase, NAMES[keys.address(tx.sender)], name, f"{receipt.fee:,}"])
    assert [row[:5] for row in said] == made
    failed = [receipt.code for _, _, receipt in played.transactions() if receipt.code]
    assert [row[5] for row in said if "FAILED" in row[5]] == [f"FAILED: `{code}`" for code in failed]


def test_the_calendar_of_the_round(played: Played) -> None:
    said = [(phase, first, last) for phase, _, first, last in (row for row in rows(TEXT) if len(row) == 4)]
    spans = Calendar.of(played.round, played.chain.spec.rules).spans
    made = [(span.phase.name, str(span.first), str(span.last)) for span in spans if span.first <= span.last]
    assert said[:-1] == made[:-1]
    assert said[-1] == (Phase.CLOSED.name, str(END - 1), NO_END)
    clocks = [record for height in range(1, END) for record in played.changed(height)]
    assert [clock for clock in clocks if isinstance(clock, RoundClock)] == [
        RoundClock(height, 0, height) for height in range(1, END)
    ]
    epochs = [epoch for phase, epoch, *_ in (row for row in rows(TEXT) if len(row) == 4) if phase == "COMMIT"]
    assert epochs == [str(epoch) for epoch in range(played.round.terms.epochs)]


def numbers(played: Played) -> list[tuple[str, int]]:
    """The numbers of the chapter's third table, as the recorded chain has them."""
    rules, round_, ending = played.chain.spec.rules, played.round, played.changed(END)
    terms, alice, bob = round_.terms, ALICE.address, BOB.address
    before = played.open_round(22)
    first = played.candidate(alice, 0, 21), played.candidate(bob, 0, 21)
    second = played.candidate(alice, 1, 22)
    model = next(record for record in ending if isinstance(record, Model))
    ((_, scoring),) = {(tx.kind, receipt.macs) for _, tx, receipt in played.transactions() if tx.kind == 22}
    paid = {event.text[0]: int(event.values[1]) for event in played.events("bounty_paid")}
    matured = {
        record.address: record.amount
        for record in ending
        if isinstance(record, Maturing) and record.height == END + rules.maturity_blocks
    }
    assert {author: matured[bytes.fromhex(author)] for author in paid} == paid
    points = {record.address: record.points for record in ending if isinstance(record, Reputation)}
    (burned,) = [record.burned for record in ending if isinstance(record, Supply)]
    receipts = [each for executed in played.chain.executed[:END] for each in executed.result.receipts]
    spent = sum(receipt.fee - receipt.fee // MINER_SHARE for receipt in receipts)
    entries = [int(event.values[1]) for event in played.events("update_committed")]
    (lost,) = [int(event.values[0]) for event in played.events("bond_burned")]
    assert burned - spent == sum(entries[:4]) + lost
    (witness,) = played.open_round(2).witnesses
    tally = second.groups[0].growth
    assert model.frozen
    return [
        ("opener_bond", terms.opener_bond),
        ("author_bond", terms.author_bond),
        ("bounty", terms.bounty),
        ("bond of the witness", witness.bond),
        ("fee of the witness", witness.fee),
        ("pot", before.pot),
        ("entry in epoch 0", entries[0]),
        ("entry in epoch 1", entries[2]),
        ("loss of version t on the validation part", sum(part.old_loss for part in round_.validation_opened)),
        ("entry bar", validation_bar(round_, model)),
        ("claimed by Alice in epoch 0", first[0].loss),
        ("claimed by Bob in epoch 0", first[1].loss),
        ("claimed by Alice in epoch 1", second.loss),
        ("Carol's bond, burned", lost),
        ("charge for scoring one candidate on both parts", scoring),
        ("baseline of each group", tally.baseline),
        ("loss of Alice in epoch 0, first group", first[0].groups[0].loss),
        ("loss of Alice in epoch 0, second group", first[0].groups[1].loss),
        ("loss of Bob in epoch 0, first group", first[1].groups[0].loss),
        ("loss of Bob in epoch 0, second group", first[1].groups[1].loss),
        ("loss of Alice in epoch 1, first group", second.groups[0].loss),
        ("loss of Alice in epoch 1, second group", second.groups[1].loss),
        ("gained by Alice in epoch 1, first group", tally.gained),
        ("squares of these gains", tally.squares),
        ("paid to Bob", paid[bob.hex()]),
        ("paid to Alice", paid[alice.hex()]),
        ("returned to the opener of the pot", matured[round_.opener]),
        ("threshold of the 16 unseen rows", threshold_loss(model.threshold_ppm, 2, model.loss_rows)),
        ("loss of version 1 on the unseen rows", model.loss),
        ("burned of entries and bonds", burned - spent),
        ("reputation of Bob", points[bob]),
        ("reputation of Alice", points[alice]),
    ]


def test_the_numbers_of_the_round(played: Played) -> None:
    said = [(name, number(value)) for name, value, _ in (row for row in rows(TEXT) if len(row) == 3)]
    assert said == numbers(played)


def test_the_numbers_follow_from_each_other(played: Played) -> None:
    """What the third column says about them."""
    known = dict(numbers(played))
    baseline, pot = known["baseline of each group"], known["pot"]
    bob, alice = (
        known["loss of Bob in epoch 0, first group"],
        known["loss of Alice in epoch 1, first group"],
    )
    assert known["paid to Bob"] == pot * (baseline - bob) // baseline
    assert known["paid to Alice"] == pot * (bob - alice) * baseline // baseline**2
    assert known["loss of version t on the validation part"] == 8 * ln_q24(2)
    assert known["entry bar"] == baseline == 8 * (ln_q24(2) - 8)
    gained, squares = known["gained by Alice in epoch 1, first group"], known["squares of these gains"]
    assert gained**2 >= 4 * squares
