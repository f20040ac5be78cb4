"""Nobody gains by a default, and whoever moves last has no free option: who owes a part withholds it."""

import pytest

from engram.primitives import keys
from engram.statemachine.content import Inline
from engram.statemachine.money import burn, give
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds import settlement
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.state import State
from engram.statemachine.transactions import reveal_sealed
from engram.statemachine.transactions.publish_part import PublishPart
from tests.support.attacks import crowd, fails, play_with
from tests.support.rounds import (
    ALICE,
    CAROL,
    COIN,
    OPENER,
    WITNESS,
    Play,
    make_part,
    network,
    train_terms,
)

WITNESSES = (NamedWitness(WITNESS.address, old_only=False),)


def opened(names: list[keys.PrivateKey], bounty: int) -> Play:
    """A round with one witness, who has sealed a part."""
    play = play_with(names)
    terms = train_terms(play.parts, bounty=bounty, opener_bond=bounty, witnesses=WITNESSES)
    play.ok(play.found(terms=terms))
    play.at(Phase.OPEN)
    play.seal(WITNESS, make_part(8, parts=len(play.parts), seed=3))
    return play


def an_opener_withholds(names: int, bounty: int, phase: Phase) -> None:
    """The opener sees who would win and opens nothing, with authors under names of their own."""
    strangers = crowd(names)
    play = opened(strangers, bounty)
    if phase is Phase.AUDIT:
        play.reveal_validation()
        play.play_epoch(
            (ALICE, network(play.inputs, 8)), *((name, network(play.inputs, 7)) for name in strangers)
        )
        play.witness()
    play.at(Phase.CLOSED)
    assert play.end().status == RoundStatus.ABORTED
    if phase is Phase.AUDIT:
        play.withdraw_all()
        for name in strangers:
            play.withdraw(name)
    assert play.spent(OPENER) + sum(play.spent(name) for name in strangers) >= 2 * bounty
    assert play.maturing(OPENER) + sum(play.maturing(name) for name in strangers) == 0
    assert play.spent(OPENER) == 2 * bounty, "bond and bounty are burned, all of them"
    fee = play.round.terms.witness_fee if phase is Phase.AUDIT else 0
    assert play.spent(WITNESS) == 0
    assert play.maturing(WITNESS) == fee, "a witness who has opened is paid all the same"
    assert play.spent(ALICE) <= max(10**6, bounty // 1_000), "an honest author loses no more than the entry"


def a_witness_withholds(bounty: int, fee: int) -> None:
    """A witness stays shut as a friend needs it: the bond burns, and the friend gains nothing by it."""
    play = play_with([])
    terms = train_terms(play.parts, bounty=bounty, opener_bond=bounty, witnesses=WITNESSES, witness_fee=fee)
    play.ok(play.found(terms=terms))
    play.at(Phase.OPEN)
    play.seal(WITNESS, make_part(8, parts=len(play.parts), seed=3))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT)
    for commitment in play.round.sealed_drawn:
        play.ok(play.send(OPENER, play.sealed_payload(play.secret(commitment))))
    play.score_all()
    play.end()
    assert play.round.status == RoundStatus.DECIDED, "the round does not depend on the witness"
    assert play.spent(WITNESS) == max(COIN, bounty)
    assert play.maturing(WITNESS) == 0
    paid = play.maturing(ALICE) + play.maturing(OPENER)
    assert paid == bounty - fee, "the witness's fee is burned and helps nobody"


