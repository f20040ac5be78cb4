"""Limits of terms that no small round reaches: records must hold what they list, steps must fit a block."""

from dataclasses import replace
from typing import Any

import pytest

from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.fees import price_of_macs
from engram.statemachine.records import Model, NamedWitness, RetentionPart
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import BondTooLow, MemorySpent, StepTooHeavy, TermsInvalid
from engram.statemachine.rounds.records import RoundTerms
from engram.statemachine.rounds.terms import (
    Founding,
    check_founding,
    check_opening,
    check_terms,
    entry_of,
    witness_bond,
)
from engram.statemachine.rules import LOOKUP_MACS, Rules
from engram.statemachine.scoring import network_macs
from engram.statemachine.transactions.open_round import OpenRound
from tests.support.round_samples import a_model
from tests.support.rounds import (
    ALICE,
    COIN,
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
OPENER = bytes(20)
WEIGHTS = network(6, 1)
MODEL = a_model()
YOUNG = replace(MODEL, frozen=False)


def witnesses(count: int, *, old_only: bool = False) -> tuple[NamedWitness, ...]:
    return tuple(NamedWitness(bytes([index]) * 20, old_only) for index in range(1, count + 1))


def check(
    terms: RoundTerms, model: Model = MODEL, rules: Rules = SMALL_RULES, head: Founding | None = None
) -> None:
    check_opening(rules, terms, model, head or founding(WEIGHTS), OPENER)


def test_the_least_parts_and_rows_are_those_of_the_rules() -> None:
    rules = replace(SMALL_RULES, min_parts=6, min_validation=2, min_sealed=3, min_sealed_rows=24)
    terms: dict[str, Any] = {"commitments": MANY[:6], "validation": 2, "sealed": 3}
    check_terms(rules, train_terms(PARTS, **terms))
    for changes, reason in (
        ({"commitments": MANY[:5]}, "parts"),
        ({"validation": 1}, "validation parts"),
        ({"sealed": 2}, "sealed parts"),
        ({"rows": 7}, "sealed rows of the opener"),
        ({"z_squared": 3}, "z squared"),
        ({"old_rows": 1}, "old rows in TRAIN"),
        ({"new_classes": 1}, "new classes in TRAIN"),
    ):
        with pytest.raises(TermsInvalid, match=reason):
            check_terms(rules, train_terms(PARTS, **{**terms, **changes}))


def test_nobody_asks_for_a_gain_that_the_rows_cannot_prove() -> None:
    """With fewer than z² rows nothing is proved; the rules ask for twice as many."""
    for rows, most in ((8, 4), (10, 5), (40, 20), (400, 200)):
        check_terms(SMALL_RULES, train_terms(PARTS, rows=rows, z_squared=most))
        with pytest.raises(TermsInvalid, match="z squared"):
            check_terms(SMALL_RULES, train_terms(PARTS, rows=rows, z_squared=most + 1))


def test_no_part_can_promise_more_old_rows_than_it_has() -> None:
    check_terms(SMALL_RULES, grow_terms(PARTS, old_rows=9))
    with pytest.raises(TermsInvalid, match="old classes"):
        check_terms(SMALL_RULES, grow_terms(PARTS, old_rows=10))


def test_records_list_no_more_parts_than_they_can() -> None:
    """Eight witnesses may come to the parts of the opener."""
    check_terms(SMALL_RULES, train_terms(PARTS, commitments=MANY, sealed=247, rows=1))
    with pytest.raises(TermsInvalid, match="parts to open"):
        check_terms(SMALL_RULES, train_terms(PARTS, commitments=MANY, sealed=248, rows=1))


def test_sums_of_losses_fit_their_fields() -> None:
    rules = replace(SMALL_RULES, max_retention_rows=4 * 100_000)
    check_terms(rules, train_terms(PARTS, commitments=MANY[:21], rows=72_315, sealed=20))
    with pytest.raises(TermsInvalid, match="rows to open"):
        check_terms(rules, train_terms(PARTS, commitments=MANY[:21], rows=72_316, sealed=20))


def test_one_part_pushes_few_others_out_of_what_a_model_retains() -> None:
    most = SMALL_RULES.max_retention_rows // 4
    check_terms(SMALL_RULES, train_terms(PARTS, rows=most))
    with pytest.raises(TermsInvalid, match="rows is out of bounds"):
        check_terms(SMALL_RULES, train_terms(PARTS, rows=most + 1))


def test_standing_witnesses_have_enough_rows_for_a_group_of_their_own() -> None:
    rules = replace(SMALL_RULES, min_witness_rows=16)
    one, two = (replace(YOUNG, witnesses=witnesses(count)) for count in (1, 2))
    old_only = replace(YOUNG, witnesses=witnesses(2, old_only=True))
    for model in (two, old_only, YOUNG):
        check(train_terms(PARTS, rows=8), model, rules)
    with pytest.raises(TermsInvalid, match="rows of the standing witnesses"):
        check(train_terms(PARTS, rows=8), one, rules)


@pytest.mark.parametrize(
    ("bounty", "first", "later"),
    [(0, 10**6, 10**6), (10 * COIN, 10**6, 10**7), (5_000 * COIN, 5 * COIN, 50 * COIN)],
)
def test_an_entry_is_a_thousandth_of_the_bounty_and_later_a_hundredth(
    bounty: int, first: int, later: int
) -> None:
    terms = train_terms(PARTS, bounty=bounty)
    assert [entry_of(SMALL_RULES, terms, epoch) for epoch in (0, 1, 31)] == [first, later, later]


def test_bonds_follow_the_bounty() -> None:
    high = train_terms(PARTS, bounty=40 * COIN, opener_bond=20 * COIN)
    check_terms(SMALL_RULES, high)
    assert witness_bond(SMALL_RULES, high) == 40 * COIN
    with pytest.raises(BondTooLow):
        check_terms(SMALL_RULES, replace(high, opener_bond=20 * COIN - 1))
    low = train_terms(PARTS, bounty=COIN // 2)
    assert witness_bond(SMALL_RULES, low) == COIN
    with pytest.raises(BondTooLow):
        check_terms(SMALL_RULES, replace(low, opener_bond=10 * COIN - 1))
    with pytest.raises(BondTooLow):
        check_terms(SMALL_RULES, replace(low, author_bond=COIN - 1))


def test_the_bond_of_an_author_pays_four_times_for_scoring_on_everything() -> None:
    """Ten unseen parts, of two sealed and eight witnesses, and in GROW the retention parts."""
    terms = grow_terms(PARTS, sealed=2, max_update_macs=400 * COIN)
    kept = RetentionPart(b"\1" * 32, 18, 2)
    roomy = replace(SMALL_RULES, max_block_macs=10**13)
    base = network_macs(roomy, founding(WEIGHTS), 9, 3)
    unseen = price_of_macs(roomy.fees, base + 400 * COIN)
    twice = price_of_macs(roomy.fees, network_macs(roomy, founding(WEIGHTS), 18, 3) + 800 * COIN)
    least = 4 * (10 * unseen + twice)
    assert least > COIN
    check(replace(terms, author_bond=least), a_model(kept), roomy)
    with pytest.raises(BondTooLow, match="price of scoring"):
        check(replace(terms, author_bond=least - 1), a_model(kept), roomy)


def test_witnesses_are_named_once_are_few_and_paid_by_the_bounty() -> None:
    check(train_terms(PARTS, witnesses=witnesses(8), witness_fee=20 * COIN // 16), YOUNG)
    standing = replace(YOUNG, witnesses=witnesses(8)[4:])
    check(train_terms(PARTS, witnesses=witnesses(4)), standing)
    for terms, model, reason in (
        (train_terms(PARTS, witnesses=witnesses(9)), YOUNG, "witnesses"),
        (train_terms(PARTS, witnesses=witnesses(8), witness_fee=2 * COIN), YOUNG, "fees"),
        (train_terms(PARTS, witnesses=witnesses(5)), standing, "named twice"),
        (train_terms(PARTS, witnesses=(NamedWitness(OPENER, False),)), YOUNG, "cannot be a witness"),
        (train_terms(PARTS), replace(YOUNG, witnesses=(NamedWitness(OPENER, False),)), "cannot be a witness"),
    ):
        with pytest.raises(TermsInvalid, match=reason):
            check(terms, model)


def test_growth_needs_a_promise_of_old_rows_from_whoever_must_keep_it() -> None:
    """The opener and standing witnesses must; a witness in the terms may seal nothing."""
    check(grow_terms(PARTS, old_rows=6))
    few = grow_terms(PARTS, old_rows=3)
    with pytest.raises(TermsInvalid, match="promised"):
        check(few)
    with pytest.raises(TermsInvalid, match="promised"):
        check(replace(few, witnesses=witnesses(8)))
    check(few, replace(MODEL, witnesses=witnesses(1)))
    check(replace(few, old_rows=0), replace(MODEL, witnesses=witnesses(1, old_only=True)))
    with pytest.raises(TermsInvalid, match="promised"):
        check(replace(few, old_rows=0), replace(MODEL, witnesses=witnesses(1)))


def test_a_model_that_has_lost_what_it_may_does_not_grow() -> None:
    check(grow_terms(PARTS), replace(MODEL, lost_ppm=199_999))
    with pytest.raises(MemorySpent):
        check(grow_terms(PARTS), replace(MODEL, lost_ppm=200_000))
    check(grow_terms(PARTS), replace(MODEL, lost_ppm=200_000, lost_cap_ppm=200_001))


def test_new_classes_need_the_loss_that_the_null_growth_is_made_for() -> None:
    with pytest.raises(TermsInvalid, match="cross-entropy"):
        check(grow_terms(PARTS), replace(MODEL, loss_kind=2))
    check(grow_terms(PARTS, new_classes=0), replace(MODEL, loss_kind=2))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lost_cap_ppm": 10**6 + 1}, "lost rows"),
        ({"members": (OPENER, OPENER)}, "member is named twice"),
        ({"witnesses": (NamedWitness(OPENER, False), NamedWitness(OPENER, True))}, "witness is named twice"),
        ({"threshold_ppm": 0}, "threshold"),
        ({"retention_epsilon_ppm": 10**6 + 1}, "epsilon"),
        ({"retention_delta_ppm": 10**7 + 1}, "delta"),
        ({"policy": 9}, "policy"),
        ({"loss_kind": 9}, "loss"),
    ],
)
def test_a_founding_outside_the_rules(changes: dict[str, object], reason: str) -> None:
    check_founding(SMALL_RULES, founding(WEIGHTS))
    with pytest.raises(TermsInvalid, match=reason):
        check_founding(SMALL_RULES, founding(WEIGHTS, **changes))


def test_a_step_fits_into_half_a_block() -> None:
    terms = train_terms(PARTS, max_update_macs=100_000)
    needed = network_macs(SMALL_RULES, founding(WEIGHTS), 8, 2) + 100_000
    check(terms, YOUNG, replace(SMALL_RULES, max_block_macs=2 * needed))
    with pytest.raises(StepTooHeavy, match="scoring"):
        check(terms, YOUNG, replace(SMALL_RULES, max_block_macs=2 * needed - 2))


def test_a_growth_on_all_validation_parts_fits_into_half_a_block() -> None:
    terms = grow_terms(PARTS, validation=2, max_update_macs=100_000)
    needed = 2 * (network_macs(SMALL_RULES, founding(WEIGHTS), 9, 3) + 100_000)
    check(terms, rules=replace(SMALL_RULES, max_block_macs=2 * needed))
    with pytest.raises(StepTooHeavy, match="validation"):
        check(terms, rules=replace(SMALL_RULES, max_block_macs=2 * needed - 2))


def test_a_retention_part_of_many_rows_has_to_fit_too() -> None:
    check(grow_terms(PARTS, author_bond=100 * COIN), a_model(RetentionPart(b"\1" * 32, 10**6, 2)))
    with pytest.raises(StepTooHeavy, match="retention"):
        check(grow_terms(PARTS), a_model(RetentionPart(b"\1" * 32, 10**8, 2)))


def test_activations_on_a_part_have_to_be_few_enough_to_keep() -> None:
    """60,000 neurons of two bytes and two sums of eight on a row; 2^28 bytes in all."""
    blocks = (DenseRelu(1, 0, 6, 60_000, 0, 16, 8),), (Output(1, 0, 60_000, 0, 2, 0, 8),)
    wide = founding(replace(WEIGHTS, spec=NetworkSpec(6, 2, (), *blocks)))
    roomy = replace(SMALL_RULES, max_block_macs=10**12)
    fits = 2**28 // (60_000 * 2 + 16)
    terms = train_terms(PARTS, author_bond=1_000 * COIN)
    check(replace(terms, rows=fits), YOUNG, roomy, wide)
    with pytest.raises(StepTooHeavy, match="activations"):
        check(replace(terms, rows=fits + 1), YOUNG, roomy, wide)


def test_activations_on_the_rows_of_an_audit_have_to_be_few_enough_to_keep() -> None:
    """As above, but where scores are claimed, no node computes a whole part: an audit has q chunks of rows.

    A part of 34 · 1024 rows has chunks of 34 rows, one with a row more has chunks of 35.
    """
    blocks = (DenseRelu(1, 0, 6, 60_000, 0, 16, 8),), (Output(1, 0, 60_000, 0, 2, 0, 8),)
    wide = founding(replace(WEIGHTS, spec=NetworkSpec(6, 2, (), *blocks)))
    roomy = replace(SMALL_RULES, max_block_macs=10**13, max_transaction_bytes=10**7)
    rows, row_bytes = 34 * 1_024, 60_000 * 2 + 16
    terms = train_terms(PARTS, author_bond=10**6 * COIN, score_window=16)
    most, fewer = (replace(YOUNG, claims=ClaimTerms(window=4, audited=audited)) for audited in (64, 63))
    assert 64 * 34 * row_bytes <= 2**28 < 64 * 35 * row_bytes
    check(replace(terms, rows=rows), most, roomy, wide)
    check(replace(terms, rows=rows + 1), fewer, roomy, wide)
    with pytest.raises(StepTooHeavy) as refused:
        check(replace(terms, rows=rows + 1), most, roomy, wide)
    assert refused.value.code == "step_too_heavy"
    assert (refused.value.expected, refused.value.got) == (2**28, 64 * 35 * row_bytes)


def test_a_growth_whose_audit_would_keep_too_many_activations_is_not_opened() -> None:
    """The chunks of a retention part count, too: it has more rows than the parts of the round."""
    blocks = (DenseRelu(1, 0, 6, 60_000, 0, 16, 8),), (Output(1, 0, 60_000, 0, 2, 0, 8),)
    wide = founding(replace(WEIGHTS, spec=NetworkSpec(6, 2, (), *blocks)))
    roomy = replace(SMALL_RULES, max_block_macs=10**13, max_transaction_bytes=10**7)
    terms = grow_terms(PARTS, author_bond=10**6 * COIN, score_window=16)
    claims = ClaimTerms(window=4, audited=64)
    for rows, code in ((34 * 1_024, ""), (34 * 1_024 + 1, "step_too_heavy")):
        model = replace(a_model(RetentionPart(b"\1" * 32, rows, 2)), claims=claims)
        try:
            check(terms, model, roomy, wide)
            found = ""
        except StepTooHeavy as refused:
            found = refused.code
        assert found == code


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
