"""Lies about scores and disputes about the truth: what they cost, and that nothing comes of them."""

from dataclasses import replace

import pytest

from engram.primitives import keys
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.claims import audited_chunks
from engram.statemachine.rounds.draw import draw_seed
from engram.statemachine.rounds.errors import ClaimDecided
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.confirm_update import ConfirmUpdate
from engram.statemachine.transactions.transfer import Transfer
from tests.support.attacks import crowd
from tests.support.claimed_rounds import ClaimPlay, better, losing_nothing, play_of
from tests.support.ledger import Ledger
from tests.support.rounds import ACTORS, ALICE, BOB, CAROL, COIN, OPENER, PURSE, SMALL_RULES, network

BOND = 40 * COIN
ENTRY = 2 * COIN // 100


def claimed(play: ClaimPlay, *authors: keys.PrivateKey, **given: object) -> ClaimPlay:
    """A founding round in which these authors bring good networks and have claimed all scores."""
    play.ok(play.found(terms=play.terms(**given)))
    play.reveal_validation()
    weights = [(author, network(play.inputs, 8, nudge=place)) for place, author in enumerate(authors)]
    for receipt in play.play_epoch(*weights):
        play.ok(receipt)
    play.audit()
    play.at(Phase.SCORE)
    for receipt in play.send_all([(author, play.score_payload(author)) for author in authors]):
        play.ok(receipt)
    return play


def wealth(play: ClaimPlay, *names: keys.PrivateKey) -> int:
    """What these names have, or will have, without the fees that they paid."""
    coins = sum(play.account(name).balance + play.maturing(name) for name in names)
    return coins + sum(play.fees.get(name.address, 0) for name in names)


def test_a_liar_who_refutes_himself_loses_more_than_the_pot() -> None:
    """Opener, author and challenger are one person: what burns is worth more than all there was to win."""
    play = play_of()
    play.lies[ALICE.address, 1] = better(row=3)
    before = wealth(play, OPENER, ALICE, CAROL)
    claimed(play, ALICE)
    play.ok(play.send(CAROL, play.dispute_payload(ALICE, part=1, number=0)))
    assert play.end().status == RoundStatus.KEPT
    play.withdraw_all()
    assert before - wealth(play, OPENER, ALICE, CAROL) == BOND // 2 + ENTRY > play.round.terms.bounty


