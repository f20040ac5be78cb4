"""What a frozen model knows cannot be buried under what is appended, nor its growth be stopped."""

from dataclasses import replace

import pytest

from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds import candidates, leading, terms
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.amend_model import AmendModel
from tests.support.attacks import fails
from tests.support.rounds import (
    ALICE,
    BOB,
    COIN,
    OPENER,
    SMALL_RULES,
    WITNESS,
    Play,
    forgetful,
    grow_terms,
    growth,
    make_part,
)

EASY = replace(SMALL_RULES, min_z_squared=1)
"""Rules under which so few rows prove a gain that the gate alone decides."""


def played(play: Play, *updates: object) -> None:
    """A GROW round in which these updates are made, up to its end."""
    play.ok(play.open(grow_terms(play.parts, z_squared=1)))
    play.reveal_validation()
    play.play_epoch(*updates)  # type: ignore[arg-type]  # pairs of an author and weights
    play.decide()


def a_backdoor_growth(fondness: int) -> None:
    """A growth that takes old rows for its new class earns nothing, and the model keeps what it knew."""
    play = Play(rules=EASY)
    play.freeze()
    before = play.model
    played(play, (BOB, forgetful(play.inputs, fondness)))
    assert play.round.status == RoundStatus.KEPT
    assert {"forgets_old_rows", "forgets_retention_rows"} & set(play.reasons(BOB))
    assert play.model.root == before.root
    assert play.model.lost_ppm == 0
    assert play.maturing(BOB) == 0
    assert play.maturing(OPENER) >= play.round.terms.bounty, "the whole pot returns to the opener"


def an_honest_growth_beside_it(fondness: int) -> None:
    """Beside an honest growth the forgetful one changes nothing."""
    play = Play(rules=EASY)
    play.freeze()
    played(play, (BOB, forgetful(play.inputs, fondness)), (ALICE, growth(play.inputs, 8)))
    assert play.round.winner == ALICE.address
    assert play.model.classes == 3
    assert play.maturing(BOB) == 0


def touching_what_is_frozen(classes_only: bool) -> None:
    """Growth without new classes would change the answers of a strict, frozen model."""
    play = Play()
    play.freeze()
    play.new_parts(classes=2, rows=8)
    changes = {"new_classes": 0, "rows": 8, "old_rows": 8 if classes_only else 6}
    assert play.refused(OPENER, play.open_payload(grow_terms(play.parts, **changes))) == "nothing_to_feed"


def a_poisoner(names: tuple[int, ...]) -> None:
    """A witness seals rows with wrong labels: one round is lost, the next is played without this witness."""
    play = Play(rules=EASY)
    play.freeze()
    founder = play.model.founder
    standing = (NamedWitness(WITNESS.address, old_only=False),)
    play.ok(play.send(OPENER, AmendModel(play.model_id, (), standing, play.model.lost_cap_ppm)))
    known, earned = [part.part for part in play.model.retention], play.maturing(OPENER)
    play.ok(play.open(grow_terms(play.parts)))
    play.at(Phase.OPEN)
    wrong = make_part(8, parts=len(play.parts), classes=3, rows=9, seed=4, names=names)
    play.seal(WITNESS, wrong)
    play.reveal_validation()
    play.play_epoch((ALICE, growth(play.inputs, 8)))
    play.decide()
    assert play.round.status == RoundStatus.KEPT
    assert play.round.refused, "the opener named the witness whose rows refuse what the other side proves"
    assert play.maturing(OPENER) == earned, "so the pot is burned, and refusing brings the opener nothing"
    assert [part.part for part in play.model.retention] == known, "the poisoned part does not stay"
    play.withdraw_all()
    assert play.spent(ALICE) < COIN, "the honest author loses the entry and no bond"
    play.ok(play.send(OPENER, AmendModel(play.model_id, (), (), play.model.lost_cap_ppm)))
    play.new_parts()
    played(play, (ALICE, growth(play.inputs, 8)))
    assert play.round.status == RoundStatus.DECIDED
    assert play.model.founder == founder


FONDNESS = [650, 700, 800]
POISON = [(2, 0, 1), (1, 2, 0)]


@pytest.mark.parametrize("fondness", FONDNESS)
def test_a_backdoor_growth(fondness: int) -> None:
    a_backdoor_growth(fondness)


@pytest.mark.parametrize("fondness", FONDNESS)
def test_an_honest_growth_beside_it(fondness: int) -> None:
    an_honest_growth_beside_it(fondness)


@pytest.mark.parametrize("only", [True, False])
def test_touching_what_is_frozen(only: bool) -> None:
    touching_what_is_frozen(only)


@pytest.mark.parametrize("only", [True, False])
def test_where_a_strict_model_may_be_touched(only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "_check_kind", lambda *_: None)
    fails(lambda: touching_what_is_frozen(only))


@pytest.mark.parametrize("names", POISON)
def test_a_poisoner(names: tuple[int, ...]) -> None:
    a_poisoner(names)


@pytest.mark.parametrize("fondness", FONDNESS)
def test_without_the_gate(fondness: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_reasons_of_the_gate", lambda *_: [])
    fails(lambda: a_backdoor_growth(fondness))


@pytest.mark.parametrize("names", POISON)
def test_where_refusing_is_free(names: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leading, "is_refused", lambda *_: False)
    fails(lambda: a_poisoner(names))
