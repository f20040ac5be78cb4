"""Whoever moves last has no free option, and who knows one side's rows gains nothing beside another."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.nn.data import parse_part, part_bytes
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds import candidates
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.candidates import OwnerGroup
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rules import Rules
from tests.support.attacks import crowd, fails, play_with
from tests.support.rounds import (
    ALICE,
    COIN,
    OPENER,
    WITNESS,
    Play,
    SecretPart,
    make_part,
    network,
    train_terms,
)

NAMED = (NamedWitness(WITNESS.address, old_only=False),)


def sealed_by_a_witness(bounty: int, sealed: int) -> tuple[Play, SecretPart]:
    """A round with a candidate in the gap before the audits, and the part of its witness."""
    play = Play(parts=sealed + 2)
    theirs = play.parts.pop()
    terms = train_terms(play.parts, sealed=sealed, bounty=bounty, opener_bond=bounty, witnesses=NAMED)
    play.ok(play.found(terms=replace(terms, audit_window=sealed)))
    play.seal(WITNESS, theirs)
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    return play, theirs


def all_open(play: Play) -> None:
    """The opener opens all there is to open."""
    play.at(Phase.AUDIT)
    for commitment in play.round.sealed_drawn:
        play.ok(play.send(OPENER, play.sealed_payload(play.secret(commitment))))


def a_witness_waits(bounty: int, sealed: int) -> None:
    """A witness wants to see the opener's rows first, and then to open or not as a friend needs it."""
    play, theirs = sealed_by_a_witness(bounty, sealed)
    play.at(Phase.AUDIT_WITNESSES)
    opening = play.sealed_payload(play.secret(play.round.sealed_drawn[0]))
    assert play.refused(OPENER, opening) == "wrong_phase", "the opener waits for the witnesses"
    all_open(play)
    assert play.refused(WITNESS, play.sealed_payload(theirs)) == "wrong_phase", "and it is too late now"
    play.score_all()
    assert play.end().status == RoundStatus.DECIDED
    assert play.spent(WITNESS) == bounty, "the bond is as high as the bounty that the part could have moved"
    assert play.maturing(WITNESS) == 0


def marked(part: SecretPart, inputs: int, *, tells: bool) -> SecretPart:
    """Only feature 1 depends on the label: it tells it to those who know the mark, or lies."""
    rows = parse_part(part.raw, rows=8, inputs=inputs, classes=2)
    features = np.full_like(rows.features, 128)
    features[:, 1] = np.where((rows.labels == 1) == tells, 240, 10)
    features[:, 2] = np.arange(8)
    features[:, 3] = int.from_bytes(part.salt[:1], "big")
    return SecretPart(part.salt, part_bytes(features, rows.labels))


def an_opener_with_authors(names: int, gain: int) -> None:
    """The opener marks the own rows, and authors under names of the opener's read the mark."""
    strangers = crowd(names)
    play = play_with(strangers)
    play.parts = [marked(make_part(index, parts=4), 6, tells=True) for index in range(4)]
    terms = train_terms(play.parts, sealed=3, audit_window=3, witnesses=NAMED)
    play.ok(play.found(terms=terms))
    play.seal(WITNESS, marked(make_part(9, parts=4), 6, tells=False))
    play.reveal_validation()
    play.play_epoch(*((name, network(6, gain, feature=1)) for name in strangers))
    assert play.round.has_candidates
    play.audit()
    play.at(Phase.SCORE)
    for name in strangers:
        play.score_update(name)
    assert play.end().status == RoundStatus.KEPT
    assert play.model.head == 0
    assert sum(play.maturing(name) for name in strangers) == 0
    assert play.maturing(OPENER) <= 19 * COIN, "the witness's fee is gone, or the whole pot"


WAITS = [(20 * COIN, 1), (100 * COIN, 2)]
AUTHORS = [(1, 1), (3, 1), (2, 2)]


@pytest.mark.parametrize(("bounty", "sealed"), WAITS)
def test_a_witness_waits(bounty: int, sealed: int) -> None:
    a_witness_waits(bounty, sealed)


@pytest.mark.parametrize(("bounty", "sealed"), WAITS)
def test_where_the_opener_opens_first(bounty: int, sealed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the witness sees all rows, still opens or does not, and loses nothing by having waited."""
    made = Calendar._made

    def reversed_audits(opened: int, windows: Any, reveal_ended: int, *_: int) -> Calendar:
        spans = made(opened, windows, reveal_ended, 0, 0).spans
        other = {Phase.AUDIT: Phase.AUDIT_WITNESSES, Phase.AUDIT_WITNESSES: Phase.AUDIT}
        return Calendar(tuple(replace(span, phase=other.get(span.phase, span.phase)) for span in spans))

    monkeypatch.setattr(Calendar, "_made", reversed_audits)
    play, theirs = sealed_by_a_witness(bounty, min(sealed, 2))
    all_open(play)
    play.at(Phase.AUDIT_WITNESSES)
    assert all(part.owner == OPENER.address for part in play.round.unseen), "the witness knows them all"
    play.ok(play.send(WITNESS, play.sealed_payload(theirs)))
    assert play.spent(WITNESS) == 0


@pytest.mark.parametrize(("names", "gain"), AUTHORS)
def test_an_opener_with_authors(names: int, gain: int) -> None:
    an_opener_with_authors(names, gain)


@pytest.mark.parametrize(("names", "gain"), AUTHORS)
def test_where_all_rows_are_one_group(names: int, gain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(_: Rules, __: Round, ___: object) -> OwnerGroup:
        return OwnerGroup.OPENER

    monkeypatch.setattr(candidates, "group_of", one)
    monkeypatch.setattr(candidates, "proves_gain", lambda found, _: found.gained > found.lost)
    fails(lambda: an_opener_with_authors(names, gain))
