"""TRAIN rounds from the opening to the version: who wins, who is paid what, what the model remembers."""

from engram.statemachine.fees import price_of_macs
from engram.statemachine.record import u32
from engram.statemachine.records import BadgeKind, Reputation, ScoreEntry
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.escrow import sealed_macs
from engram.statemachine.rounds.records import RoundStatus
from tests.support.rounds import (
    ALICE,
    AUDITOR,
    BOB,
    CAROL,
    COIN,
    OPENER,
    Play,
    Weights,
    make_part,
    network,
    train_terms,
)


def scoring_price(play: Play, weights: Weights) -> int:
    """What one sealed part costs a candidate."""
    version = play.version(0)
    return price_of_macs(play.ledger.rules.fees, sealed_macs(play.ledger.rules, play.round, version, version))


def test_the_lowest_sealed_loss_becomes_the_next_version() -> None:
    play = Play()
    play.ok(play.found())
    play.reveal_validation()
    good, better = network(play.inputs, 4), network(play.inputs, 8)
    for receipt in play.play_epoch((ALICE, good), (BOB, better)):
        play.ok(receipt)
    play.audit()
    ended = play.end()
    assert (ended.status, ended.winner, ended.new_version) == (RoundStatus.DECIDED, BOB.address, 1)

    opened = ended.sealed_opened
    baseline, sealed = opened[0].baseline.loss, play.loss_of(better, opened)
    version, model = play.version(1), play.model
    assert (version.author, version.parent, version.round) == (BOB.address, play.version(0).root, ended.id)
    assert (version.validation_loss, version.validation_rows) == (play.loss_of(better), 8)
    assert (version.sealed_loss, version.sealed_rows, version.sealed_correct) == (sealed, 8, 8)
    assert (model.head, model.root, model.loss, model.loss_rows) == (1, version.root, sealed, 8)
    assert model.frozen
    assert [part.classes for part in model.retention] == [2]

    share = 20 * COIN * (baseline - sealed) // baseline
    assert play.maturing(BOB) == share
    assert play.maturing(OPENER) == 20 * COIN * sealed // baseline
    assert play.maturing(ALICE) == 0
    assert play.spent(ALICE) == play.spent(BOB) == scoring_price(play, good)
    assert play.spent(OPENER) == 20 * COIN
    assert play.badges(BOB, 1) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS}
    assert play.badges(ALICE, 1) == {BadgeKind.PARTICIPATION}
    assert play.badges(OPENER, 1) == {BadgeKind.FOUNDER}
    reputation = play.ledger.state.get(Reputation, play.model_id, BOB.address)
    assert reputation.points == 10**6 * (baseline - sealed) // baseline


def test_the_ledger_keeps_every_score_of_both_versions() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    weights = network(play.inputs, 8)
    play.play_epoch((ALICE, weights))
    play.audit()
    ended = play.end()
    state = play.ledger.state
    assert (len(ended.validation_opened), len(ended.sealed_opened)) == (1, 1)
    for part in (*ended.validation_opened, *ended.sealed_opened):
        before = state.get(ScoreEntry, play.model_id, u32(0), part.commitment)
        after = state.get(ScoreEntry, play.model_id, u32(1), part.commitment)
        assert (before.loss, before.correct, before.rows) == (part.baseline.loss, part.baseline.correct, 8)
        assert (after.loss, after.rows) == (play.loss_of(weights, [part]), 8)


def test_every_epoch_leaves_its_best_and_a_better_one_may_follow() -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, epochs=2))
    play.reveal_validation()
    first, worse, second = network(play.inputs, 3), network(play.inputs, 2), network(play.inputs, 8)
    play.play_epoch((ALICE, first), (CAROL, worse))
    play.play_epoch((BOB, second), epoch=1)
    play.audit()
    ended = play.end()
    assert [result.author for result in ended.results] == [ALICE.address, BOB.address]
    assert [result.loss for result in ended.results] == [play.loss_of(first), play.loss_of(second)]
    assert ended.winner == BOB.address
    # Each is paid for what it removed from the one before: together, what the winner removed.
    baseline = ended.sealed_opened[0].baseline.loss
    alone, last = (play.loss_of(weights, ended.sealed_opened) for weights in (first, second))
    assert play.maturing(ALICE) == 20 * COIN * (baseline - alone) // baseline
    assert play.maturing(BOB) == 20 * COIN * (alone - last) // baseline
    assert play.badges(ALICE, 1) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS}
    assert play.maturing(CAROL) == 0


