"""Uniting the work of others earns nothing, and nobody is put beside somebody else's work to share its pay.

A stranger can always bring what is public as an own update, and is paid for what that removes from the best
so far. Unions must give no more than that, and to nobody but those whose halves have removed something.
"""

from dataclasses import replace

import pytest

from engram.primitives import keys
from engram.statemachine.records import BadgeKind
from engram.statemachine.rounds import union, update
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import HalfMissing
from engram.statemachine.rounds.records import Candidate
from engram.statemachine.rounds.rewards import Rung, ladder
from engram.statemachine.rounds.terms import entry_of
from engram.statemachine.transactions import commit_update, score_update
from tests.support.attacks import crowd, fails, play_with
from tests.support.growing import finish, wide_terms
from tests.support.joint import (
    FREE,
    both_alone,
    from_update,
    leaning,
    paid,
    points,
    send_union,
    share,
    two_epochs,
    union_of,
)
from tests.support.rounds import ALICE, BOB, CAROL, Play

HARMFUL = -1_000
"""A growth that leans so far removes next to nothing."""


def a_worthless_half(lean: int) -> None:
    """Bob's half removes nothing that could be proved. He unites it with Alice's, which it helps."""
    play = two_epochs()
    before = play.fork()
    both_alone(play, leaning(play, lean), leaning(play, HARMFUL))
    play.ok(send_union(play, BOB, union_of(play)))
    assert finish(play) == 2
    first, second = ladder(play.round)
    assert second.best.author == BOB.address, "the union is the next version"
    pot = play.round.terms.bounty
    assert paid(play, ALICE) == first.of(pot) + second.of(pot)
    assert (paid(play, BOB), play.badges(BOB, 2)) == (0, set())
    assert points(play, BOB) == points(before, BOB)
    assert play.spent(BOB) > entry_of(play.ledger.rules, play.round.terms, 1), "entries are burned"


def uniting_for_others(names: int) -> None:
    """A stranger under many names sends the union of two growths, once under each name."""
    strangers = crowd(names)
    play = crowded(strangers)
    both_alone(play)
    united = union_of(play)
    for receipt in play.play_epoch(*((name, united) for name in strangers), epoch=1):
        play.ok(receipt)
    play.decide(ALICE, BOB, *strangers)
    for name in strangers:
        play.withdraw(name, 1)
    assert play.round.winner in {name.address for name in strangers}
    entry = entry_of(play.ledger.rules, play.round.terms, 1)
    for name in strangers:
        assert (paid(play, name), points(play, name), play.badges(name, 2)) == (0, 0, set())
        assert play.spent(name) == entry, "every name has burned an entry"
    earned = sum(rung.of(play.round.terms.bounty) for rung in ladder(play.round))
    assert paid(play, ALICE) + paid(play, BOB) == earned
    assert BadgeKind.TEACHER in play.badges(ALICE, 2) & play.badges(BOB, 2)


def crowded(strangers: list[keys.PrivateKey]) -> Play:
    """As `two_epochs`, with purses for strangers and time to score all that they send."""
    play = play_with(strangers)
    play.freeze(**FREE)
    play.new_parts(rows=30)
    play.ok(play.open(wide_terms(play, epochs=2, score_window=40)))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    return play


def a_copy_beside_its_original(lean: int) -> None:
    """Bob copies Alice's growth with a change, one epoch later, and unites the copy with the original."""
    play = two_epochs(terms={"epochs": 3})
    play.ok(play.play_epoch((ALICE, leaning(play, 1_100)))[0])
    play.ok(play.play_epoch((BOB, leaning(play, lean)), epoch=1)[0])
    play.at(Phase.COMMIT, 2)
    base = play.composition(play.round.version).spec
    united = union.united_update(base, (play.candidate(ALICE), play.candidate(BOB, 1)))
    receipt = send_union(play, CAROL, from_update(united), 2)
    assert receipt.code == "half_missing"
    assert finish(play) == 2
    assert paid(play, ALICE) == ladder(play.round)[0].of(play.round.terms.bounty)
    assert paid(play, BOB) == 0


def a_union_of_a_union(statistics: bytes) -> None:
    """Carol unites two growths, then her union with one of them: so she would be the author of a half."""
    play = two_epochs(terms={"epochs": 3})
    both_alone(play, leaning(play, 1_400), leaning(play, -150))
    play.ok(send_union(play, CAROL, union_of(play, statistics=statistics)))
    play.at(Phase.COMMIT, 2)
    base = play.composition(play.round.version).spec
    united = union.united_update(base, (play.candidate(BOB), play.candidate(CAROL, 1)))
    assert send_union(play, CAROL, from_update(united), 2).code == "half_missing"
    assert finish(play) == 2
    assert (paid(play, CAROL), points(play, CAROL)) == (0, 0)


