"""What becomes of a round when somebody does nothing, or discloses what should not have been promised.

All that is lost burns: what others have afterwards is exactly what they had.
"""

from dataclasses import replace

import pytest

from engram.primitives import keys
from engram.primitives.types import ZERO_HASH
from engram.statemachine.content import Inline
from engram.statemachine.records import BadgeKind, NamedWitness, Supply
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import NothingDue
from engram.statemachine.rounds.records import Commit, RoundStatus
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.withdraw import Withdraw
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    WITNESS,
    Play,
    SecretPart,
    make_part,
    network,
    train_terms,
)

BOND, AUTHOR_BOND, BOUNTY, FEE = 10 * COIN, COIN, 20 * COIN, COIN
WITNESS_BOND = BOUNTY
ENTRY = BOUNTY // 1_000
NAMED = (NamedWitness(WITNESS.address, False),)


def opened(**changes: object) -> Play:
    """A round in OPEN, with the part of a witness sealed."""
    play = Play(parts=5)
    play.ok(play.found(terms=train_terms(play.parts[:4], witnesses=NAMED, **changes)))
    play.seal(WITNESS, play.parts[4])
    return play


def burned(play: Play) -> int:
    """Sparks burned as penalties and entries: fees are left out."""
    prices = sum(fee - fee // 8 for fee in play.charged)
    return play.ledger.state.get(Supply).burned - prices


def test_unrevealed_validation_parts_abort_the_round() -> None:
    play = opened()
    play.at(Phase.COMMIT)
    receipt = play.send(CAROL, AdvanceRound(play.id))
    assert [event.name for event in receipt.events] == ["bond_burned", "round_ended"]
    assert (play.round.status, play.round.bond, play.round.pot) == (RoundStatus.ABORTED, 0, 0)
    assert (play.spent(OPENER), play.maturing(OPENER)) == (BOND + BOUNTY, 0)
    assert play.spent(WITNESS) == play.maturing(WITNESS) == 0, "a witness could not do anything about it"
    assert burned(play) == BOND + BOUNTY
    assert play.model.open_round == ZERO_HASH


def test_the_reveal_window_closes_with_one_part_of_two_missing() -> None:
    play = opened(validation=2)
    play.at(Phase.REVEAL)
    play.ok(play.send(OPENER, play.part_payload(play.drawn_parts()[0][0])))
    play.at(Phase.COMMIT)
    play.send(CAROL, AdvanceRound(play.id))
    assert play.round.status == RoundStatus.ABORTED
    assert burned(play) == BOND + BOUNTY


def test_a_round_without_its_standing_witness_is_cancelled_and_all_returns() -> None:
    play = Play(parts=5)
    standing = NamedWitness(BOB.address, False)
    play.ok(play.found(witnesses=(standing,), terms=train_terms(play.parts[:4], witnesses=NAMED)))
    play.seal(WITNESS, play.parts[4])
    play.at(Phase.DRAW)
    receipt = play.send(CAROL, AdvanceRound(play.id))
    assert [event.name for event in receipt.events] == ["round_ended"]
    assert play.round.status == RoundStatus.CANCELLED
    assert play.spent(OPENER) == play.spent(WITNESS) == play.maturing(OPENER) == burned(play) == 0
    assert play.model.open_round == ZERO_HASH


def test_a_standing_witness_who_seals_makes_the_round_take_place() -> None:
    play = Play(parts=5)
    play.ok(play.found(witnesses=NAMED, terms=train_terms(play.parts[:4])))
    play.seal(WITNESS, play.parts[4])
    assert play.round.witnesses[0].named_by_opener, "the founder has chosen the standing witnesses"
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    assert play.decide().status == RoundStatus.DECIDED


def test_who_commits_and_does_not_reveal_loses_the_bond() -> None:
    play = opened()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    play.commit(ALICE, network(play.inputs, 8))
    play.commit(BOB, network(play.inputs, 4))
    play.at(Phase.UPDATE)
    play.ledger.skip_to_tick(play.span(Phase.UPDATE).last + 1)
    receipt = play.ok(play.send(CAROL, AdvanceRound(play.id)))
    assert [event.name for event in receipt.events] == ["round_ended"], "no step looks at commits"
    assert (play.spent(OPENER), play.maturing(OPENER)) == (BOUNTY, BOUNTY)
    assert play.spent(WITNESS) == 0, "there was nothing to audit"
    floor = play.ledger.rules.fees.floor
    play.withdraw(ALICE, sender=CAROL)
    assert play.spent(CAROL) == -floor == -play.fees[CAROL.address] // 2, "she paid twice, once for the end"
    play.withdraw(BOB)
    assert (play.spent(ALICE), play.spent(BOB)) == (AUTHOR_BOND + ENTRY, AUTHOR_BOND + ENTRY - floor)
    assert burned(play) == 2 * (AUTHOR_BOND + ENTRY - floor)
    assert play.ledger.state.find(Commit, play.id, b"\0", ALICE.address) is None


def test_a_witness_who_does_not_open_the_part_loses_bond_and_fee() -> None:
    play = opened()
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT)
    for commitment in play.round.sealed_drawn:
        play.ok(play.send(OPENER, play.sealed_payload(play.secret(commitment))))
    play.score_all()
    ended = play.end()
    assert ended.status == RoundStatus.DECIDED
    assert not ended.independent
    assert (play.spent(WITNESS), play.maturing(WITNESS)) == (WITNESS_BOND, 0)
    assert play.badges(WITNESS, 1) == set()
    assert play.maturing(ALICE) + play.maturing(OPENER) == BOUNTY - FEE, "nobody else has the fee"
    assert burned(play) == WITNESS_BOND + FEE + ENTRY