def test_an_author_may_improve_on_its_own_candidate() -> None:
    play = Play()
    play.found(terms=train_terms(play.parts, epochs=2))
    play.reveal_validation()
    first, second = network(play.inputs, 3), network(play.inputs, 8)
    play.play_epoch((ALICE, first))
    play.play_epoch((ALICE, second), epoch=1)
    assert [name.epoch for name in play.round.candidates] == [0, 1]
    play.audit()
    ended = play.end()
    baseline, last = ended.sealed_opened[0].baseline.loss, play.loss_of(second, ended.sealed_opened)
    assert ended.winner == ALICE.address
    assert play.maturing(ALICE) in (
        20 * COIN * (baseline - last) // baseline,
        20 * COIN * (baseline - last) // baseline - 1,  # two payments, each rounded down
    )
    assert play.spent(ALICE) == 2 * scoring_price(play, first)


def test_an_update_below_the_margin_gets_its_bond_back_and_no_place() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    receipt = play.play_epoch((ALICE, network(play.inputs, 0, nudge=1)))[0]
    assert (receipt.code, [event.name for event in receipt.events]) == ("", ["no_improvement"])
    assert play.round.candidates == ()
    assert play.spent(ALICE) == 0


def test_the_model_stays_if_nobody_plays_and_nothing_has_to_be_opened() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    ended = play.end()
    assert (ended.status, ended.new_version, play.model.head) == (RoundStatus.KEPT, 0, 0)
    assert play.spent(OPENER) == 20 * COIN
    assert play.maturing(OPENER) == 20 * COIN
    assert play.account(OPENER).strikes == 0
    assert play.model.open_round == bytes(32)


def test_rounds_follow_each_other_until_the_model_freezes() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 1)))
    play.audit()
    play.end()
    trained = play.model
    assert (trained.frozen, trained.retention) == (False, ())

    play.parts = [make_part(index, parts=4, seed=1) for index in range(4)]
    play.ok(play.open())
    assert (play.round.version, play.round.base) == (1, play.version(1).root)
    play.reveal_validation()
    play.play_epoch((BOB, network(play.inputs, 8)))
    play.audit()
    assert play.end().new_version == 2
    assert play.model.frozen
    play.parts = [make_part(index, parts=4, seed=2) for index in range(4)]
    assert play.refused(OPENER, play.open_payload()) == "model_frozen"


def test_opening_the_next_round_settles_the_last() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    play.at(Phase.CLOSED)
    last = play.id
    play.parts = [make_part(index, parts=4, seed=1) for index in range(4)]
    receipt = play.ok(play.open())
    names = [event.name for event in receipt.events]
    assert names == ["epoch_ended", "round_ended", "round_opened"]
    assert play.id != last
    assert play.model.open_round == play.id


def test_a_third_party_part_decides_beside_the_openers() -> None:
    play = Play(parts=5)
    mine, theirs = play.parts[:4], play.parts[4]
    play.found(terms=train_terms(mine, auditors=(AUDITOR.address,)))
    play.ok(play.send(AUDITOR, play.seal_payload(theirs)))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.audit()
    assert not play.round.independent
    play.ok(play.send(AUDITOR, play.sealed_payload(theirs)))
    ended = play.end()
    assert ended.independent
    assert [part.owner for part in ended.sealed_opened] == [OPENER.address, AUDITOR.address]
    assert play.version(1).sealed_rows == 16
    assert play.spent(AUDITOR) == 0
    assert play.badges(AUDITOR, 1) == {BadgeKind.AUDITOR}


def test_scoring_follows_the_parts_and_the_rest_of_the_escrow_returns() -> None:
    play = Play(parts=5)
    play.found(terms=train_terms(play.parts[:4], auditors=(AUDITOR.address,)))
    play.send(AUDITOR, play.seal_payload(play.parts[4]))
    play.reveal_validation()
    weights = network(play.inputs, 8)
    play.play_epoch((ALICE, weights))
    price = scoring_price(play, weights)
    assert play.candidate(ALICE).escrow == 2 * price
    play.audit()
    assert play.candidate(ALICE).escrow == price
    play.end()
    assert play.spent(ALICE) == price


def test_a_round_keeps_to_its_calendar_even_if_its_work_is_done() -> None:
    play = Play()
    play.found()
    play.reveal_validation()
    claim = play.claim(ALICE, network(play.inputs, 8))
    assert play.span(Phase.REVEAL).last >= play.tick
    assert play.refused(ALICE, play.commit_payload(claim)) == "wrong_phase"
