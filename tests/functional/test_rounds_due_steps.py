"""What becomes of a round when somebody does nothing, or discloses what he should not have promised."""

from dataclasses import replace

import pytest

from engram.primitives import keys
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import NothingDue
from engram.statemachine.rounds.records import Commit, RoundStatus
from engram.statemachine.transactions.advance_round import AdvanceRound
from tests.support.rounds import (
    ALICE,
    AUDITOR,
    BOB,
    CAROL,
    COIN,
    OPENER,
    SMALL_RULES,
    Play,
    SecretPart,
    make_part,
    network,
    train_terms,
)

BOND, AUTHOR_BOND, BOUNTY, SEAL_BOND = 10 * COIN, COIN, 20 * COIN, COIN


def opened(**changes: object) -> Play:
    """A round past its OPEN window, with an auditor's part sealed."""
    play = Play(parts=5)
    play.ok(play.found(terms=train_terms(play.parts[:4], auditors=(AUDITOR.address,), **changes)))
    play.ok(play.send(AUDITOR, play.seal_payload(play.parts[4])))
    return play


def test_unrevealed_validation_parts_abort_the_round() -> None:
    play = opened()
    play.at(Phase.COMMIT)
    receipt = play.send(CAROL, AdvanceRound(play.id))
    assert [event.name for event in receipt.events] == ["round_aborted"]
    assert play.round.status == RoundStatus.ABORTED
    assert (play.spent(OPENER), play.maturing(OPENER)) == (BOND, 0)
    assert play.account(OPENER).strikes == 1
    assert play.spent(AUDITOR) == 0
    assert (play.model.aborts, play.model.last_abort, play.model.open_round) == (
        1,
        play.height - 1,
        bytes(32),
    )


def test_the_reveal_window_closes_with_one_part_of_two_missing() -> None:
    play = opened(validation=2)
    play.at(Phase.REVEAL)
    play.ok(play.send(OPENER, play.part_payload(play.drawn_parts()[0][0])))
    play.at(Phase.COMMIT)
    play.send(CAROL, AdvanceRound(play.id))
    assert play.round.status == RoundStatus.ABORTED


def test_an_abort_doubles_the_bond_until_it_is_forgiven() -> None:
    play = opened()
    play.at(Phase.COMMIT)
    play.send(CAROL, AdvanceRound(play.id))
    play.parts = [make_part(index, parts=5, seed=1) for index in range(5)]
    assert play.refused(OPENER, play.open_payload()) == "bond_too_low"
    play.ok(play.open(train_terms(play.parts, opener_bond=2 * BOND)))


def test_a_forgiven_abort_does_not_come_back_with_the_next() -> None:
    play = Play(rules=replace(SMALL_RULES, bond_decay_blocks=10))
    play.found()
    play.at(Phase.COMMIT)
    play.send(CAROL, AdvanceRound(play.id))
    play.ledger.skip_to(play.height + 10)
    play.new_parts(classes=2, rows=8)
    play.ok(play.open())
    play.at(Phase.COMMIT)
    play.send(CAROL, AdvanceRound(play.id))
    assert play.model.aborts == 1


def test_who_commits_and_does_not_reveal_loses_the_bond() -> None:
    play = opened()
    play.reveal_validation()
    play.at(Phase.COMMIT)
    play.commit(ALICE, network(play.inputs, 8))
    play.commit(BOB, network(play.inputs, 4))
    play.at(Phase.UPDATE)
    play.ledger.skip_to_tick(play.span(Phase.UPDATE).last + 1)
    receipt = play.ok(play.send(CAROL, AdvanceRound(play.id)))
    assert [event.name for event in receipt.events] == ["bond_forfeited", "bond_forfeited", "epoch_ended"]
    assert play.spent(ALICE) == play.spent(BOB) == AUTHOR_BOND
    assert play.account(ALICE).strikes == play.account(BOB).strikes == 1
    assert play.round.pot == BOUNTY + AUTHOR_BOND
    assert play.round.pending == ()
    assert play.ledger.state.find(Commit, play.id, b"\0", ALICE.address) is None
    play.end()
    # Nobody improved, so the bounty returns; the halves of the lost bonds do not go to the opener.
    assert (play.spent(OPENER), play.maturing(OPENER)) == (BOUNTY, BOUNTY)


def test_a_third_party_that_does_not_open_its_part_loses_its_bond() -> None:
    play = opened()
    play.reveal_validation()
    weights = network(play.inputs, 8)
    play.play_epoch((ALICE, weights))
    play.audit()
    ended = play.end()
    assert ended.status == RoundStatus.DECIDED
    assert not ended.independent
    assert ended.third_party == ()
    assert (play.spent(AUDITOR), play.account(AUDITOR).strikes) == (SEAL_BOND, 1)
    baseline, sealed = ended.sealed_opened[0].baseline.loss, play.loss_of(weights, ended.sealed_opened)
    pot = BOUNTY + SEAL_BOND // 2
    assert play.maturing(ALICE) == pot * (baseline - sealed) // baseline


