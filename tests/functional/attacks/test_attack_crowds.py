"""Nothing scarce is had for a price that comes back: crowds of names neither shut anybody out nor gain."""

import pytest

from engram.statemachine.money import give
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.rounds.terms import entry_of
from engram.statemachine.transactions import commit_update, open_round, withdraw
from engram.statemachine.transactions.commit_update import CommitUpdate
from tests.support.attacks import crowd, fails, play_with
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    SMALL_RULES,
    Play,
    grow_terms,
    network,
    train_terms,
)


def earned_alone(play: Play) -> int:
    """What the winner's share of the round earns where nobody else takes part."""
    best = play.round.best[play.round.winner_epoch]
    return play.round.terms.bounty * (best.baseline - best.loss) // best.baseline


def commits_that_are_never_revealed(names: int, bounty: int) -> None:
    """All names commit to nothing. Alice comes last, wins what she wins alone, and the names lose it all."""
    strangers = crowd(names)
    play = play_with(strangers)
    play.found(terms=train_terms(play.parts, bounty=bounty, opener_bond=bounty))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    empty = [(name, CommitUpdate(play.id, 0, name.public_key)) for name in strangers]
    for receipt in play.send_all(empty):
        play.ok(receipt)
    claim = play.commit(ALICE, network(play.inputs, 8))
    play.at(Phase.UPDATE)
    play.ok(play.send(ALICE, play.update_payload(claim, network(play.inputs, 8))))
    assert play.decide().status == RoundStatus.DECIDED
    assert play.round.winner == ALICE.address
    assert play.maturing(ALICE) == earned_alone(play)
    before = play.account(CAROL).balance
    for name in strangers:
        play.withdraw(name, sender=CAROL)
    assert play.account(CAROL).balance == before, "cleaning up after others costs nothing"
    terms = play.round.terms
    lost = terms.author_bond + entry_of(play.ledger.rules, terms, 0)
    assert all(play.spent(name) == lost for name in strangers)
    assert all(play.maturing(name) == 0 for name in strangers)


def copies_of_one_network(names: int, gain: int) -> None:
    """All names bring one network that is a little worse than Alice's, and push her out of nothing."""
    strangers = crowd(names)
    play = play_with(strangers)
    play.found()
    play.reveal_validation()
    updates = [(name, network(play.inputs, gain)) for name in strangers]
    for receipt in play.play_epoch(*updates, (ALICE, network(play.inputs, 8))):
        play.ok(receipt)
    play.decide(ALICE, *strangers)
    assert play.round.winner == ALICE.address
    assert play.maturing(ALICE) == earned_alone(play)
    for name in strangers:
        play.withdraw(name)
    entry = entry_of(play.ledger.rules, play.round.terms, 0)
    assert all(play.spent(name) >= entry for name in strangers), "every name has burned an entry"
    assert sum(play.maturing(name) for name in strangers) == 0


def hostages(opener: object, kind: str) -> None:
    """A stranger keeps a public model busy, or trains it until it freezes as they like."""
    play = Play()
    if kind == "grow":
        play.freeze()
        payload = play.open_payload(grow_terms(play.parts))
    else:
        play.found()
        play.at(Phase.CLOSED)
        play.end()
        payload = play.open_payload(train_terms(play.parts, bounty=0))
    assert play.refused(opener, payload) == "opening_restricted"  # type: ignore[arg-type]


CROWDS = [(3, 20 * COIN), (70, 200 * COIN)]
COPIES = [(8, 7), (20, 6)]
HOSTAGES = [(BOB, "grow"), (CAROL, "train")]


@pytest.mark.parametrize(("names", "bounty"), CROWDS)
def test_commits_that_are_never_revealed(names: int, bounty: int) -> None:
    commits_that_are_never_revealed(names, bounty)


@pytest.mark.parametrize(("names", "bounty"), CROWDS)
def test_without_the_burned_entry(names: int, bounty: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_update, "entry_of", lambda *_: 0)
    fails(lambda: commits_that_are_never_revealed(names, bounty))


@pytest.mark.parametrize(("names", "bounty"), CROWDS)
def test_without_the_burned_bond(names: int, bounty: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdraw, "burn", lambda state, amount: give(state, BOB.address, amount))
    monkeypatch.setattr(Play, "spent", lambda play, actor: 0)
    fails(lambda: commits_that_are_never_revealed(names, bounty))


@pytest.mark.parametrize(("names", "gain"), COPIES)
def test_copies_of_one_network(names: int, gain: int) -> None:
    copies_of_one_network(names, gain)


@pytest.mark.parametrize(("names", "gain"), COPIES)
def test_copies_where_entering_is_free(names: int, gain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_update, "entry_of", lambda *_: 0)
    fails(lambda: copies_of_one_network(names, gain))


@pytest.mark.parametrize(("opener", "kind"), HOSTAGES)
def test_hostages(opener: object, kind: str) -> None:
    hostages(opener, kind)


@pytest.mark.parametrize(("opener", "kind"), HOSTAGES)
def test_hostages_where_anyone_opens(opener: object, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_round, "check_opening", lambda *_: None)
    fails(lambda: hostages(opener, kind))


def test_the_opener_pays_for_an_empty_round_too() -> None:
    """An opener who keeps a model busy with rounds in which nobody takes part gets all back but fees."""
    play = Play()
    play.found(terms=train_terms(play.parts, bounty=0))
    play.reveal_validation()
    play.at(Phase.CLOSED)
    assert play.end().status == RoundStatus.KEPT
    assert play.spent(OPENER) == 0
    assert SMALL_RULES.min_window_ticks <= play.round.terms.open_window
