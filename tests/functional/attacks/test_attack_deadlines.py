"""No deadline passes because blocks are full or because somebody comes first, by attack or by honest load."""

from dataclasses import replace

import pytest

from engram.statemachine import transition
from engram.statemachine.fees import risen
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import is_scored
from engram.statemachine.rounds.errors import PartScored, RoundEnded, WrongPhase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.transfer import Transfer
from tests.support.attacks import crowd, play_with
from tests.support.rounds import ALICE, BOB, CAROL, COIN, OPENER, SMALL_RULES, network, train_terms

CROWDED = replace(SMALL_RULES, max_block_transactions=3)
"""Rules under which two transactions let no time pass."""


def filled_blocks(phase: Phase, blocks: int, bounty: int) -> None:
    """A rich stranger fills every block from the first of a phase. Who owes something still comes in time."""
    (mallory,) = crowd(1)
    play = play_with([mallory], CROWDED)
    play.ok(play.found(terms=train_terms(play.parts, bounty=bounty, opener_bond=bounty)))
    weights = network(play.inputs, 8)
    spent = 0

    def arrive(at: Phase) -> None:
        nonlocal spent
        play.at(at)
        for _ in range(blocks if at is phase else 0):
            transfers = [Transfer(CAROL.address, amount) for amount in (1, 2)]
            found = play.ledger.block(*play.ledger.pay_each(mallory, *transfers))
            spent += sum(receipt.fee for receipt in found.receipts)

    arrive(Phase.REVEAL)
    play.reveal_validation()
    arrive(Phase.COMMIT)
    claim = play.commit(ALICE, weights)
    arrive(Phase.UPDATE)
    play.ok(play.send(ALICE, play.update_payload(claim, weights)))
    arrive(Phase.AUDIT)
    for commitment in play.round.sealed_drawn:
        play.ok(play.send(OPENER, play.sealed_payload(play.secret(commitment))))
    arrive(Phase.SCORE)
    play.score_update(ALICE)
    assert play.end().status == RoundStatus.DECIDED
    assert play.round.winner == ALICE.address
    assert play.spent(OPENER) == bounty, "no bond is lost"
    assert spent == sum(2 * risen(CROWDED.fees.floor, exponent) for exponent in range(blocks))
    assert play.maturing(mallory) == 0, "and the stranger has only paid"


def who_comes_first(sealed: int, rivals: int) -> None:
    """Rivals have Alice's candidate scored on a part each, just before her own transaction in every block."""
    strangers = crowd(rivals)
    play = play_with(strangers)
    play.parts = play.parts[: sealed + 1]
    play.ok(play.found(terms=train_terms(play.parts, sealed=sealed, audit_window=sealed, score_window=2)))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)), (BOB, network(play.inputs, 4)))
    play.audit()
    play.at(Phase.SCORE)
    play.score_update(BOB)
    whole = play.score_payload(ALICE)
    payloads = [(name, replace(whole, parts=(number,))) for number, name in enumerate(strangers)]
    receipts = play.send_all([*payloads, (ALICE, whole)])
    paid = [receipt.macs for receipt in receipts]
    assert paid[-1] == (len(whole.parts) - rivals) * paid[0], "she pays for what the others have left"
    assert play.end().winner == ALICE.address
    play.withdraw(ALICE)
    assert play.spent(ALICE) == 20 * COIN // 1_000
    assert all(play.maturing(name) == 0 for name in strangers)


FILLED = [
    (phase, blocks, bounty)
    for phase in (Phase.REVEAL, Phase.UPDATE, Phase.AUDIT, Phase.SCORE)
    for blocks, bounty in ((20, 20 * COIN), (40, 200 * COIN))
]
FIRST = [(2, 1), (3, 1), (3, 2)]


@pytest.mark.parametrize(("phase", "blocks", "bounty"), FILLED)
def test_filled_blocks(phase: Phase, blocks: int, bounty: int) -> None:
    filled_blocks(phase, blocks, bounty)


@pytest.mark.parametrize(("phase", "blocks", "bounty"), FILLED)
def test_where_every_block_lets_time_pass(
    phase: Phase, blocks: int, bounty: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transition, "is_light", lambda *_: True)
    with pytest.raises((RoundEnded, WrongPhase)):
        filled_blocks(phase, blocks, bounty)


@pytest.mark.parametrize(("sealed", "rivals"), FIRST)
def test_who_comes_first(sealed: int, rivals: int) -> None:
    who_comes_first(sealed, rivals)


@pytest.mark.parametrize(("sealed", "rivals"), FIRST)
def test_where_one_part_voids_the_rest(sealed: int, rivals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ScoreUpdate._parts

    def strict(self: ScoreUpdate, entry: object, candidate: object) -> object:
        if any(is_scored(candidate, number) for number in self.parts):  # type: ignore[arg-type]  # a candidate
            raise PartScored(got=self.parts)
        return kept(self, entry, candidate)  # type: ignore[arg-type]  # what `_parts` is given

    monkeypatch.setattr(ScoreUpdate, "_parts", strict)
    with pytest.raises(PartScored):
        who_comes_first(sealed, rivals)