def test_a_crowd_of_liars_loses_a_bond_for_each_name_and_keeps_nobody_out() -> None:
    names = crowd(12)
    play = ClaimPlay(ledger=Ledger(dict.fromkeys((*ACTORS, *names), PURSE), rules=SMALL_RULES))
    for row, name in enumerate(names):
        play.lies[name.address, 1] = better(row)
    claimed(play, ALICE, *names)
    disputes = [play.dispute_payload(name, part=1, number=row // 8) for row, name in enumerate(names)]
    watcher = play.account(BOB).balance
    for payload in disputes:
        play.ok(play.send(BOB, payload))
    assert play.account(BOB).balance > watcher + len(names) * (BOND // 2 - COIN)
    play.confirm(ALICE)
    assert play.end().winner == ALICE.address
    for name in (ALICE, *names):
        play.withdraw(name)
    assert [play.spent(name) for name in names] == [BOND + ENTRY] * len(names)
    assert (play.spent(ALICE), play.badges(ALICE, 1) > set()) == (ENTRY, True)


def test_a_crowd_that_disputes_the_truth_pays_for_it_and_holds_nothing_up() -> None:
    names = crowd(30)
    play = ClaimPlay(ledger=Ledger(dict.fromkeys((*ACTORS, *names), PURSE), rules=SMALL_RULES))
    claimed(play, ALICE)
    last = play.candidate(ALICE).claim
    payloads = [(name, play.dispute_payload(ALICE, part=1, number=at % 3)) for at, name in enumerate(names)]
    assert {receipt.code for receipt in play.send_all(payloads)} == {"claim_holds"}
    assert [play.spent(name) for name in names] == [SMALL_RULES.min_author_bond] * len(names)
    assert play.candidate(ALICE).claim == last
    play.confirm(ALICE)
    assert play.end().winner == ALICE.address
    play.withdraw_all()
    assert play.spent(ALICE) == ENTRY


def test_a_claim_is_decided_once_whatever_else_stands_in_the_block() -> None:
    """Two disputes of one lie, a dispute before the confirmation, and one after it."""
    play = play_of(claims=ClaimTerms(window=4, audited=1))
    play.lies[ALICE.address, 1] = better(row=3)
    claimed(play, ALICE)
    play.pass_window(ALICE)
    dispute, confirm = play.dispute_payload(ALICE, 1, 0), play.confirm_payload(ALICE)
    for first, second in ((dispute, dispute), (dispute, confirm), (confirm, dispute)):
        other = play.fork()
        with pytest.raises(ClaimDecided):
            other.send_all([(BOB, first), (CAROL, second)])
        other.ok(other.send(BOB, first))
        assert other.refused(CAROL, second) == "claim_decided"
    with pytest.raises(ClaimDecided):
        play.ledger.block(*play.ledger.pay_each(BOB, dispute, dispute))


def test_nothing_is_disputed_or_confirmed_outside_of_its_time() -> None:
    play = play_of()
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    dispute = play.dispute_payload(ALICE, part=0, number=0)
    confirm = ConfirmUpdate(play.id, 0, ALICE.address, (dispute.chunk,))
    for payload in (dispute, confirm):
        assert play.refused(BOB, payload) == "wrong_phase"
    play.decide(ALICE)
    for payload in (dispute, confirm):
        assert play.refused(BOB, payload) == "round_ended"


def test_full_blocks_neither_choose_an_audit_nor_let_its_window_pass() -> None:
    """Two transactions fill a block here. Only blocks that tick count, and none that holds the claim."""
    play = play_of(replace(SMALL_RULES, max_block_transactions=3))
    claimed(play, ALICE)
    claim, holder = play.candidate(ALICE).claim, play.ledger.parent
    assert claim is not None
    ticked = {play.tick: holder}
    for number in range(12):
        crowded = [(BOB, Transfer(CAROL.address, 1)), (CAROL, Transfer(BOB.address, 1))]
        before = play.tick
        play.send_all(crowded if number % 3 else [])
        if play.tick > before:
            ticked[play.tick] = play.ledger.parent
    assert play.tick == claim.last + 1 + 4
    draws = play.ledger.rules.draw_ticks
    ids = [ticked[claim.last + 2 + place] for place in range(draws)]
    assert holder not in ids
    seed = draw_seed([*ids, play.candidate(ALICE).root], play.id)
    assert play.drawn(ALICE) == audited_chunks(play.round, play.model, seed)
    play.ok(play.send(ALICE, play.confirm_payload(ALICE)))


def test_an_aborted_round_gives_liars_their_bonds_and_nothing_else() -> None:
    """The opener is in league with the liar, and withholds the sealed part: bond and bounty burn."""
    play = play_of()
    play.lies[ALICE.address, 0] = better(row=3)
    before = wealth(play, OPENER, ALICE)
    play.ok(play.found())
    play.reveal_validation()
    play.ok(play.play_epoch((ALICE, network(play.inputs, 8)))[0])
    assert play.end().status == RoundStatus.ABORTED
    play.withdraw_all()
    terms_ = play.round.terms
    assert before - wealth(play, OPENER, ALICE) == terms_.bounty + terms_.opener_bond + ENTRY


def test_nothing_comes_back_from_a_claim_that_stays_open() -> None:
    """An author who claims everything and is never confirmed has shown nothing."""
    play = claimed(play_of(), ALICE, BOB)
    play.lies[BOB.address, 1] = better(row=3)
    assert play.end().status == RoundStatus.KEPT
    floor = play.ledger.rules.fees.floor
    for author in (ALICE, BOB):
        play.withdraw(author, sender=CAROL)
        assert play.spent(author) == BOND + ENTRY
    assert play.spent(CAROL) == -2 * floor, "clearing away costs nothing"
    assert play.maturing(OPENER) == play.round.terms.bounty


def test_an_opener_does_not_get_an_honest_update_for_nothing() -> None:
    """The opener's other names claim to be better by far; only what is confirmed is judged."""
    play = play_of()
    play.lies[BOB.address, 1] = losing_nothing
    claimed(play, ALICE, BOB)
    play.confirm(ALICE)
    play.ok(play.send(CAROL, play.dispute_payload(BOB, part=1, number=0)))
    assert play.end().winner == ALICE.address
    assert play.maturing(ALICE) > play.round.terms.bounty * 3 // 4
