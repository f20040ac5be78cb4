"""A pot that was refused is nobody's to take or to destroy, and nobody changes a round under its opener."""

from dataclasses import replace

import pytest

from engram.statemachine.context import BlockContext
from engram.statemachine.money import burn
from engram.statemachine.receipt import Event
from engram.statemachine.records import BadgeKind, Model, NamedWitness
from engram.statemachine.rounds import settlement
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.models import free_model
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.state import State
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.open_round import OpenRound
from tests.support.attacks import crowd, fails, play_with
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    SMALL_RULES,
    WITNESS,
    Play,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)

EASY = replace(SMALL_RULES, min_z_squared=1)
STANDING = (NamedWitness(WITNESS.address, old_only=False),)


def refused(names: tuple[int, ...], bounty: int) -> Play:
    """A GROW round whose pot was refused: the standing witness's labels are wrong."""
    play = Play(rules=EASY)
    play.freeze()
    play.ok(play.send(OPENER, AmendModel(play.model_id, (CAROL.address,), STANDING, 200_000)))
    play.ok(play.open(grow_terms(play.parts, z_squared=1, bounty=bounty, opener_bond=bounty)))
    play.at(Phase.OPEN)
    play.seal(WITNESS, make_part(8, parts=len(play.parts), classes=3, rows=9, seed=4, names=names))
    play.reveal_validation()
    play.play_epoch((ALICE, growth(play.inputs, 8)))
    play.decide()
    play.withdraw_all()
    assert (play.round.status, play.round.refused) == (RoundStatus.KEPT, True)
    return play


def nobody_takes_a_refused_pot(names: tuple[int, ...], bounty: int) -> None:
    """It waits for the author who improves the model, however rounds end until then."""
    play = refused(names, bounty)
    pot = bounty - COIN
    assert (play.model.carried, play.round.carried, play.round.pot) == (pot, 0, 0)
    play.ok(play.send(OPENER, AmendModel(play.model_id, (), (), 200_000)))

    opener, paid = play.account(OPENER).balance, play.maturing(OPENER)
    fees = play.fees[OPENER.address]
    play.new_parts()
    play.ok(play.open(grow_terms(play.parts, z_squared=1)))
    assert (play.model.carried, play.round.carried) == (0, pot)
    play.reveal_validation()
    play.at(Phase.CLOSED)
    play.end()
    returned = play.account(OPENER).balance + play.maturing(OPENER)
    assert returned == opener + paid - (play.fees[OPENER.address] - fees), "an empty round brings nothing"
    assert play.model.carried == pot

    play.new_parts()
    play.ok(play.open(grow_terms(play.parts, z_squared=1)))
    play.at(Phase.CLOSED)
    play.end()
    assert play.round.status == RoundStatus.ABORTED
    assert play.model.carried == pot, "an abort burns what is the opener's, not what is the model's"

    play.new_parts()
    before = play.maturing(ALICE)
    play.ok(play.open(grow_terms(play.parts, z_squared=1)))
    play.reveal_validation()
    play.play_epoch((ALICE, growth(play.inputs, 8)))
    play.decide()
    best, whole = play.round.best[0], play.round.terms.bounty
    removed = [amount * (best.baseline - best.loss) // best.baseline for amount in (whole, pot)]
    assert play.maturing(ALICE) - before == sum(removed)
    assert play.model.carried == pot - removed[1]


def a_founder_comes_first(count: int, fee: int) -> None:
    """The founder names witnesses of their own before a member's opening, to take the fees of its bounty."""
    names = crowd(count)
    play = play_with(names)
    play.freeze()
    play.ok(play.send(OPENER, AmendModel(play.model_id, (BOB.address,), (), 200_000)))
    payload = play.open_payload(grow_terms(play.parts, witness_fee=fee))
    own = tuple(NamedWitness(name.address, old_only=False) for name in names)
    play.ok(play.send(OPENER, AmendModel(play.model_id, (BOB.address,), own, 200_000)))
    assert play.refused(BOB, payload) == "model_changed"
    assert play.spent(BOB) == 0


def a_copy_earns_no_badge(gain: int) -> None:
    """Who brings the best update of the first epoch again in the second has done nothing."""
    play = Play()
    play.ok(play.found(terms=train_terms(play.parts, epochs=2)))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, gain)))
    play.play_epoch((BOB, network(play.inputs, gain)), epoch=1)
    play.decide(ALICE, BOB)
    play.withdraw_all()
    assert BadgeKind.BEST_LOSS in play.badges(ALICE, 1)
    assert BadgeKind.BEST_LOSS not in play.badges(BOB, 1)
    assert play.maturing(BOB) == 0


REFUSALS = [((2, 0, 1), 20 * COIN), ((1, 2, 0), 90 * COIN)]
OWN = [(1, COIN), (8, COIN)]


@pytest.mark.parametrize(("names", "bounty"), REFUSALS)
def test_nobody_takes_a_refused_pot(names: tuple[int, ...], bounty: int) -> None:
    nobody_takes_a_refused_pot(names, bounty)


@pytest.mark.parametrize(("names", "bounty"), REFUSALS)
def test_where_a_refused_pot_is_burned(
    names: tuple[int, ...], bounty: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = settlement._ended

    def burning(state: State, round_: Round, status: RoundStatus) -> settlement.Settled:
        burn(state, round_.carried)
        return kept(state, replace(round_, carried=0), status)

    monkeypatch.setattr(settlement, "_ended", burning)
    fails(lambda: nobody_takes_a_refused_pot(names, bounty))


@pytest.mark.parametrize(("count", "fee"), OWN)
def test_a_founder_comes_first(count: int, fee: int) -> None:
    a_founder_comes_first(count, fee)


@pytest.mark.parametrize(("count", "fee"), OWN)
def test_where_an_opening_names_nothing(count: int, fee: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def unseen(self: OpenRound, state: State, ctx: BlockContext) -> tuple[Model, tuple[Event, ...]]:
        return free_model(state, ctx, self.model)

    monkeypatch.setattr(OpenRound, "_seen_model", unseen)
    fails(lambda: a_founder_comes_first(count, fee))


@pytest.mark.parametrize("gain", [6, 8])
def test_a_copy_earns_no_badge(gain: int) -> None:
    a_copy_earns_no_badge(gain)


@pytest.mark.parametrize("gain", [6, 8])
def test_where_each_epoch_has_a_best(gain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        settlement,
        "_lowest_on_validation",
        lambda state, ctx, round_, model: [(result.author, BadgeKind.BEST_LOSS) for result in round_.results],
    )
    fails(lambda: a_copy_earns_no_badge(gain))
