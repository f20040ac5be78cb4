"""Limits of terms that no small round reaches: records must hold what they list, steps must fit a block."""

from dataclasses import replace

import pytest

from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec
from engram.statemachine.records import RetentionPart
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import StepTooHeavy, TermsInvalid
from engram.statemachine.rounds.terms import check_opening, check_terms
from engram.statemachine.rules import LOOKUP_MACS
from engram.statemachine.scoring import network_macs
from engram.statemachine.transactions.open_round import OpenRound
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


def test_a_step_fits_into_half_a_block() -> None:
    weights = network(6, 1)
    model, terms = a_model(), train_terms(PARTS, max_update_macs=100_000)
    needed = network_macs(SMALL_RULES, founding(weights), 8, 2) + 8 * 100_000
    tight = replace(SMALL_RULES, max_block_macs=2 * needed)
    check_opening(tight, terms, replace(model, frozen=False), founding(weights), OPENER)
    tighter = replace(SMALL_RULES, max_block_macs=2 * needed - 2)
    with pytest.raises(StepTooHeavy, match="sealed"):
        check_opening(tighter, terms, replace(model, frozen=False), founding(weights), OPENER)


def test_a_retention_part_of_many_rows_has_to_fit_too() -> None:
    weights = network(6, 1)
    model = a_model(RetentionPart(b"\1" * 32, 10**6, 2, 1, 1))
    with pytest.raises(StepTooHeavy, match="retention"):
        check_opening(SMALL_RULES, grow_terms(PARTS), model, founding(weights), OPENER)


def test_activations_on_a_part_have_to_be_few_enough_to_keep() -> None:
    """60,000 neurons of two bytes and two sums of eight on a row; 2^28 bytes in all."""
    blocks = (DenseRelu(1, 0, 6, 60_000, 0, 16, 8),), (Output(1, 0, 60_000, 0, 2, 0, 8),)
    wide = founding(replace(network(6, 1), spec=NetworkSpec(6, 2, (), *blocks)))
    model = replace(a_model(), frozen=False)
    roomy = replace(SMALL_RULES, max_block_macs=10**12)
    fits = 2**28 // (60_000 * 2 + 16)
    check_opening(roomy, train_terms(PARTS, rows=fits), model, wide, OPENER)
    with pytest.raises(StepTooHeavy, match="activations"):
        check_opening(roomy, train_terms(PARTS, rows=fits + 1), model, wide, OPENER)


def test_growth_of_a_model_that_remembers_needs_time_to_be_scored() -> None:
    weights = network(6, 1)
    model = a_model(RetentionPart(b"\1" * 32, 8, 2, 1, 1))
    with pytest.raises(TermsInvalid, match="retention window"):
        check_opening(SMALL_RULES, grow_terms(PARTS, retention_window=0), model, founding(weights), OPENER)
    check_opening(SMALL_RULES, grow_terms(PARTS, retention_window=0), a_model(), founding(weights), OPENER)


def test_an_update_beyond_its_cap_is_charged_no_work() -> None:
    """Its size alone shows that it is wrong, so nobody computes its loss."""
    play = Play()
    play.found(terms=train_terms(play.parts, max_update_bytes=100))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    weights = network(play.inputs, 8)
    claim = play.commit(ALICE, weights)
    play.at(Phase.UPDATE)
    cost = play.update_payload(claim, weights).cost(play.ledger.state, play.ledger.ctx, ALICE.address)
    assert cost.macs == 0


def test_opening_a_round_needs_no_more_than_half_a_block_either() -> None:
    """Each of the 4 commitments is looked up for 2^20 MACs; the network is loaded besides."""
    play = Play(rules=replace(SMALL_RULES, max_block_macs=8 * LOOKUP_MACS))
    terms = train_terms(play.parts, max_update_macs=1)
    payload = OpenRound(terms, founding=founding(network(play.inputs, 0)))
    assert play.refused(ALICE, payload) == "step_too_heavy"