def test_an_opener_who_withholds_a_sealed_part_pays_nobody() -> None:
    play = opened(sealed=2)
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)), (BOB, network(play.inputs, 4)))
    play.witness()
    play.at(Phase.AUDIT)
    play.ok(play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0]))))
    play.at(Phase.SCORE)
    assert play.refused(CAROL, play.score_payload(ALICE)) == "round_ended"
    play.send(CAROL, AdvanceRound(play.id))
    assert (play.round.status, play.round.bond, play.round.pot) == (RoundStatus.ABORTED, 0, 0)
    assert (play.spent(OPENER), play.maturing(OPENER)) == (BOND + BOUNTY, 0)
    assert play.maturing(WITNESS) == FEE, "the witness has done all there was to do"
    play.withdraw_all()
    assert play.spent(ALICE) == play.spent(BOB) == ENTRY
    assert play.maturing(ALICE) == play.maturing(BOB) == 0
    assert play.badges(ALICE, 1) == set()
    assert burned(play) == BOND + BOUNTY - FEE + 2 * ENTRY


def test_a_candidate_that_nobody_scores_cannot_win_and_loses_the_bond() -> None:
    play = opened()
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    ended = play.decide(BOB)
    assert (ended.status, play.model.head) == (RoundStatus.KEPT, 0)
    assert play.maturing(OPENER) == BOUNTY - FEE
    play.withdraw(ALICE, sender=BOB)
    assert play.spent(ALICE) == AUTHOR_BOND + ENTRY


@pytest.mark.parametrize("scored", [(0,), (1,)])
def test_a_candidate_scored_on_some_parts_only_loses_the_bond_too(scored: tuple[int, ...]) -> None:
    play = opened()
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.audit()
    play.at(Phase.SCORE)
    play.ok(play.send(ALICE, replace(play.score_payload(ALICE), parts=scored)))
    assert play.end().status == RoundStatus.KEPT
    play.withdraw(ALICE, sender=BOB)
    assert play.spent(ALICE) == AUTHOR_BOND + ENTRY


def test_a_candidate_without_any_gain_on_unseen_rows_loses_the_bond() -> None:
    play = opened()
    play.reveal_validation()
    leaked = network(play.inputs, 16, feature=play.leaking_feature())
    play.play_epoch((ALICE, leaked), (BOB, network(play.inputs, 6)))
    ended = play.decide()
    assert (ended.results[0].author, ended.winner) == (ALICE.address, BOB.address)
    assert play.reasons(ALICE) == ("gain_not_proved",)
    assert play.withdraw(ALICE, sender=CAROL).events[-1].name == "bond_burned"
    assert play.spent(ALICE) == AUTHOR_BOND + ENTRY
    assert play.badges(ALICE, 1) == set(), "its lowest committed loss was not an eligible one's"
    play.withdraw(BOB)
    assert play.badges(BOB, 1) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS}


def test_withdrawing() -> None:
    play = opened()
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    payload = Withdraw(play.id, 0, ALICE.address)
    assert play.refused(ALICE, payload) == "round_running"
    play.decide()
    assert play.refused(CAROL, replace(payload, author=BOB.address)) == "nothing_to_withdraw"
    assert play.refused(CAROL, replace(payload, epoch=1)) == "nothing_to_withdraw"
    assert play.refused(CAROL, replace(payload, round=b"\x42" * 32)) == "missing_round"
    play.ok(play.send(CAROL, payload))
    assert play.refused(ALICE, payload) == "nothing_to_withdraw"


def test_withdrawing_settles_the_round() -> None:
    play = opened()
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.audit()
    play.score_all()
    play.at(Phase.CLOSED)
    receipt = play.withdraw(ALICE)
    assert "version_created" in [event.name for event in receipt.events]
    assert play.spent(ALICE) == ENTRY


def _broken(kind: str, part: SecretPart, public: bytes) -> SecretPart:
    """The part as its owner should not have sealed it."""
    if kind == "label_out_of_range":
        return replace(part, raw=part.raw[:-2] + b"\2\0")
    if kind == "part_public":
        return replace(part, raw=public)
    return replace(part, raw=b"\0" + part.raw[1:])


KINDS = ("label_out_of_range", "part_public", "bad_part")


