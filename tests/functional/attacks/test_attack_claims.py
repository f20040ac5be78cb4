"""Claims of scores: nobody gains by a lie, and nobody makes an honest author lose a bond or a place.

Each story that hit was played under the first form of the rule; with the mended rule taken out it still hits.
"""

from dataclasses import replace

import numpy as np
import pytest

from engram.nn.loss import RowScores
from engram.primitives.errors import Invalid
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.fees import price_of_macs
from engram.statemachine.records import BadgeKind
from engram.statemachine.rounds import audit, claims, settlement, terms, update
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import is_refuted, parts_to_score
from engram.statemachine.rounds.claims import audit_macs, reveal_macs
from engram.statemachine.rounds.terms import least_claim_bond
from engram.statemachine.rounds.update import scoring_macs
from engram.statemachine.scoring import composing_macs
from engram.statemachine.transactions import dispute_claim, reveal_update
from tests.support import claimed_rounds, joint
from tests.support.attacks import fails
from tests.support.claimed_rounds import CLAIMS, ClaimPlay, losing_nothing, play_of, united
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    SMALL_RULES,
    grow_terms,
    growth,
    make_part,
    network,
)

BOND = 40 * COIN
ENTRY = 2 * COIN // 100
ONE_CHUNK = ClaimTerms(window=4, audited=1)
MANY_ROWS = 2_000


def refusal(play: ClaimPlay, **given: object) -> str:
    """The code with which a founding under these terms is refused; nothing if it is not."""
    try:
        play.ok(play.found(terms=play.terms(**given)))
    except Invalid as error:
        return error.code
    return ""


def reading_that_fills_a_block() -> None:
    """The opener asks for so many validation parts that reading them all takes more than a block."""
    rules = replace(SMALL_RULES, macs_per_loaded_byte=1_200, max_block_macs=114_000_000)
    play = play_of(rules, rows=MANY_ROWS, claims=ONE_CHUNK)
    play.parts = [make_part(index, parts=4, rows=MANY_ROWS) for index in range(8)]
    wide = {"rows": MANY_ROWS, "max_update_bytes": 2_000, "reveal_window": 8}
    if refusal(play, validation=6, **wide) == "step_too_heavy":
        assert refusal(play, validation=1, **wide) == "", "it is the reading that is too much"
        return
    play.reveal_validation()
    (receipt,) = play.play_epoch((ALICE, network(play.inputs, 8)))
    assert receipt.code == "", "nobody can reveal, and every author loses the bond"


def test_no_opener_asks_for_reveals_that_no_block_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    reading_that_fills_a_block()
    monkeypatch.setattr(terms, "check_share", lambda *_: None)
    fails(reading_that_fills_a_block)


def growing_a_heavy_model() -> None:
    """Half a block has room for audits of a growth, and not for scoring it on a whole retention part."""
    rules = replace(SMALL_RULES, max_block_macs=88_000_000)
    play = play_of(rules, rows=MANY_ROWS, claims=ONE_CHUNK)
    play.freeze(terms=play.terms(rows=MANY_ROWS), **joint.FREE)
    play.new_parts(rows=MANY_ROWS)
    given = {"rows": MANY_ROWS, "score_window": 16, "author_bond": BOND}
    play.ok(play.open(grow_terms(play.parts, **given)))
    play.reveal_validation()
    weights, base, half = growth(play.inputs, 8), play.composition(1), rules.max_block_macs // 2
    assert scoring_macs(rules, play.round, base, weights.update, MANY_ROWS) > half
    assert audit_macs(rules, base, play.round, play.model, weights.update) <= half
    (receipt,) = play.play_epoch((BOB, weights))
    assert receipt.code == "", "every growth is refused, and every author loses the bond"
    claim = play.candidate(BOB).claim
    assert claim is not None
    assert len(claim.roots) == 1, "nothing is claimed of the retention part yet"
    assert play.decide(BOB).new_version == 2


def test_a_model_that_needs_claims_can_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    growing_a_heavy_model()
    check_update = update.check_update
    monkeypatch.setattr(
        reveal_update,
        "check_update",
        lambda r, o, model, *rest: check_update(r, o, replace(model, claims=None), *rest),
    )
    fails(growing_a_heavy_model)


