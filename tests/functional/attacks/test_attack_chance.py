"""Better means better beyond chance, and a baseline measures information: copies, constants and shifts."""

from dataclasses import replace

import numpy as np
import pytest

from engram.nn.data import parse_part, part_bytes
from engram.nn.loss import RowScores
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds import candidates, rewards
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Candidate
from engram.statemachine.rounds.terms import entry_of
from engram.statemachine.scoring import DataPart, Scorer
from engram.statemachine.transactions import reveal_update
from tests.support.attacks import crowd, fails, play_with
from tests.support.rounds import (
    ALICE,
    BOB,
    COIN,
    SMALL_RULES,
    WITNESS,
    Play,
    SecretPart,
    constant_growth,
    grow_terms,
    make_part,
    network,
    shifted,
    train_terms,
)

EASY = replace(SMALL_RULES, min_z_squared=1)


def a_noisy_copy(names: int, gain: int, nudge: int) -> None:
    """In the second epoch everybody sees Alice's network; copies of it with a small change earn nothing."""
    strangers = crowd(names)
    play = play_with(strangers)
    play.found(terms=train_terms(play.parts, epochs=2))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, gain)))
    copies = [(name, network(play.inputs, gain, nudge=nudge + place)) for place, name in enumerate(strangers)]
    play.play_epoch(*copies, epoch=1)
    play.decide(ALICE, *strangers)
    assert play.round.winner == ALICE.address
    best = play.round.best[0]
    assert play.maturing(ALICE) == play.round.terms.bounty * (best.baseline - best.loss) // best.baseline
    assert sum(play.maturing(name) for name in strangers) == 0
    entry = entry_of(play.ledger.rules, play.round.terms, 1)
    for name in strangers:
        if play.ledger.state.find(Candidate, play.id, b"\x01", name.address):
            play.withdraw(name, epoch=1)
        assert play.spent(name) >= entry


def a_leak(witnessed: bool) -> None:
    """Who learns the public validation parts by heart wins the epoch there, and nothing on unseen rows."""
    play = Play(rules=EASY)
    witnesses = (NamedWitness(WITNESS.address, old_only=False),) if witnessed else ()
    play.found(terms=train_terms(play.parts, z_squared=1, witnesses=witnesses))
    if witnessed:
        play.at(Phase.OPEN)
        play.seal(WITNESS, make_part(8, parts=len(play.parts), seed=3))
    play.reveal_validation()
    leak = network(play.inputs, 16, feature=play.leaking_feature())
    play.play_epoch((BOB, leak), (ALICE, network(play.inputs, 6)))
    play.decide()
    assert play.round.results[0].author == BOB.address, "it is the best on the rows that everybody knows"
    assert play.round.winner == ALICE.address
    assert "gain_not_proved" in play.reasons(BOB)
    play.withdraw_all()
    assert play.maturing(BOB) == 0
    assert play.spent(BOB) >= play.round.terms.author_bond - COIN // 100


def alike(parts: int, seed: int) -> list[SecretPart]:
    """Parts that hold the same rows in another order, so that a draw changes no sum of losses."""
    first = make_part(0, parts=parts, classes=3, rows=9, seed=seed)
    rows = parse_part(first.raw, rows=9, inputs=2 + parts, classes=3)
    rolled = ((np.roll(rows.features, by, axis=0), np.roll(rows.labels, by)) for by in range(parts))
    return [SecretPart(bytes([by]) * 32, part_bytes(*matter)) for by, matter in enumerate(rolled)]


def outcome(shift: int, height: int) -> tuple[object, ...]:
    """What becomes of a growth that gives its class one logit, on a model with shifted logits."""
    play = Play(rules=EASY)
    play.ok(play.found())
    play.reveal_validation()
    play.play_epoch((ALICE, shifted(network(play.inputs, 8), shift)))
    play.decide()
    play.withdraw_all()
    assert play.model.frozen, "the shift changes no loss"
    paid = play.maturing(BOB)
    play.parts = alike(len(play.parts), seed=7)
    play.ok(play.open(grow_terms(play.parts, z_squared=1)))
    play.reveal_validation()
    event = play.play_epoch((BOB, constant_growth(play.inputs, 256 * (shift + height))))[0].events[-1]
    if event.name == "no_improvement":
        return event.name, event.values
    play.decide()
    groups = play.candidate(BOB).groups
    return event.values, groups, play.reasons(BOB), play.round.status, play.maturing(BOB) - paid


def a_number_added_to_all_logits(shift: int, height: int) -> None:
    """It changes no loss, no baseline, no verdict and no payment."""
    assert outcome(shift, height) == outcome(0, height)


COPIES = [(1, 8, 1), (4, 6, 3)]
SHIFTS = [(-40, 0), (-40, -2), (25, -1)]


@pytest.mark.parametrize(("names", "gain", "nudge"), COPIES)
def test_a_noisy_copy(names: int, gain: int, nudge: int) -> None:
    a_noisy_copy(names, gain, nudge)


@pytest.mark.parametrize(("names", "gain", "nudge"), COPIES)
def test_where_any_gain_takes_the_lead(
    names: int, gain: int, nudge: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewards, "takes_lead", lambda share, lead: True)
    fails(lambda: a_noisy_copy(names, gain, nudge))


@pytest.mark.parametrize("witnessed", [False, True])
def test_a_leak(witnessed: bool) -> None:
    a_leak(witnessed)


@pytest.mark.parametrize("witnessed", [False, True])
def test_where_chance_is_a_gain(witnessed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "proves_gain", lambda *_: True)
    fails(lambda: a_leak(witnessed))


@pytest.mark.parametrize(("shift", "height"), SHIFTS)
def test_a_number_added_to_all_logits(shift: int, height: int) -> None:
    a_number_added_to_all_logits(shift, height)


@pytest.mark.parametrize(("shift", "height"), SHIFTS)
def test_where_new_classes_have_logit_zero(shift: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a baseline, version t with logit 0 for new classes depends on the shift."""
    known = Scorer.network_rows

    def with_all_classes(self: Scorer, *given: object, keep: bool = False) -> RowScores:
        network, part, classes, kind = given
        assert isinstance(part, DataPart), "networks are scored on parts"
        grows = int(part.load().labels.max()) == 2
        return known(self, network, part, 3 if grows else classes, kind, keep=keep)  # type: ignore[arg-type]

    monkeypatch.setattr(Scorer, "network_rows", with_all_classes)
    monkeypatch.setattr(candidates, "null_growth_losses", lambda base, *_: base)
    monkeypatch.setattr(reveal_update, "validation_bar", lambda *_: 2**63)
    fails(lambda: a_number_added_to_all_logits(shift, height))


def test_the_best_constant_on_a_model_that_is_sure_of_every_row() -> None:
    """Where version t cannot tell new rows from old ones, no logit for a new class earns anything."""
    for height in range(-4, 9):
        assert sure_outcome(height) == 0


def sure_outcome(height: int) -> int:
    play = Play(rules=EASY)
    play.freeze()
    play.parts = [
        make_part(index, parts=len(play.parts), classes=2, rows=12, seed=5, names=(0, 2))
        for index in range(len(play.parts))
    ]
    paid = play.maturing(BOB)
    play.ok(play.open(grow_terms(play.parts, rows=12, old_rows=6, z_squared=1)))
    play.reveal_validation()
    event = play.play_epoch((BOB, constant_growth(play.inputs, 256 * height)))[0].events[-1]
    if event.name != "no_improvement":
        play.decide()
    return play.maturing(BOB) - paid