def test_a_third_party_keeps_its_bond_if_there_is_nothing_to_audit() -> None:
    play = opened()
    play.reveal_validation()
    play.end()
    assert (play.spent(AUDITOR), play.account(AUDITOR).strikes) == (0, 0)


def test_an_opener_who_withholds_a_sealed_part_pays_the_candidates() -> None:
    play = opened(sealed=2)
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)), (BOB, network(play.inputs, 4)))
    play.at(Phase.AUDIT)
    play.ok(play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0]))))
    play.ok(play.send(AUDITOR, play.sealed_payload(play.parts[4])))
    charged = 2 * COIN + sum(play.candidate(author).escrow for author in (ALICE, BOB))
    assert play.spent(ALICE) + play.spent(BOB) > charged
    ended = play.end()
    assert (ended.status, ended.bond, ended.pot, ended.candidates) == (RoundStatus.ABORTED, 0, 0, ())
    assert (play.spent(OPENER), play.maturing(OPENER)) == (BOND + BOUNTY, 0)
    assert play.account(OPENER).strikes == 1
    assert play.maturing(ALICE) == play.maturing(BOB) == (BOND // 2 + BOUNTY) // 2
    assert play.spent(AUDITOR) == 0
    assert (play.model.head, play.model.aborts) == (0, 1)


def test_a_validation_part_with_a_foreign_label_aborts_the_round() -> None:
    play = Play()
    play.parts = [_with_label(part, 2) for part in play.parts]
    play.found()
    play.at(Phase.REVEAL)
    receipt = play.send(OPENER, play.part_payload(play.drawn_parts()[0][0]))
    assert receipt.code == "label_out_of_range"
    assert play.round.status == RoundStatus.ABORTED
    assert play.spent(OPENER) == BOND


def test_two_validation_parts_of_the_same_bytes_abort_the_round() -> None:
    play = Play()
    play.parts = [SecretPart(bytes([index]) * 32, play.parts[0].raw) for index in range(4)]
    play.found(terms=train_terms(play.parts, validation=2))
    play.at(Phase.REVEAL)
    first, second = play.drawn_parts()[0]
    play.ok(play.send(OPENER, play.part_payload(first)))
    assert play.send(OPENER, play.part_payload(second)).code == "part_repeated"
    assert play.round.status == RoundStatus.ABORTED


def _broken_sealed_part_of(breaks: keys.PrivateKey) -> Play:
    """A round in AUDIT with one candidate, where a sealed part of one side holds a foreign label."""
    play = _with_broken_parts(breaks, 0)
    for seed in range(
        1, 30
    ):  # the draw looks at one part of two before the audit; it has to be the sound one
        if breaks is AUDITOR or play.drawn_parts()[0] == [play.parts[0]]:
            break
        play = _with_broken_parts(breaks, seed)
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.at(Phase.AUDIT)
    return play


def _with_broken_parts(breaks: keys.PrivateKey, seed: int) -> Play:
    """A round in REVEAL: two parts of the opener, the second broken or not, and one of the auditor."""
    play = Play(parts=3)
    play.parts = [make_part(index, parts=3, seed=seed) for index in range(3)]
    broken = 1 if breaks is OPENER else 2
    play.parts[broken] = _with_label(play.parts[broken], 2)
    play.found(terms=train_terms(play.parts[:2], auditors=(AUDITOR.address,)))
    play.send(AUDITOR, play.seal_payload(play.parts[2]))
    play.at(Phase.REVEAL)
    return play


def test_a_broken_sealed_part_of_the_opener_aborts_the_round() -> None:
    play = _broken_sealed_part_of(OPENER)
    receipt = play.send(OPENER, play.sealed_payload(play.secret(play.round.sealed_drawn[0])))
    assert receipt.code == "label_out_of_range"
    assert play.round.status == RoundStatus.ABORTED
    assert play.maturing(ALICE) == BOND // 2 + BOUNTY
    assert play.spent(ALICE) == 0
    assert play.spent(AUDITOR) == 0


def test_a_broken_part_of_a_third_party_costs_it_alone() -> None:
    play = _broken_sealed_part_of(AUDITOR)
    assert play.send(AUDITOR, play.sealed_payload(play.parts[2])).code == "label_out_of_range"
    assert (play.spent(AUDITOR), play.account(AUDITOR).strikes) == (SEAL_BOND, 1)
    assert play.round.third_party == ()
    play.audit()
    assert play.end().status == RoundStatus.DECIDED


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


def _with_label(part: SecretPart, label: int) -> SecretPart:
    """The part with its last label replaced."""
    raw = part.raw[:-2] + int(label).to_bytes(2, "little")
    return replace(part, raw=raw)
