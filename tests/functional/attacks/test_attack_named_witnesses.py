"""A proof says what it stands on: witnesses whom the opener named are not presented as independent.

An opener lets names of their own seal and open parts, in the terms of the round or as standing witnesses of
the model that the opener has founded, or names somebody of good repute who never opens anything.
"""

from dataclasses import replace
from typing import Any

import pytest

from engram.consensus.bundle import ProofBundle, ProvenRecord
from engram.consensus.proof import ProofReport
from engram.library import proof_words
from engram.primitives.keys import PrivateKey, format_address
from engram.primitives.smt import SmtProof
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Round, RoundStatus, RoundWitness
from engram.statemachine.state import leaf_value
from engram.statemachine.transactions import seal_part
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.amend_model import AmendModel
from tests.support.attacks import crowd, fails, play_with
from tests.support.published import SPEC, Published, Told, published, told
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    PURSE,
    WITNESS,
    Play,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)


def named(*names: PrivateKey) -> tuple[NamedWitness, ...]:
    return tuple(NamedWitness(name.address, old_only=False) for name in names)


def text(name: PrivateKey) -> str:
    return format_address(name.address, SPEC.hrp)


def seal_each(play: Play, names: list[PrivateKey], **part: Any) -> None:
    play.at(Phase.OPEN)
    for number, name in enumerate(names):
        play.seal(name, make_part(8 + number, parts=len(play.parts), seed=3, **part))


def friends(aliases: list[PrivateKey], standing: bool) -> Play:
    """A round that Alice wins, in which these names of the opener are the only witnesses."""
    play = play_with([name for name in aliases if name != ALICE])
    witnesses = named(*aliases)
    windows = {"open_window": 8, "witness_window": 8}
    terms = train_terms(play.parts, **windows, witnesses=() if standing else witnesses)
    play.ok(play.found(terms=terms, witnesses=witnesses if standing else ()))
    seal_each(play, aliases)
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.decide()
    assert play.round.status == RoundStatus.DECIDED
    return play


def seen(play: Play) -> tuple[Published, ProofBundle]:
    real = published(play)
    return real, real.bundle(play.model_id)


def names_of_the_opener(names: int, standing: bool) -> None:
    """It costs the opener nothing but fees, so whoever reads the proof is told who named them."""
    play = friends(crowd(names), standing)
    own = [OPENER, *crowd(names)]
    paid = sum(play.fees[name.address] for name in own)
    kept = sum(play.account(name).balance + play.maturing(name) for name in own)
    assert kept == len(own) * PURSE - paid - play.maturing(ALICE), "their fees stay in one purse"
    real, bundle = seen(play)
    said = told(bundle, checkpoint=real.head.id)
    assert said.accepted
    assert [(each["address"], each["named_by_opener"]) for each in said.facts["witnesses"]] == [
        (text(name), True) for name in crowd(names)
    ]
    for name in crowd(names):
        assert f"{text(name)} (named by the opener)" in said.proved
    assert "not named by the opener" not in said.proved
    assert "the opener named every one of them" in said.unproved


def a_friend_made_a_stranger(names: int, standing: bool) -> None:
    """The opener edits the record in the file: the round would say that others have named the witnesses."""
    play = friends(crowd(names), standing)
    real, bundle = seen(play)
    witnesses = tuple(replace(witness, named_by_opener=False) for witness in play.round.witnesses)
    said = edited(real, bundle, replace(play.round, witnesses=witnesses))
    assert said.code == "smt_proof_mismatch"


def edited(real: Published, bundle: ProofBundle, round_: Round) -> Told:
    """What the file says with this record in the place of the true one, at the same place of the tree."""
    assert bundle.round is not None
    forged = replace(bundle, round=ProvenRecord(leaf_value(round_), bundle.round.proof))
    return told(forged, checkpoint=real.head.id)


def good_repute(aliases: int, seals: bool) -> None:
    """The terms name somebody whom everybody trusts, who opens nothing, beside names of the opener."""
    own = crowd(aliases)
    play = play_with(own)
    terms = train_terms(play.parts, open_window=8, witness_window=8, witnesses=named(WITNESS, *own))
    play.ok(play.found(terms=terms))
    seal_each(play, [*([WITNESS] if seals else []), *own])
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT_WITNESSES)
    for sealed in play.round.witnesses:
        if sealed.author != WITNESS.address:
            secret, owner = play.secrets[sealed.commitment]
            play.ok(play.send(owner, play.sealed_payload(secret)))
    play.at(Phase.AUDIT)
    for commitment in play.round.sealed_drawn:
        play.ok(play.send(OPENER, play.sealed_payload(play.secret(commitment))))
    play.score_all()
    play.end()
    assert play.spent(WITNESS) == (20 * COIN if seals else 0), "a sealed part that stays shut costs its bond"
    real, bundle = seen(play)
    said = told(bundle, checkpoint=real.head.id)
    assert said.accepted
    assert text(WITNESS) not in said.proved, "who opened nothing has measured nothing"
    assert [each["address"] for each in said.facts["witnesses"]] == [text(name) for name in own]
    words = "the opener named every one of them" if own else "no witness opened a part"
    assert words in said.unproved


