"""Unions of growths on models whose authors claim scores: a union waits for what its halves have shown."""

from engram.statemachine.rounds.calendar import Phase
from tests.support.claimed_rounds import CLAIMS, better, united
from tests.support.rounds import ALICE, BOB, CAROL, COIN

BOND = 40 * COIN


def test_a_union_waits_for_the_claims_of_its_halves() -> None:
    play = united()
    for author, epoch in ((ALICE, 0), (BOB, 0), (CAROL, 1)):
        play.score_update(author, epoch)
    play.pass_window(CAROL, 1)
    union = play.confirm_payload(CAROL, 1)
    assert play.refused(CAROL, union) == "half_not_scored"
    play.confirm(ALICE)
    assert play.refused(CAROL, union) == "half_not_scored"
    play.confirm(BOB, sender=CAROL)
    play.ok(play.send(CAROL, union))
    assert [half.weight > 0 for half in play.round.best[1].halves] == [True, True]
    assert play.end().winner == CAROL.address


def test_a_half_whose_author_claims_nothing_weighs_nothing_and_holds_up_nobody_for_long() -> None:
    play = united()
    play.score_update(ALICE)
    play.score_update(CAROL, 1)
    play.confirm(ALICE)
    play.pass_window(CAROL, 1)
    assert play.refused(CAROL, play.confirm_payload(CAROL, 1)) == "half_not_scored"
    late = play.span(Phase.SCORE).last - play.ledger.rules.min_window_ticks
    play.ledger.skip_to_tick(late - CLAIMS.window + 1)
    play.ok(play.send(CAROL, play.confirm_payload(CAROL, 1)))
    weights = {half.author: half.weight for half in play.round.best[1].halves}
    assert weights[BOB.address] == 0 < weights[ALICE.address]
    play.end()
    play.withdraw_all()
    assert play.maturing(BOB) == 0
    assert play.spent(BOB) >= BOND


def test_a_refuted_half_weighs_nothing() -> None:
    play = united()
    play.lies[BOB.address, 1] = better(row=4)
    for author, epoch in ((ALICE, 0), (BOB, 0), (CAROL, 1)):
        play.score_update(author, epoch)
    play.ok(play.send(CAROL, play.dispute_payload(BOB, part=1, number=0)))
    play.confirm(ALICE)
    play.confirm(CAROL, 1)
    assert {half.author: half.weight > 0 for half in play.round.best[1].halves} == {
        ALICE.address: True,
        BOB.address: False,
    }