def two_branches() -> tuple[ClaimPlay, ClaimPlay]:
    """A round with an honest update of Alice, of which two parts open in one order and in the other."""
    play = play_of()
    play.ok(play.found(terms=play.terms(sealed=2)))
    play.reveal_validation()
    play.ok(*play.play_epoch((ALICE, network(play.inputs, 8))))
    play.at(Phase.AUDIT)
    seen, mined = play.fork(), play.fork()
    for branch, turned in ((seen, False), (mined, True)):
        drawn = branch.round.sealed_drawn
        for commitment in reversed(drawn) if turned else drawn:
            branch.ok(branch.send(OPENER, branch.sealed_payload(branch.secret(commitment))))
        branch.at(Phase.SCORE)
    return seen, mined


def parts_turned_around() -> None:
    """A miner puts the claim that Alice has sent behind the same parts, which open in another order."""
    seen, mined = two_branches()
    payload = seen.score_payload(ALICE)
    code = ""
    try:
        mined.ok(mined.send(ALICE, payload))
    except Invalid as refused:
        code = refused.code
    if not code:
        mined.claimed |= seen.claimed
        mined.ok(mined.send(CAROL, mined.dispute_payload(ALICE, part=1, number=0)))
        pytest.fail("who mined the block takes half of the bond of an honest author")
    assert code == "other_parts_claimed"
    mined.score_update(ALICE)
    mined.confirm(ALICE)
    assert mined.end().winner == ALICE.address


def test_nobody_makes_an_honest_claim_false_by_opening_parts_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts_turned_around()
    for module in (claims, claimed_rounds):
        monkeypatch.setattr(module, "head_of", lambda parts: bytes(32))
    fails(parts_turned_around)


def rows_of_another_part() -> None:
    """Alice mines, and claims the same rows on two branches, where the same number is that of other parts."""
    seen, mined = two_branches()
    true = mined.score_payload(ALICE)
    mined.ok(mined.send(ALICE, true))
    head = claims.head_of(parts_to_score(seen.round, seen.model))
    seen.ok(seen.send(ALICE, replace(true, claimed=head + true.claimed[claims.HEAD_BYTES :])))
    seen.claimed |= mined.claimed
    dispute = seen.dispute_payload(ALICE, part=1, number=0)
    seen.ok(seen.send(CAROL, dispute))
    assert is_refuted(seen.candidate(ALICE))
    code = ""
    try:
        mined.send(CAROL, dispute)
    except Invalid as refused:
        code = refused.code
    if not code:
        pytest.fail("a challenger who was right loses the deposit on the branch that wins")
    assert code == "other_claim_disputed"


def test_a_dispute_that_was_right_costs_no_deposit_on_another_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_of_another_part()
    monkeypatch.setattr(dispute_claim, "check_subject", lambda *given: None)
    fails(rows_of_another_part)


def a_half_of_the_last_tick() -> None:
    """Bob claims so late that his half, and so the union, could be confirmed in the very last tick alone."""
    play = united(play_of(rows=9))
    play.score_update(ALICE)
    play.score_update(CAROL, 1)
    play.confirm(ALICE)
    last = play.span(Phase.SCORE).last
    play.ledger.skip_to_tick(last - CLAIMS.window)
    play.score_update(BOB)
    play.ledger.skip_to_tick(last - 1)
    union = play.confirm_payload(CAROL, 1)
    try:
        play.ok(play.send(CAROL, union))
    except Invalid as error:
        pytest.fail(f"whoever mines the last block decides whether Carol loses her bond: {error.code}")
    play.confirm(BOB)
    assert play.end().winner == CAROL.address
    play.withdraw_all()
    assert play.spent(CAROL) == 10 * ENTRY


def test_no_half_leaves_a_single_block_to_its_union(monkeypatch: pytest.MonkeyPatch) -> None:
    a_half_of_the_last_tick()
    monkeypatch.setattr(audit, "last_tick_of_halves", lambda _, calendar: calendar.span(Phase.SCORE).last)
    fails(a_half_of_the_last_tick)


def taking_the_bond_back() -> None:
    """Alice has seen what others reveal. She claims that version t loses nothing; hers is no gain."""
    play = play_of()
    play.lies[ALICE.address, 0] = losing_nothing
    play.ok(play.found())
    play.reveal_validation()
    (receipt,) = play.play_epoch((ALICE, network(play.inputs, 8)))
    assert (receipt.code, receipt.status) == ("no_improvement", 1)
    assert play.spent(ALICE) == BOND + ENTRY


