"""Under any rules that a chain may have, a round comes to its end and all that it leaves can be encoded.

Rules are drawn from their extremes: the least and the most that the type and `check_rules` leave to a field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.consensus.block import receipts_root
from engram.nn.layers import Output
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded
from engram.nn.tensor import tensor_bytes
from engram.primitives import keys
from engram.primitives.errors import CodecError, Invalid
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import SegmentSources
from engram.statemachine.content import blob_id
from engram.statemachine.receipt import Receipt
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus, RoundTerms
from engram.statemachine.rules import MAX_INFER_VALUES, MAX_ISSUED, Rules, bounds, check_rules
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.claim_rewards import ClaimRewards
from engram.statemachine.transactions.infer import Infer
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.seal_part import SealPart
from engram.statemachine.transactions.transfer import Transfer
from engram.statemachine.transactions.withdraw import Withdraw
from tests.support.conservation import check_conservation
from tests.support.ledger import Ledger
from tests.support.nn_samples import random_features
from tests.support.rounds import (
    ACTORS,
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    SMALL_RULES,
    WITNESS,
    Play,
    founding,
    make_part,
    network,
    train_terms,
)

WEALTH = 2**60
"""Of each actor: five such purses are more than half of what a chain may have."""

LONGEST_WINDOW = 16
"""Rounds under longer least windows are not waited for: their calendars differ in length alone."""


def leaves(record: Any, prefix: str = "") -> Iterator[tuple[str, int]]:
    """(dotted name, most that its type holds) of every rule."""
    hints = get_type_hints(type(record), include_extras=True)
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, int):
            yield prefix + field.name, hints[field.name].__metadata__[0].hi
        else:
            yield from leaves(value, f"{field.name}.")


LEAVES = dict(leaves(Rules()))


def changed(rules: Rules, name: str, value: int) -> Rules:
    group, _, field = name.rpartition(".")
    if not group:
        return replace(rules, **{field: value})  # type: ignore[arg-type]  # a rule's name
    return replace(rules, **{group: replace(getattr(rules, group), **{field: value})})


def ends(rules: Rules, name: str) -> tuple[int, int]:
    """The least and the most that the rule may be beside the others."""
    found = {bounded: (low, high) for bounded, _, low, high in bounds(rules)}
    found["subsidy"] = 0, MAX_ISSUED // 2  # if it is halved at every block
    found["max_window_ticks"] = 1, LEAVES["max_window_ticks"]  # the shortest window is not longer
    low, high = found.get(name, (0, LEAVES[name]))
    return low, min(high, LEAVES[name])


def fitted(rules: Rules, name: str, value: int) -> Rules:
    """The rules with this one changed; others that it rules out come to their own nearest end."""
    rules = changed(rules, name, value)
    while True:
        wrong = [each for each in bounds(rules) if each[0] != name and not each[2] <= each[1] <= each[3]]
        if not wrong:
            return rules
        other, now, low, high = wrong[0]
        if other == "total subsidy":
            other, high = ("halving_blocks", 1) if name == "subsidy" else ("subsidy", 1)
        rules = changed(rules, other, low if now < low else high)


@st.composite
def extreme_rules(draw: st.DrawFn) -> Rules:
    """A few rules at an end of what the others leave them, or anywhere between."""
    rules = SMALL_RULES
    for name in draw(st.lists(st.sampled_from(sorted(LEAVES)), min_size=1, max_size=6, unique=True)):
        low, high = ends(rules, name)
        rules = fitted(rules, name, draw(st.sampled_from((low, high)) | st.integers(low, high)))
    return rules


class Attempts:
    """A round of one epoch that goes on with whatever step its rules allow."""

    def __init__(self, rules: Rules) -> None:
        check_rules(rules)
        ledger = Ledger(dict.fromkeys(ACTORS, WEALTH), rules=rules)
        ledger.miner = CAROL.address
        self.play = Play(ledger=ledger)
        self.receipts: list[Receipt] = []

    def attempt(self, sender: keys.PrivateKey, payload: TxPayload) -> bool:
        """A block with the transaction, if any block may hold it; whether it took effect."""
        ledger = self.play.ledger
        try:
            tx = ledger.pay(sender, payload)
        except Invalid:
            return False  # refused, or no transaction could state the fee
        try:
            ledger.execution().add(tx)
        except CodecError:
            raise
        except Invalid:
            return False
        result = ledger.block(tx)
        receipts_root(result.receipts)
        check_conservation(ledger.nodes, ledger.root)
        self.receipts += result.receipts
        assert result.receipts[0].code != CodecError.code
        return result.receipts[0].status == 0

    def terms(self) -> RoundTerms:
        rules = self.play.ledger.rules
        window = max(2, rules.min_window_ticks)
        spans = ("open", "reveal", "commit", "update", "witness", "audit", "score")
        return train_terms(
            self.play.parts,
            gap=max(1, rules.min_gap_ticks),
            opener_bond=max(10 * COIN, rules.min_opener_bond),
            author_bond=max(COIN, rules.min_author_bond),
            witnesses=(NamedWitness(WITNESS.address, False),),
            z_squared=max(4, rules.min_z_squared),
            **{f"{span}_window": window for span in spans},
        )

    def run(self) -> RoundStatus | None:
        """How the round ended; None if these rules let nobody open it."""
        play, rules = self.play, self.play.ledger.rules
        self.attempt(OPENER, Transfer(BOB.address, 1))
        self.attempt(BOB, PublishChunk(blob_id(b"x"), 1, 0, b"x"))
        terms = self.terms()
        if max(terms.open_window, terms.gap, rules.draw_ticks) > LONGEST_WINDOW:
            return None
        if not self.attempt(OPENER, OpenRound(terms, founding=founding(network(play.inputs, 0)))):
            return None
        play._opened(self.receipts[-1])
        theirs = make_part(0, parts=4, seed=1)
        self.attempt(WITNESS, SealPart(play.id, theirs.commitment))
        play.at(Phase.REVEAL)
        for secret in play.drawn_parts()[0]:
            self.attempt(OPENER, play.part_payload(secret))
        self._update()
        play.at(Phase.AUDIT_WITNESSES)
        self.attempt(WITNESS, play.sealed_payload(theirs))
        play.at(Phase.AUDIT)
        for secret in play.drawn_parts()[1]:
            self.attempt(OPENER, play.sealed_payload(secret))
        play.at(Phase.SCORE)
        self.attempt(
            BOB, ScoreUpdate(play.id, 0, ALICE.address, tuple(range(len(play.round.unseen))) or (0,))
        )
        play.at(Phase.CLOSED)
        self.attempt(CAROL, AdvanceRound(play.id))
        self.attempt(CAROL, Withdraw(play.id, 0, ALICE.address))
        self._afterwards()
        return RoundStatus(play.round.status)

    def _update(self) -> None:
        play, weights = self.play, network(self.play.inputs, 8)
        play.at(Phase.COMMIT)
        if len(play.round.validation_opened) < play.round.terms.validation:
            return
        claim = play.claim(ALICE, weights)
        self.attempt(ALICE, play.commit_payload(claim))
        play.at(Phase.UPDATE)
        self.attempt(ALICE, play.update_payload(claim, weights))

    def _afterwards(self) -> None:
        play, rules = self.play, self.play.ledger.rules
        self.attempt(BOB, Infer(play.model_id, None, tensor_bytes(random_features(play.inputs, 2))))
        if rules.maturity_blocks <= LONGEST_WINDOW:
            play.ledger.skip_to(play.height + rules.maturity_blocks)
        for actor in (ALICE, OPENER, CAROL):
            self.attempt(actor, ClaimRewards(1, play.ledger.height))


def test_the_round_is_decided_under_small_rules_and_uses_every_step() -> None:
    """The others would hold for a round in which nothing can be done."""
    attempts = Attempts(SMALL_RULES)
    assert attempts.run() == RoundStatus.DECIDED
    assert [receipt.code for receipt in attempts.receipts] == [""] * len(attempts.receipts)
    events = {event.name for receipt in attempts.receipts for event in receipt.events}
    assert events >= {
        "blob_completed",
        "round_opened",
        "part_sealed",
        "candidate_admitted",
        "sealed_opened",
        "update_judged",
        "version_created",
        "bond_returned",
        "prediction",
        "rewards_claimed",
    }
    assert attempts.play.round.independent


@pytest.mark.parametrize("end", [0, 1], ids=["least", "most"])
@pytest.mark.parametrize("name", sorted(LEAVES))
def test_each_rule_at_its_ends(name: str, end: int) -> None:
    Attempts(fitted(SMALL_RULES, name, ends(SMALL_RULES, name)[end])).run()


@given(extreme_rules())
def test_rules_at_their_extremes_together(rules: Rules) -> None:
    Attempts(rules).run()


def zeros(rows: int, columns: int) -> SegmentSources:
    """The sources of one int8 block of zeros."""
    return SegmentSources(Seeded(1, ZERO_HASH, 1, (rows, columns)), Seeded(1, ZERO_HASH, 3, (columns,)))


@pytest.mark.parametrize(("classes", "answered"), [(MAX_INFER_VALUES, True), (MAX_INFER_VALUES + 1, False)])
def test_the_longest_answer_fits_its_receipt(classes: int, answered: bool) -> None:
    """One row of a model with as many classes as an event has room for, and with one more."""
    rules = SMALL_RULES
    for name in ("networks.max_classes", "networks.max_components", "max_infer_values"):
        rules = changed(rules, name, ends(rules, name)[1])
    attempts = Attempts(changed(rules, "networks.max_macs_per_row", 2**40))
    play = attempts.play
    spec = NetworkSpec(play.inputs, classes, (), (), (Output(0, 0, 1, 0, classes, 0, 8),))
    model = replace(
        founding(network(play.inputs, 0)), spec=spec, hidden=(), outputs=(zeros(1, classes),), tensors=()
    )
    terms = replace(attempts.terms(), max_update_macs=0)
    assert attempts.attempt(OPENER, OpenRound(terms, founding=model))
    play._opened(attempts.receipts[-1])
    row = tensor_bytes(random_features(play.inputs, 1))
    assert attempts.attempt(BOB, Infer(play.model_id, None, row)) is answered
    told = [len(event.values) for event in attempts.receipts[-1].events if event.name == "prediction"]
    assert told == [2**16] * answered