def broken_parts(who: str, rows: int) -> None:
    """Somebody opens bytes that are no part of the round, as it suits them."""
    play = Play()
    broken = make_part(0, parts=len(play.parts), rows=rows, names=(0, 9, 2))
    if who == "opener":
        play.parts = [make_part(i, parts=len(play.parts), names=(0, 9, 2)) for i in range(len(play.parts))]
    play.ok(play.found(terms=train_terms(play.parts, witnesses=WITNESSES, bounty=20 * COIN)))
    play.at(Phase.OPEN)
    play.seal(WITNESS, broken if who == "witness" else make_part(8, parts=len(play.parts), seed=3))
    play.at(Phase.REVEAL)
    if who == "opener":
        assert play.send(OPENER, play.part_payload(play.drawn_parts()[0][0])).code == "label_out_of_range"
        assert play.round.status == RoundStatus.ABORTED
        assert play.spent(OPENER) == 30 * COIN
        assert play.spent(WITNESS) == 0
        return
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT_WITNESSES)
    assert play.send(WITNESS, play.sealed_payload(broken)).code == "label_out_of_range"
    assert play.spent(WITNESS) == 20 * COIN
    play.at(Phase.AUDIT)
    for commitment in play.round.sealed_drawn:
        play.ok(play.send(OPENER, play.sealed_payload(play.secret(commitment))))
    play.score_all()
    play.end()
    assert play.round.status == RoundStatus.DECIDED
    assert play.maturing(OPENER) + play.maturing(ALICE) == 19 * COIN


OPENERS = [(1, 20 * COIN, Phase.AUDIT), (6, 200 * COIN, Phase.AUDIT), (0, 40 * COIN, Phase.REVEAL)]
OPTIONS = [(20 * COIN, COIN), (300 * COIN, 7 * COIN)]
BROKEN = [("opener", 8), ("witness", 8)]


@pytest.mark.parametrize(("names", "bounty", "phase"), OPENERS)
def test_an_opener_withholds(names: int, bounty: int, phase: Phase) -> None:
    an_opener_withholds(names, bounty, phase)


@pytest.mark.parametrize(("names", "bounty", "phase"), OPENERS)
def test_where_half_of_it_returns(
    names: int, bounty: int, phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(state: State, amount: int) -> None:
        give(state, OPENER.address, amount // 2)
        burn(state, amount - amount // 2)

    monkeypatch.setattr(settlement, "burn", half)
    fails(lambda: an_opener_withholds(names, bounty, phase))


@pytest.mark.parametrize(("bounty", "fee"), OPTIONS)
def test_a_witness_withholds(bounty: int, fee: int) -> None:
    a_witness_withholds(bounty, fee)


@pytest.mark.parametrize(("bounty", "fee"), OPTIONS)
def test_where_the_bond_of_a_witness_returns(bounty: int, fee: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "burn", lambda state, amount: give(state, CAROL.address, amount))
    monkeypatch.setattr(Play, "spent", lambda play, actor: play.maturing(actor))
    fails(lambda: a_witness_withholds(bounty, fee))


@pytest.mark.parametrize(("who", "rows"), BROKEN)
def test_broken_parts(who: str, rows: int) -> None:
    broken_parts(who, rows)


@pytest.mark.parametrize(("who", "rows"), BROKEN)
def test_where_broken_parts_are_forgiven(who: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "burn", lambda state, amount: give(state, OPENER.address, amount))
    monkeypatch.setattr(reveal_sealed, "burn_bond", lambda state, round_, author, amount: ())
    with pytest.raises(AssertionError):
        broken_parts(who, rows)


def test_a_part_that_was_public_before_the_round_opened_is_broken_whatever_its_salt() -> None:
    """An opener who brings rows that everybody has cannot pass them off as secret."""
    play = Play()
    known = play.parts[0]
    for secret in play.parts:
        play.ok(play.send(CAROL, PublishPart(8, play.inputs, 2, b"\x11" * 32, Inline(secret.raw))))
    play.ledger.block()
    play.ok(play.found())
    assert known.commitment in play.round.terms.commitments, "the salt hides what the part is"
    play.at(Phase.REVEAL)
    assert play.send(OPENER, play.part_payload(play.drawn_parts()[0][0])).code == "part_public"
    assert play.round.status == RoundStatus.ABORTED


def test_a_copy_that_is_sent_first_aborts_nothing() -> None:
    """Who sees an opening on its way and publishes the same bytes before it does not break the part."""
    play = Play()
    play.ok(play.found())
    play.at(Phase.REVEAL)
    secret = play.drawn_parts()[0][0]
    play.ok(play.send(CAROL, PublishPart(8, play.inputs, 2, b"\x11" * 32, Inline(secret.raw))))
    play.ok(play.send(OPENER, play.part_payload(secret)))
    assert play.round.status == RoundStatus.OPEN