def test_no_claim_brings_a_bond_back(monkeypatch: pytest.MonkeyPatch) -> None:
    taking_the_bond_back()
    monkeypatch.setattr(reveal_update, "check_below", lambda *_: None)
    fails(taking_the_bond_back)


def lies_that_are_dear_to_refute() -> None:
    """MACs are dear on this chain, and the bounty is next to nothing."""
    rules = replace(SMALL_RULES, fees=replace(SMALL_RULES.fees, macs_per_spark=4), max_block_macs=10**9)
    play, heaviest = play_of(rules), price_of_macs(rules.fees, rules.max_block_macs // 2)
    small = {"bounty": 0, "witness_fee": 0}
    bond = least_claim_bond(rules, play.terms(**small), 0)
    assert refusal(play, author_bond=bond - 1, **small) == "bond_too_low"
    assert refusal(play, author_bond=bond, **small) == ""
    assert bond // 2 >= 2 * heaviest, "whoever refutes such a claim loses coins"


def test_no_lie_is_too_dear_to_refute(monkeypatch: pytest.MonkeyPatch) -> None:
    lies_that_are_dear_to_refute()
    monkeypatch.setattr(terms, "BOND_DISPUTES", 0)
    fails(lies_that_are_dear_to_refute)


def a_result_that_nobody_confirms() -> None:
    """Carol claims that her update of the first epoch loses nothing, and never claims the rest."""
    play = play_of()
    play.lies[CAROL.address, 0] = lambda base, own: (base, RowScores(np.zeros_like(own.losses), own.right))
    play.ok(play.found(terms=play.terms(epochs=2, score_window=24)))
    play.reveal_validation()
    for receipt in play.play_epoch((ALICE, network(play.inputs, 8)), (CAROL, network(play.inputs, 1))):
        play.ok(receipt)
    play.ok(play.play_epoch((BOB, network(play.inputs, 8, nudge=1)), epoch=1)[0])
    play.audit()
    play.at(Phase.SCORE)
    play.score_update(ALICE)
    play.score_update(BOB, 1)
    play.confirm(ALICE)
    play.confirm(BOB, 1)
    assert play.end().winner == ALICE.address
    play.withdraw_all()
    assert play.spent(CAROL) >= BOND
    assert BadgeKind.BEST_LOSS in play.badges(BOB, 1)


def test_a_result_that_is_not_confirmed_takes_nobodys_badge(monkeypatch: pytest.MonkeyPatch) -> None:
    a_result_that_nobody_confirms()
    monkeypatch.setattr(settlement, "is_final", lambda candidate: not is_refuted(candidate))
    fails(a_result_that_nobody_confirms)


def test_a_reveal_keeps_room_for_putting_version_t_together() -> None:
    """A node that has forgotten a long line must look it up, even where no score is computed."""
    play = play_of()
    play.ok(play.found())
    play.reveal_validation()
    weights, rules = network(play.inputs, 8), play.ledger.rules
    (receipt,) = play.play_epoch((ALICE, weights))
    base = play.composition(0)
    own = reveal_macs(rules, base, play.round, weights.update)
    assert receipt.macs == own + composing_macs(base) > own


def test_nobody_founds_a_model_whose_claims_cannot_be_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chunks of an audit would not fit into a transaction, so every author would lose the bond."""
    rules = replace(SMALL_RULES, max_transaction_bytes=16_384, chunk_bytes=4_096, max_blob_bytes=2**20)
    play = play_of(rules, claims=ClaimTerms(window=4, audited=64))
    assert refusal(play) == "terms_invalid"
    play.claims = ClaimTerms(window=4, audited=32)
    assert refusal(play) == ""


def test_every_update_whose_audit_takes_more_than_half_a_block_is_refused() -> None:
    """Or blocks that hold its dispute would stop the round clock. It is refused before anything is read."""
    play = play_of()
    play.ok(play.found())
    play.reveal_validation()
    weights = network(play.inputs, 8)
    most = audit_macs(play.ledger.rules, play.composition(0), play.round, play.model, weights.update)
    play.ledger.rules = replace(play.ledger.rules, max_block_macs=2 * most - 2)
    (receipt,) = play.play_epoch((ALICE, weights))
    assert (receipt.code, receipt.macs, play.spent(ALICE)) == ("update_too_heavy", 0, BOND + ENTRY)
