"""The gate of growth: what a frozen model knows is measured on rows that no author has seen."""

from dataclasses import replace

import pytest

from engram.statemachine.records import NamedWitness, RetiredPart
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import OwnerGroup
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.retire_part import RetirePart
from tests.support.growing import ENTRY, finish, growing, reveal, wide_terms
from tests.support.rounds import (
    BOB,
    OPENER,
    WITNESS,
    Play,
    forgetful,
    growth,
    make_part,
)


def test_a_candidate_that_was_not_scored_on_retention_parts_cannot_win_but_keeps_its_bond() -> None:
    """It has shown a gain on the unseen parts; what it has forgotten nobody has asked."""
    play = growing()
    play.ok(reveal(play, growth(play.inputs, 8)))
    play.audit()
    play.at(Phase.SCORE)
    payload = play.score_payload(BOB)
    assert payload.parts == (0, 1), "one unseen part and one retention part"
    play.ok(play.send(BOB, replace(payload, parts=(0,))))
    ended = play.end()
    assert (ended.status, play.model.head) == (RoundStatus.KEPT, 1)
    play.withdraw(BOB)
    assert play.spent(BOB) == ENTRY
    assert play.badges(BOB, 2) == set()


@pytest.mark.parametrize(("delta", "rises"), [(0, True), (10**7, False)])
def test_the_loss_on_old_rows_is_held_by_the_model(delta: int, rises: bool) -> None:
    play = growing(threshold_ppm=100_000, retention_delta_ppm=delta)
    play.ok(reveal(play, forgetful(play.inputs, 700)))
    assert finish(play) == 0
    assert ("old_loss_rises" in play.reasons(BOB)) is rises
    assert play.spent(BOB) == ENTRY, "it has shown a gain, so the bond returns"


def test_a_candidate_that_forgets_old_rows_cannot_win_however_much_loss_is_allowed() -> None:
    play = growing(retention_delta_ppm=10**7)
    play.ok(reveal(play, forgetful(play.inputs, 650)))
    assert finish(play) == 0
    assert "forgets_old_rows" in play.reasons(BOB)
    assert "forgets_retention_rows" in play.reasons(BOB)


def test_what_growths_lose_adds_up_until_the_founder_allows_more() -> None:
    """A few rows of 20 are lost by a model that may lose one in five, and one in ten in all."""
    play = growing(retention_epsilon_ppm=200_000, retention_delta_ppm=10**7, lost_cap_ppm=100_000)
    play.ok(reveal(play, forgetful(play.inputs, 510)))
    play.decide()
    lost = 10**6 * play.candidate(BOB).groups[OwnerGroup.OPENER].forgotten // 20
    assert play.round.status == RoundStatus.DECIDED, play.reasons(BOB)
    assert play.model.lost_ppm == lost >= 100_000
    play.new_parts(classes=3, rows=30)
    terms = wide_terms(play)
    assert play.refused(OPENER, play.open_payload(terms)) == "memory_spent"
    amend = AmendModel(play.model_id, (), (), lost)
    assert play.refused(BOB, amend) == "not_the_founder"
    assert play.refused(OPENER, replace(amend, lost_cap_ppm=99_999)) == "limit_lowered"
    play.ok(play.send(OPENER, amend))
    assert play.refused(OPENER, play.open_payload(terms)) == "memory_spent"
    play.ok(play.send(OPENER, replace(amend, lost_cap_ppm=lost + 1)))
    play.ok(play.open(terms))


def test_retention_parts_are_retired_by_the_founder_between_rounds() -> None:
    play = growing()
    payload = RetirePart(play.model_id, play.model.retention[0].part)
    assert play.refused(OPENER, payload) == "round_already_open"
    play.end()
    assert play.refused(BOB, payload) == "not_the_founder"
    assert play.refused(OPENER, replace(payload, part=bytes(32))) == "part_not_retained"
    play.ok(play.send(OPENER, payload))
    assert play.model.retention == ()
    retired = play.ledger.state.get(RetiredPart, play.model_id, payload.part)
    assert retired.version == 1


@pytest.mark.parametrize("old_rows", [20, 21])
def test_a_sealed_part_must_hold_the_old_rows_that_it_promises(old_rows: int) -> None:
    """Of 30 rows 20 are old. A validation part promises nothing."""
    play = growing(terms={"old_rows": old_rows})
    play.ok(reveal(play, growth(play.inputs, 8)))
    play.at(Phase.AUDIT)
    payload = play.sealed_payload(play.secret(play.round.sealed_drawn[0]))
    receipt = play.send(OPENER, payload)
    assert receipt.code == ("" if old_rows == 20 else "too_few_old_rows")
    assert play.round.status == (RoundStatus.ABORTED if receipt.code else RoundStatus.OPEN)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_witness_of_old_classes_shows_nothing_else(classes: int) -> None:
    play = Play(parts=5)
    play.freeze()
    theirs = make_part(4, parts=5, classes=classes, rows=30, seed=7)
    named = (NamedWitness(WITNESS.address, True),)
    play.new_parts(rows=30)
    play.parts = play.parts[:4]
    play.ok(play.open(wide_terms(play, witnesses=named)))
    play.seal(WITNESS, theirs)
    play.reveal_validation()
    play.at(Phase.COMMIT)
    play.ok(reveal(play, growth(play.inputs, 8)))
    play.at(Phase.AUDIT_WITNESSES)
    receipt = play.send(WITNESS, play.sealed_payload(theirs))
    assert receipt.code == ("" if classes == 2 else "too_few_old_rows")
    play.at(Phase.AUDIT)
    play.ok(play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0]))))
    play.score_all()
    groups = play.candidate(BOB).groups
    assert [group.rows for group in groups] == ([60, 0] if classes == 2 else [30, 0])
    assert play.end().status == RoundStatus.DECIDED


def test_a_growth_that_leaves_the_model_above_its_threshold_cannot_win() -> None:
    play = growing(threshold_ppm=120_000)
    play.ok(reveal(play, growth(play.inputs, 1)))
    assert finish(play) == 0
    assert play.reasons(BOB) == ("above_threshold",)
    assert play.spent(BOB) == ENTRY


def test_retention_parts_gather() -> None:
    play = growing()
    first = play.model.retention[0]
    play.ok(reveal(play, growth(play.inputs, 8)))
    assert finish(play) == 2
    kept, joined = play.model.retention
    assert kept == first
    opened = (*play.round.validation_opened, *play.round.unseen)
    assert joined.part in [part.commitment for part in opened]
    assert (joined.classes, joined.rows) == (3, 30)