def a_half_left_unscored(sender: keys.PrivateKey, other: keys.PrivateKey) -> None:
    """The author of one half has it scored with the union, and not the other one."""
    play = both_alone(two_epochs())
    play.ok(send_union(play, sender, union_of(play)))
    play.audit()
    play.at(Phase.SCORE)
    play.score_update(sender)
    wanted = play.score_payload(sender, 1)
    if play.refused(sender, wanted) == "half_not_scored":
        play.score_update(other, sender=sender)
    play.ok(play.send(sender, wanted))
    play.end()
    last = ladder(play.round)[-1]
    assert last.best.author == sender.address
    loss, baseline = share(play, other)
    assert loss < baseline, "the other half has removed something"
    rung = last.of(play.round.terms.bounty)
    mine, theirs = (
        half.weight for half in sorted(last.best.halves, key=lambda half: half.author != sender.address)
    )
    assert abs(dict(last.divided(rung))[other.address] - rung * theirs // (mine + theirs)) <= 1
    assert paid(play, other) > rung // 3


def halves_that_nobody_names(sender: keys.PrivateKey) -> None:
    """A thief sends the union as a growth of their own, where halves are as large as the terms allow."""
    play = both_alone(two_epochs(terms={"max_update_neurons": 1}))
    stolen = replace(union_of(play), halves=())
    assert send_union(play, sender, stolen).code == "update_too_wide"
    assert finish(play) == 2
    assert paid(play, CAROL) == 0
    assert play.spent(sender) > play.round.terms.author_bond


WORTHLESS = [1_000, 1_050]
CROWDS = [1, 4]
COPIES = [-250, -300]
NOTES = [bytes(32), b"\x01" * 32]
PAIRS = [(ALICE, BOB), (BOB, ALICE)]
THIEVES = [ALICE, CAROL]


def without_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves may be of any epoch: the latest candidate of an author counts."""

    def of_any_epoch(state: object, round_: object, author: bytes) -> Candidate:
        for epoch in (1, 0):
            found = state.find(Candidate, round_.id, bytes([epoch]), author)  # type: ignore[attr-defined]
            if isinstance(found, Candidate):
                return found
        raise HalfMissing(got=author)

    monkeypatch.setattr(union, "_candidate", of_any_epoch)
    monkeypatch.setattr(
        union, "find_candidate", lambda state, round_, _, author: of_any_epoch(state, round_, author)
    )


@pytest.mark.parametrize("lean", WORTHLESS)
def test_a_worthless_half(lean: int) -> None:
    a_worthless_half(lean)


@pytest.mark.parametrize("lean", WORTHLESS)
def test_a_worthless_half_where_all_weigh_the_same(lean: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(union, "_weight", lambda *_: 1)
    fails(lambda: a_worthless_half(lean))


@pytest.mark.parametrize("names", CROWDS)
def test_uniting_for_others(names: int) -> None:
    uniting_for_others(names)


@pytest.mark.parametrize("names", CROWDS)
def test_uniting_where_it_is_paid(names: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rung, "divided", lambda rung, amount: [(rung.best.author, amount)])
    fails(lambda: uniting_for_others(names))


@pytest.mark.parametrize("names", CROWDS)
def test_uniting_where_entering_is_free(names: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_update, "entry_of", lambda *_: 0)
    fails(lambda: uniting_for_others(names))


@pytest.mark.parametrize("lean", COPIES)
def test_a_copy_beside_its_original(lean: int) -> None:
    a_copy_beside_its_original(lean)


@pytest.mark.parametrize("lean", COPIES)
def test_a_copy_where_halves_come_from_any_epoch(lean: int, monkeypatch: pytest.MonkeyPatch) -> None:
    without_refusals(monkeypatch)
    fails(lambda: a_copy_beside_its_original(lean))


@pytest.mark.parametrize("statistics", NOTES)
def test_a_union_of_a_union(statistics: bytes) -> None:
    a_union_of_a_union(statistics)


@pytest.mark.parametrize("statistics", NOTES)
def test_a_union_of_a_union_where_it_is_taken(statistics: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    without_refusals(monkeypatch)
    fails(lambda: a_union_of_a_union(statistics))


@pytest.mark.parametrize(("sender", "other"), PAIRS)
def test_a_half_left_unscored(sender: keys.PrivateKey, other: keys.PrivateKey) -> None:
    a_half_left_unscored(sender, other)


@pytest.mark.parametrize(("sender", "other"), PAIRS)
def test_a_half_left_unscored_where_the_union_does_not_wait(
    sender: keys.PrivateKey, other: keys.PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_update, "check_halves_scored", lambda *_: None)
    fails(lambda: a_half_left_unscored(sender, other))


@pytest.mark.parametrize("sender", THIEVES)
def test_halves_that_nobody_names(sender: keys.PrivateKey) -> None:
    halves_that_nobody_names(sender)


@pytest.mark.parametrize("sender", THIEVES)
def test_halves_that_nobody_names_where_all_are_as_wide(
    sender: keys.PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "halves_of", lambda growth: (growth,))
    fails(lambda: halves_that_nobody_names(sender))
