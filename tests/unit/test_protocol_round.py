"""The round that docs/protocol/rounds.md works through in numbers is the one of the recorded chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from engram.nn.fixed import ln_q24
from engram.primitives import keys
from engram.primitives.types import Address
from engram.statemachine.fees import price_of_macs
from engram.statemachine.money import MINER_SHARE
from engram.statemachine.receipt import Event, Receipt
from engram.statemachine.record import Record
from engram.statemachine.records import Maturing, Model, Reputation, RoundClock, Supply
from engram.statemachine.registry import parse_record
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.records import Candidate, Round
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions import TX_TYPES, decode_payload
from tests.support.memory_chain import MemoryChain
from tests.support.protocol_text import rows, section
from tests.support.replay_chain import replay
from tests.support.rounds import ALICE, AUDITOR, BOB, CAROL, OPENER

VECTOR = Path(__file__).resolve().parents[1] / "vectors" / "consensus_chain_50.json"
NAMES = {
    OPENER.address: "opener",
    ALICE.address: "Alice",
    BOB.address: "Bob",
    CAROL.address: "Carol",
    AUDITOR.address: "auditor",
}
END = 22
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
        """The first round, when everything is scored and nothing is paid yet."""
        return next(record for record in self.changed(END - 1) if isinstance(record, Round))

    def candidate(self, author: Address, epoch: int, height: int = END - 1) -> Candidate:
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
    return Played(replay({**vector, "blocks": vector["blocks"][:END]}))


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


def test_the_numbers_of_the_round(played: Played) -> None:
    said = [(name, number(value)) for name, value, _ in (row for row in rows(TEXT) if len(row) == 3)]
    rules, round_, ending = played.chain.spec.rules, played.round, played.changed(END)
    terms, alice, bob = round_.terms, ALICE.address, BOB.address
    baseline = sum(part.baseline.loss for part in round_.validation_opened)
    sealed = sum(part.baseline.loss for part in round_.sealed_opened)
    losses = {
        (who, epoch): sum(score.loss for score in played.candidate(who, epoch).sealed)
        for who, epoch in ((alice, 0), (bob, 0), (alice, 1))
    }
    (charge,) = {
        receipt.macs for _, tx, receipt in played.transactions() if tx.kind == 20 and not receipt.code
    }
    escrows = {played.candidate(alice, 0, 12).escrow, played.candidate(alice, 1, 17).escrow}
    (lost,) = [event.values[0] for event in played.events("bond_forfeited")]
    paid = {event.text[0]: event.values[0] for event in played.events("bounty_paid")}
    matured = {
        record.address: record.amount
        for record in ending
        if isinstance(record, Maturing) and record.height == END + rules.maturity_blocks
    }
    assert {author: matured[bytes.fromhex(author)] for author in paid} == paid
    points = {record.address: record.points for record in ending if isinstance(record, Reputation)}
    (burned,) = [record.burned for record in ending if isinstance(record, Supply)]
    model = next(record for record in ending if isinstance(record, Model))
    refund = matured[round_.opener]
    lost_pot = round_.pot - sum(map(int, paid.values())) - refund
    fees = [receipt.fee for executed in played.chain.executed for receipt in executed.result.receipts]
    scorings = 3 * len(round_.sealed_opened) * [price_of_macs(rules.fees, charge)]
    spent = sum(price - price // MINER_SHARE for price in (*fees, *scorings))
    assert model.frozen
    assert said == [
        ("opener_bond", terms.opener_bond),
        ("author_bond", terms.author_bond),
        ("bounty", terms.bounty),
        ("baseline of the validation part", baseline),
        ("margin of epoch 0", baseline * rules.margin_ppm // 10**6),
        ("claimed by Alice in epoch 0", played.candidate(alice, 0).loss),
        ("claimed by Bob in epoch 0", played.candidate(bob, 0).loss),
        ("claimed by Alice in epoch 1", played.candidate(alice, 1).loss),
        ("charge C for a candidate on a part", charge),
        ("escrow of each candidate", *escrows),
        ("Carol's bond that joins the pot", int(lost) // 2),
        ("pot", round_.pot),
        ("B", sealed),
        ("sealed loss of Alice in epoch 0", losses[alice, 0]),
        ("sealed loss of Bob in epoch 0", losses[bob, 0]),
        ("removed by Bob", sealed - losses[bob, 0]),
        ("margin to Bob's rung", losses[bob, 0] * rules.margin_ppm // 10**6),
        ("sealed loss of Alice in epoch 1", losses[alice, 1]),
        ("removed by Alice", losses[bob, 0] - losses[alice, 1]),
        ("paid to Bob", paid[bob.hex()]),
        ("paid to Alice", paid[alice.hex()]),
        ("returned to the opener of the bounty", refund),
        ("burned of the pot", lost_pot),
        ("burned of the prices of scorings", sum(price - price // MINER_SHARE for price in scorings)),
        ("burned of pot and bonds", burned - spent),
        ("threshold of the 16 sealed rows", model.loss_rows * model.threshold_ppm * ln_q24(2) // 10**6),
        ("bar of the new retention part", model.retention[0].bar),
        ("reputation of Bob", points[bob]),
        ("reputation of Alice", points[alice]),
    ]
    assert model.loss == losses[alice, 1]
