"""Honest claims of all kinds of models and rounds survive an audit that computes every chunk of them."""

from dataclasses import replace
from typing import Any

import pytest

from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.primitives import keys
from engram.primitives.hashing import Tag, tagged_hash
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.claims import chunk_count, claimed_parts, rows_of
from engram.statemachine.rounds.records import ClaimStatus, RoundStatus
from engram.statemachine.transactions.fork_model import ForkModel
from tests.support import joint
from tests.support.claimed_rounds import EVERY_CHUNK, ClaimPlay, play_of
from tests.support.growing import growing
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    SMALL_RULES,
    WITNESS,
    Weights,
    grow_terms,
    growth,
    more_of_class_2,
    network,
)

GIVEN: dict[str, Any] = {"score_window": 24, "author_bond": 40 * COIN}


def survives(play: ClaimPlay, author: keys.PrivateKey, epoch: int = 0) -> None:
    """The claim of this author is confirmed, and its audit has computed every row of it."""
    play.pass_window(author, epoch)
    parts = claimed_parts(play.round, play.model)
    whole = sum(chunk_count(rows_of(play.round, part)) for part in parts)
    payload = play.confirm_payload(author, epoch)
    assert len(payload.chunks) == whole <= EVERY_CHUNK.audited
    play.ok(play.send(author, payload))
    claim = play.candidate(author, epoch).claim
    assert claim is not None
    assert claim.status == ClaimStatus.CONFIRMED


def grows(play: ClaimPlay, weights: Weights) -> int:
    """Bob brings a growth in the open round; the new version."""
    (receipt,) = play.play_epoch((BOB, weights))
    play.ok(receipt)
    play.audit()
    play.at(Phase.SCORE)
    play.score_update(BOB)
    survives(play, BOB)
    made = play.end().new_version
    play.withdraw_all()
    return made


@pytest.mark.parametrize(
    ("kind", "gain", "nudge"),
    [
        (LossKind.SOFTMAX_CROSS_ENTROPY, 8, 0),
        (LossKind.SQUARED_ERROR, 2, 128),
        (LossKind.ZERO_ONE, 8, 0),
    ],
)
def test_training_for_any_loss(kind: LossKind, gain: int, nudge: int) -> None:
    play = play_of(claims=EVERY_CHUNK)
    play.ok(play.found(loss_kind=int(kind)))
    play.reveal_validation()
    play.ok(play.play_epoch((ALICE, network(play.inputs, gain, nudge=nudge)))[0])
    play.audit()
    play.at(Phase.SCORE)
    play.score_update(ALICE)
    survives(play, ALICE)
    assert play.end().status == RoundStatus.DECIDED


def test_growth_after_growth_and_of_a_fork() -> None:
    """The second growth is also scored on the parts that the model retains, and so is one of a fork."""
    play = play_of(claims=EVERY_CHUNK)
    growing(play, terms=GIVEN)
    assert grows(play, growth(play.inputs, 4)) == 2
    assert len(play.model.retention) == 2
    receipt = play.ok(play.send(CAROL, ForkModel(play.model_id, 2)))
    for model, opener in ((play.model_id, None), (tagged_hash(Tag.MODEL, receipt.txid), CAROL)):
        play.model_id = model
        play.new_parts(rows=30)
        terms = grow_terms(play.parts, rows=30, old_rows=20, new_classes=0, **GIVEN)
        play.ok(play.send(opener, play.open_payload(terms)) if opener else play.open(terms))
        assert play.model.claims == EVERY_CHUNK
        if opener:
            break
        play.reveal_validation()
        assert grows(play, more_of_class_2(play.inputs, 4)) == 3


def test_growths_with_gates_and_their_union() -> None:
    play = play_of(claims=EVERY_CHUNK)
    joint.two_epochs(play, terms=GIVEN, policy=int(Policy.RELATIVE))
    joint.both_alone(play, joint.gated_leaning(play, 44), joint.gated_leaning(play, 212))
    play.ok(joint.send_union(play, CAROL, joint.union_of(play)))
    play.audit()
    play.at(Phase.SCORE)
    for author, epoch in ((ALICE, 0), (BOB, 0), (CAROL, 1)):
        play.score_update(author, epoch)
    for author, epoch in ((ALICE, 0), (BOB, 0), (CAROL, 1)):
        survives(play, author, epoch)
    assert play.end().winner == CAROL.address


def test_a_model_of_one_class_and_rows_of_a_witness() -> None:
    """It is frozen when it is founded, so its first round grows it, and it retains nothing."""
    play = play_of(claims=EVERY_CHUNK)
    weights = network(play.inputs, 4, classes=1)
    named = (NamedWitness(WITNESS.address, False),)
    terms = grow_terms(play.parts[:3], rows=24, old_rows=6, witnesses=named, **GIVEN)
    play.ok(play.found(weights, terms))
    play.seal(WITNESS, play.parts[3])
    play.reveal_validation()
    assert grows(play, growth(play.inputs, 8, classes=1, feature=0)) == 1
    assert [score.rows for score in play.round.winner_groups] == [24, 24]


def test_a_ring_that_is_as_short_as_the_time_for_scoring() -> None:
    """The blocks of the draw still stand in the ring when the last tick of SCORE confirms the first claim."""
    play = play_of(replace(SMALL_RULES, tick_ring=16), claims=EVERY_CHUNK)
    play.ok(play.found(terms=play.terms(score_window=16)))
    play.reveal_validation()
    play.ok(play.play_epoch((ALICE, network(play.inputs, 8)))[0])
    play.audit()
    play.at(Phase.SCORE)
    play.score_update(ALICE)
    play.ledger.skip_to_tick(play.span(Phase.SCORE).last)
    survives(play, ALICE)
    assert play.end().winner == ALICE.address