def opened_by_a_member(standing: list[NamedWitness], own: list[PrivateKey], names: int) -> Play:
    """Bob opens a round of growth on the model of somebody else, and names these witnesses of his own."""
    play = play_with(crowd(names))
    play.freeze()
    play.ok(play.send(OPENER, AmendModel(play.model_id, (BOB.address,), tuple(standing), 200_000)))
    windows = {"open_window": 8, "witness_window": 8}
    play.ok(play.open(grow_terms(play.parts, **windows, witnesses=named(*own)), BOB))
    play.at(Phase.OPEN)
    owners = {name.address: name for name in (WITNESS, *crowd(names))}
    for number, witness in enumerate((*standing, *named(*own))):
        classes = 2 if witness.old_only else 3
        secret = make_part(8 + number, parts=len(play.parts), classes=classes, rows=9, seed=3)
        play.seal(owners[witness.address], secret)
    play.at(Phase.REVEAL)
    for secret in play.drawn_parts()[0]:
        play.ok(play.send(BOB, play.part_payload(secret)))
    play.play_epoch((ALICE, growth(play.inputs, 8)))
    play.witness()
    play.at(Phase.AUDIT)
    for commitment in play.round.sealed_drawn:
        play.ok(play.send(BOB, play.sealed_payload(play.secret(commitment))))
    play.score_all()
    play.at(Phase.CLOSED)
    play.ok(play.send(CAROL, AdvanceRound(play.id)))
    assert play.round.status == RoundStatus.DECIDED
    return play


def a_stranger_as_cover(names: int) -> None:
    """The founder's witness has rows of old classes, which count with the opener's.

    So all rows that are told to be of witnesses come from names of the opener, and that is said.
    """
    play = opened_by_a_member([NamedWitness(WITNESS.address, old_only=True)], crowd(names), names)
    real, bundle = seen(play)
    said = told(bundle, checkpoint=real.head.id)
    assert said.facts["witness_rows"] == 9 * names
    assert f"{text(WITNESS)} (not named by the opener, for old classes only)" in said.proved
    words = "the opener named every one of them" if names else "were limited to old classes"
    assert words in said.unproved


CASES = [(1, False), (3, False), (1, True), (4, True)]
ABSENT = [(0, True), (2, True), (1, False)]


@pytest.mark.parametrize(("names", "standing"), CASES)
def test_names_of_the_opener(names: int, standing: bool) -> None:
    names_of_the_opener(names, standing)
    a_friend_made_a_stranger(names, standing)


@pytest.mark.parametrize(("names", "standing"), CASES)
def test_where_nobody_notes_who_named_a_witness(
    names: int, standing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unnamed(author: bytes, old_only: bool, _: bool, *others: Any) -> RoundWitness:
        return RoundWitness(author, old_only, False, *others)

    monkeypatch.setattr(seal_part, "RoundWitness", unnamed)
    fails(lambda: names_of_the_opener(names, standing))


@pytest.mark.parametrize(("names", "standing"), CASES)
def test_where_records_are_taken_from_the_file(
    names: int, standing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmtProof, "verify", lambda *_: None)
    fails(lambda: a_friend_made_a_stranger(names, standing))


@pytest.mark.parametrize(("aliases", "seals"), ABSENT)
def test_good_repute(aliases: int, seals: bool) -> None:
    good_repute(aliases, seals)


@pytest.mark.parametrize(("aliases", "seals"), ABSENT)
def test_where_whoever_is_named_is_a_witness(
    aliases: int, seals: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_named(report: ProofReport) -> tuple[RoundWitness, ...]:
        assert report.round is not None
        there = {witness.author: witness for witness in report.round.witnesses}
        empty = [RoundWitness(name.address, False, True, bytes(32), 0, 0) for name in named(WITNESS)]
        return tuple({**{witness.author: witness for witness in empty}, **there}.values())

    monkeypatch.setattr(ProofReport, "witnesses", property(all_named))
    fails(lambda: good_repute(aliases, seals))


@pytest.mark.parametrize("names", [0, 1, 3])
def test_a_stranger_as_cover(names: int) -> None:
    a_stranger_as_cover(names)


@pytest.mark.parametrize("names", [0, 1, 3])
def test_where_one_stranger_vouches_for_all(names: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_any(witnesses: list[dict[str, Any]]) -> str | None:
        every = all(witness["named_by_opener"] for witness in witnesses)
        return "the opener named every one of them" if every else None

    monkeypatch.setattr(proof_words, "_dependence", lambda known: of_any(known["witnesses"]))
    fails(lambda: a_stranger_as_cover(names))


@pytest.mark.parametrize("standing", [False, True])
def test_a_witness_who_wins_is_told_to_have_known_the_rows(standing: bool) -> None:
    """The chain lets an author be a witness of the same round; by one key, the proof shows it."""
    play = friends([ALICE], standing)
    real, bundle = seen(play)
    said = told(bundle, checkpoint=real.head.id)
    rows = play.round.terms.rows
    assert (said.facts["author"], said.facts["witness_is_author"]) == (text(ALICE), True)
    assert said.facts["author_rows"] == rows
    assert (
        f"The author and a witness are one key, {text(ALICE)}. So the version is self-graded" in said.proved
    )
    assert f"brought, and knew, {rows} of the {said.facts['sealed_rows']} rows" in said.proved


def test_who_holds_a_key_is_not_proved() -> None:
    """A founder lets a member, who is the same person, open: the file cannot tell, and says so."""
    (alias,) = crowd(1)
    real, bundle = seen(opened_by_a_member(list(named(alias)), [], 1))
    said = told(bundle, checkpoint=real.head.id)
    assert f"{text(alias)} (not named by the opener)" in said.proved
    assert (said.facts["founder"], said.facts["opener"]) == (text(OPENER), text(BOB))
    assert "one person may hold several" in said.unproved
