"""T candidates at most: who gets a place, who gives it up, what a bid is worth."""

from dataclasses import replace
from itertools import pairwise

import pytest

from engram.primitives.keys import PrivateKey
from engram.statemachine.receipt import Receipt
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import places
from engram.statemachine.rules import Rules
from engram.statemachine.transactions.commit_update import CommitUpdate
from tests.support.ledger import Ledger
from tests.support.rounds import (
    ACTORS,
    ALICE,
    BOB,
    CAROL,
    COIN,
    PURSE,
    SMALL_RULES,
    Play,
    Weights,
    network,
    train_terms,
)

TWO_PLACES = replace(SMALL_RULES, max_candidates=2)


def committed(*authors: tuple[PrivateKey, Weights], epochs: int = 1, play: Play | None = None) -> Play:
    """A round of two places in UPDATE, with these commits in epoch 0."""
    play = play or Play(rules=TWO_PLACES)
    play.found(terms=train_terms(play.parts, epochs=epochs, commit_window=4, update_window=4))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    for author, weights in authors:
        play.commit(author, weights)
    play.at(Phase.UPDATE)
    return play


def reveal(play: Play, author: PrivateKey, weights: Weights, bid: int = 0, epoch: int = 0) -> Receipt:
    return play.ok(play.send(author, play.update_payload(play.claim(author, weights, epoch), weights, bid)))


def names(receipt: Receipt) -> list[str]:
    return [event.name for event in receipt.events]


def test_the_smallest_bid_gives_way_to_a_higher_one() -> None:
    good, better, best = (network(6, gain) for gain in (4, 6, 8))
    play = committed((ALICE, good), (BOB, better), (CAROL, best))
    reveal(play, ALICE, good)
    reveal(play, BOB, better)
    receipt = reveal(play, CAROL, best, bid=1)
    assert names(receipt) == ["candidate_evicted", "candidate_admitted"]
    assert [name.author for name in play.round.candidates] == [BOB.address, CAROL.address]
    assert play.spent(ALICE) == 0, "the evicted one, of the same bid and the higher loss, has all of it back"
    assert play.spent(CAROL) == COIN + play.candidate(CAROL).escrow + 1


def test_an_equal_bid_does_not_take_a_place() -> None:
    good, better, best = (network(6, gain) for gain in (4, 6, 8))
    play = committed((ALICE, good), (BOB, better), (CAROL, best))
    reveal(play, ALICE, good, bid=7)
    reveal(play, BOB, better, bid=9)
    receipt = reveal(play, CAROL, best, bid=7)
    assert names(receipt) == ["candidate_refused"]
    assert play.spent(CAROL) == 0
    assert [name.author for name in play.round.candidates] == [ALICE.address, BOB.address]


def test_each_epoch_has_places_of_its_own() -> None:
    """Two places, two epochs: one by the end of the first, and nobody loses it to the second."""
    good, better, best = (network(6, gain) for gain in (4, 6, 8))
    play = committed((ALICE, good), (BOB, better), epochs=2)
    reveal(play, ALICE, good)
    assert names(reveal(play, BOB, better)) == ["candidate_refused"]
    play.at(Phase.COMMIT, 1)
    play.commit(BOB, better, 1)
    play.commit(CAROL, best, 1)
    play.at(Phase.UPDATE, 1)
    assert names(reveal(play, CAROL, best, epoch=1)) == ["candidate_admitted"]
    receipt = reveal(play, BOB, better, epoch=1, bid=1)
    assert names(receipt) == ["candidate_evicted", "candidate_admitted"]
    held = [(name.author, name.epoch) for name in play.round.candidates]
    assert held == [(ALICE.address, 0), (BOB.address, 1)]


@pytest.mark.parametrize(("most", "epochs"), [(8, 1), (8, 3), (8, 8), (2, 2), (1, 1), (7, 5)])
def test_places_add_up_and_no_epoch_is_left_without(most: int, epochs: int) -> None:
    rules, terms = Rules(max_candidates=most), train_terms(Play().parts, epochs=epochs)
    steps = [0, *(places(rules, terms, epoch) for epoch in range(epochs))]
    assert steps[-1] == most
    assert all(after > before for before, after in pairwise(steps))


def test_places_that_an_epoch_leaves_are_for_the_next() -> None:
    good, better = network(6, 4), network(6, 8)
    play = committed(epochs=2)
    play.at(Phase.COMMIT, 1)
    play.commit(ALICE, good, 1)
    play.commit(BOB, better, 1)
    play.at(Phase.UPDATE, 1)
    for author, weights in ((ALICE, good), (BOB, better)):
        assert "candidate_admitted" in names(reveal(play, author, weights, epoch=1))


def test_who_cannot_pay_the_scorings_gets_the_bond_back() -> None:
    weights = network(6, 8)
    ledger = Ledger({**dict.fromkeys(ACTORS, PURSE), ALICE: COIN + 500_000}, rules=TWO_PLACES)
    play = committed((ALICE, weights), play=Play(ledger=ledger))
    receipt = reveal(play, ALICE, weights, bid=2 * COIN)
    assert names(receipt) == ["candidate_unfunded"]
    assert play.account(ALICE).balance == COIN + 500_000 - play.fees[ALICE.address]
    assert play.round.candidates == ()


def test_bond_and_bid_are_burned_if_the_sealed_parts_refute_the_candidate() -> None:
    play = Play(rules=TWO_PLACES)
    play.found()
    play.reveal_validation()
    leaked = network(play.inputs, 8, feature=play.leaking_feature())
    play.at(Phase.COMMIT)
    play.commit(ALICE, leaked)
    play.at(Phase.UPDATE)
    reveal(play, ALICE, leaked, bid=5 * COIN)
    price = play.candidate(ALICE).escrow
    play.audit()
    play.end()
    assert play.spent(ALICE) == 6 * COIN + price
    burned = play.named("bond_burned")[0]
    assert burned.values == (0, 6 * COIN)


def test_the_bid_returns_to_an_honest_candidate() -> None:
    play = Play(rules=TWO_PLACES)
    weights = network(play.inputs, 8)
    play.found()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    play.commit(ALICE, weights)
    play.at(Phase.UPDATE)
    reveal(play, ALICE, weights, bid=5 * COIN)
    price = play.candidate(ALICE).escrow
    play.audit()
    play.end()
    assert play.spent(ALICE) == price


def test_a_place_is_taken_by_a_revealed_update_only() -> None:
    play = Play(rules=TWO_PLACES)
    play.found()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    for actor in (ALICE, BOB):
        play.ok(play.send(actor, CommitUpdate(play.id, 0, b"\x42" * 32)))
    play.at(Phase.AUDIT)
    assert play.end().candidates == ()
    assert play.spent(ALICE) == play.spent(BOB) == COIN
