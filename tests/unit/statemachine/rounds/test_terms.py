"""Limits of terms that no small round reaches: records must hold what they list, steps must fit a block."""

import pytest

from engram.statemachine.phases import Phase
from engram.statemachine.records import RetentionPart
from engram.statemachine.round_errors import StepTooHeavy, TermsInvalid
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import network_macs
from engram.statemachine.terms import check_opening, check_terms, reserved_share
from tests.support.round_samples import a_model
from tests.support.rounds import (
    ALICE,
    SMALL_RULES,
    Play,
    founding,
    grow_terms,
    make_part,
    network,
    train_terms,
)

PARTS = [make_part(index, parts=4) for index in range(4)]
MANY = tuple(index.to_bytes(32, "big") for index in range(256))
AUDITORS = tuple(bytes([index]) * 20 for index in range(1, 9))
OPENER = bytes(20)


def test_records_list_no_more_parts_than_they_can() -> None:
    check_terms(SMALL_RULES, train_terms(PARTS, commitments=MANY, sealed=247, auditors=AUDITORS, rows=1))
    with pytest.raises(TermsInvalid, match="parts to open"):
        check_terms(SMALL_RULES, train_terms(PARTS, commitments=MANY, sealed=248, auditors=AUDITORS, rows=1))


def test_sums_of_losses_fit_their_fields() -> None:
    check_terms(SMALL_RULES, train_terms(PARTS, commitments=MANY[:21], rows=99_864, sealed=20))
    with pytest.raises(TermsInvalid, match="rows to open"):
        check_terms(SMALL_RULES, train_terms(PARTS, commitments=MANY[:21], rows=99_865, sealed=20))


def test_a_step_fits_beside_everything_that_is_reserved() -> None:
    weights = network(6, 1)
    model, terms = a_model(), train_terms(PARTS, max_update_macs=100_000)
    needed = network_macs(SMALL_RULES, founding(weights), 8, 2) + 8 * 100_000
    tight = Rules(**{**vars(SMALL_RULES), "max_block_macs": 2 * needed})
    assert reserved_share(tight, tight.max_block_macs) == needed
    frozen = {**vars(model), "frozen": False, "classes": 2}
    check_opening(tight, terms, type(model)(**frozen), founding(weights), OPENER)
    tighter = Rules(**{**vars(SMALL_RULES), "max_block_macs": 2 * needed - 2})
    with pytest.raises(StepTooHeavy, match="sealed"):
        check_opening(tighter, terms, type(model)(**frozen), founding(weights), OPENER)


def test_a_retention_part_of_many_rows_has_to_fit_too() -> None:
    weights = network(6, 1)
    model = a_model(RetentionPart(b"\1" * 32, 10**6, 2, 1, 1))
    with pytest.raises(StepTooHeavy, match="retention"):
        check_opening(SMALL_RULES, grow_terms(PARTS), model, founding(weights), OPENER)


def test_growth_of_a_model_that_remembers_needs_time_to_be_scored() -> None:
    weights = network(6, 1)
    model = a_model(RetentionPart(b"\1" * 32, 8, 2, 1, 1))
    with pytest.raises(TermsInvalid, match="retention window"):
        check_opening(SMALL_RULES, grow_terms(PARTS, retention_window=0), model, founding(weights), OPENER)
    check_opening(SMALL_RULES, grow_terms(PARTS, retention_window=0), a_model(), founding(weights), OPENER)


def test_an_update_beyond_its_cap_takes_no_booked_room() -> None:
    """It pays like any other transaction for the block's free bytes."""
    play = Play()
    play.found(terms=train_terms(play.parts, max_update_bytes=100))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    weights = network(play.inputs, 8)
    claim = play.commit(ALICE, weights)
    play.at(Phase.UPDATE)
    cost = play.update_payload(claim, weights).cost(play.ledger.state, play.ledger.ctx, ALICE.address)
    assert (cost.reserved, cost.macs) == (False, 0)