def _with_broken_parts(kind: str, breaks: keys.PrivateKey, seed: int) -> Play:
    """A round in REVEAL: two parts of the opener, the second broken or not, and one of the witness."""
    play = Play(parts=3)
    published = make_part(9, parts=3, seed=99)
    content = Inline(published.raw)
    play.ok(play.send(CAROL, PublishPart(8, play.inputs, 2, published.salt, content)))
    play.ledger.block()
    play.parts = [make_part(index, parts=3, seed=seed) for index in range(3)]
    broken = 1 if breaks is OPENER else 2
    play.parts[broken] = _broken(kind, play.parts[broken], published.raw)
    play.ok(play.found(terms=train_terms(play.parts[:2], witnesses=NAMED)))
    play.seal(WITNESS, play.parts[2])
    play.at(Phase.REVEAL)
    return play


def _at_the_audit(kind: str, breaks: keys.PrivateKey) -> Play:
    """A round whose draw has picked the good part for validation, with a candidate."""
    seeds = (_with_broken_parts(kind, breaks, seed) for seed in range(20))
    play = next(play for play in seeds if breaks is WITNESS or play.drawn_parts()[0] == play.parts[:1])
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    return play


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_validation_part_aborts_the_round(kind: str) -> None:
    seeds = (_with_broken_parts(kind, OPENER, seed) for seed in range(20))
    play = next(play for play in seeds if play.drawn_parts()[0] == play.parts[1:2])
    before = burned(play)
    receipt = play.send(OPENER, play.part_payload(play.parts[1]))
    assert (receipt.code, [event.name for event in receipt.events][-2:]) == (
        kind,
        ["bond_burned", "round_ended"],
    )
    assert play.round.status == RoundStatus.ABORTED
    assert (play.spent(OPENER), play.spent(WITNESS)) == (BOND + BOUNTY, 0)
    assert burned(play) - before == BOND + BOUNTY


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_sealed_part_of_the_opener_aborts_the_round(kind: str) -> None:
    play = _at_the_audit(kind, OPENER)
    play.witness()
    play.at(Phase.AUDIT)
    receipt = play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0])))
    assert receipt.code == kind
    assert play.round.status == RoundStatus.ABORTED
    play.withdraw_all()
    assert (play.spent(ALICE), play.maturing(ALICE)) == (ENTRY, 0)
    assert (play.spent(WITNESS), play.maturing(WITNESS)) == (0, FEE)
    assert play.spent(OPENER) == BOND + BOUNTY


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_part_of_a_witness_costs_the_witness_alone(kind: str) -> None:
    play = _at_the_audit(kind, WITNESS)
    play.at(Phase.AUDIT_WITNESSES)
    assert play.send(WITNESS, play.sealed_payload(play.parts[2])).code == kind
    assert (play.spent(WITNESS), play.maturing(WITNESS)) == (WITNESS_BOND, 0)
    assert play.round.unseen == ()
    assert play.tick == play.span(Phase.AUDIT).first, "nobody owes a part any more"
    play.ok(play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0]))))
    play.score_all()
    assert play.end().status == RoundStatus.DECIDED
    assert play.maturing(ALICE) + play.maturing(OPENER) == BOUNTY - FEE


def test_the_same_bytes_under_two_salts_abort_the_round() -> None:
    play = Play()
    play.parts = [SecretPart(bytes([index]) * 32, play.parts[0].raw) for index in range(4)]
    play.found(terms=train_terms(play.parts))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT)
    receipt = play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0])))
    assert (receipt.code, play.round.status) == ("part_repeated", RoundStatus.ABORTED)
    assert play.spent(OPENER) == BOND + BOUNTY


def test_who_publishes_a_part_as_it_opens_does_not_break_it() -> None:
    """Under another salt, in the same block, before the opener: the round had opened by then."""
    play = Play()
    play.found()
    play.at(Phase.REVEAL)
    secret = play.drawn_parts()[0][0]
    copy = PublishPart(8, play.inputs, 2, b"\x66" * 32, Inline(secret.raw))
    for receipt in play.send_all([(ALICE, copy), (OPENER, play.part_payload(secret))]):
        play.ok(receipt)
    assert play.round.status == RoundStatus.OPEN
    assert [part.commitment for part in play.round.validation_opened] == [secret.commitment]


def test_settling_is_done_once_and_by_anyone() -> None:
    play = opened()
    play.reveal_validation()
    assert play.refused(CAROL, AdvanceRound(play.id)) == "nothing_due"
    play.end()
    assert play.refused(CAROL, AdvanceRound(play.id)) == "nothing_due"


def test_two_who_advance_in_one_block_settle_once() -> None:
    play = opened()
    play.at(Phase.COMMIT)
    execution = play.ledger.execution()
    assert execution.add(play.ledger.pay(CAROL, AdvanceRound(play.id))).code == ""
    second = play.ledger.pay(BOB, AdvanceRound(play.id))
    with pytest.raises(NothingDue):
        execution.add(second)
