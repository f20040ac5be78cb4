"""What one growth of a model may append at most: fixed by its founding, at the price of the bond."""

from dataclasses import replace
from typing import Any

import pytest

from engram.nn.growth import Growth, Policy
from engram.nn.layers import DenseRelu, Output
from engram.statemachine.additions import GrowUpdate
from engram.statemachine.records import GrowthLimits
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import GrowthAboveLimit
from engram.statemachine.rounds.update import check_update
from engram.statemachine.transactions.open_round import OpenRound
from tests.support.growing import ENTRY, finish, growing, reveal
from tests.support.rounds import (
    BOB,
    COIN,
    OPENER,
    Play,
    Weights,
    block,
    column,
    distinct,
    founding,
    grow_terms,
    network,
    train_terms,
)


def growth_of_all_sorts(play: Play) -> Weights:
    """One new class of two components, by two neurons: 2 hidden segments, 2 outputs."""
    hidden, hidden_tensors = block(column(play.inputs, 1), [0])
    outputs, output_tensors = block([[8]], [-1024])
    segment = DenseRelu(1, 0, play.inputs, 1, 0, 8, 8)
    growth = Growth(
        1, (segment, segment), (Output(1, 1, 2, 2, 1, -8, 8), Output(1, 2, 3, 3, 1, -8, 8)), (2, 2)
    )
    tensors = distinct(*hidden_tensors, *output_tensors)
    return Weights(growth, (hidden, hidden), (outputs, outputs), tensors)


def exact_limits(weights: Weights) -> GrowthLimits:
    """The limits that this growth reaches and does not pass."""
    growth = weights.spec
    assert isinstance(growth, Growth)
    segments = (*growth.hidden, *growth.outputs)
    macs = sum(segment.macs_per_row() for segment in segments)
    return GrowthLimits(segments=4, neurons=2, components=2, classes=1, macs_per_row=macs)


EXACT = exact_limits(growth_of_all_sorts(Play()))
LIMITS = ["segments", "components", "macs_per_row"]
"""Those that a growth can pass although its round was opened: there classes and neurons are checked."""


def test_a_growth_may_reach_every_limit_of_its_model() -> None:
    play = growing(terms={"max_update_neurons": 2}, growth_limits=EXACT)
    assert play.model.growth_limits == EXACT
    play.ok(reveal(play, growth_of_all_sorts(play)))
    assert finish(play) == 2


@pytest.mark.fault(id=27)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_growth_above_a_limit_costs_its_bond(limit: str) -> None:
    lower = replace(EXACT, **{limit: getattr(EXACT, limit) - 1})
    play = growing(terms={"max_update_neurons": 2}, growth_limits=lower)
    weights = growth_of_all_sorts(play)
    claim = play.commit(BOB, weights)
    play.at(Phase.UPDATE)
    payload = play.update_payload(claim, weights)
    cost = payload.cost(play.ledger.state, play.ledger.ctx, BOB.address)
    assert (cost.macs, cost.paid_macs) == (0, 0), "its shape alone shows that it is refused"
    assert play.send(BOB, payload).code == "growth_above_limit"
    assert play.spent(BOB) == COIN + ENTRY
    assert play.model.head == 1


@pytest.mark.parametrize("limit", LIMITS)
def test_every_limit_is_checked_with_an_update(limit: str) -> None:
    play = growing()
    update, base = growth_of_all_sorts(play).update, play.composition(1)
    assert isinstance(update, GrowUpdate)
    model = replace(play.model, growth_limits=EXACT)
    check_update(play.ledger.rules, play.round, model, base, update)
    lower = replace(EXACT, **{limit: getattr(EXACT, limit) - 1})
    with pytest.raises(GrowthAboveLimit) as refusal:
        check_update(play.ledger.rules, play.round, replace(model, growth_limits=lower), base, update)
    assert (refusal.value.code, refusal.value.expected) == ("growth_above_limit", getattr(lower, limit))
    assert refusal.value.got == getattr(EXACT, limit)


def test_a_component_for_each_class_counts_where_the_list_is_empty() -> None:
    play = growing()
    weights = growth_of_all_sorts(play)
    assert isinstance(weights.spec, Growth)
    output = replace(weights.spec.outputs[0], hi=3)
    growth = replace(weights.spec, outputs=(output,), components=())
    update = replace(weights, spec=growth, outputs=weights.outputs[:1], tensors=()).update
    check_update(play.ledger.rules, play.round, play.model, play.composition(1), update)
    model = replace(play.model, growth_limits=replace(EXACT, components=0))
    with pytest.raises(GrowthAboveLimit, match="components"):
        check_update(play.ledger.rules, play.round, model, play.composition(1), update)


@pytest.mark.parametrize(("neurons", "code"), [(4, "terms_invalid"), (5, "")])
def test_a_round_allows_no_more_neurons_than_one_growth_may_add(neurons: int, code: str) -> None:
    play = Play()
    play.freeze(growth_limits=GrowthLimits(neurons=neurons))
    payload = play.open_payload(grow_terms(play.parts, max_update_neurons=5))
    if code:
        assert play.refused(OPENER, payload) == code
    else:
        play.ok(play.send(OPENER, payload))


def test_a_founding_allows_some_work_in_a_growth() -> None:
    play = Play()
    model = founding(network(play.inputs, 0), growth_limits=GrowthLimits(macs_per_row=0))
    assert play.refused(OPENER, OpenRound(train_terms(play.parts), founding=model)) == "terms_invalid"


@pytest.mark.parametrize(
    ("segments", "code"), [(0, "terms_invalid"), (513, "terms_invalid"), (1, ""), (512, "")]
)
def test_a_founding_lets_a_growth_append_a_segment_and_no_more_than_an_update_can(
    segments: int, code: str
) -> None:
    play = Play()
    model = founding(network(play.inputs, 0), growth_limits=GrowthLimits(segments=segments))
    payload = OpenRound(train_terms(play.parts), founding=model)
    if code:
        assert play.refused(OPENER, payload) == code
    else:
        assert play.ok(play.send(OPENER, payload)).events[-1].name == "round_opened"


@pytest.mark.parametrize(("classes", "code"), [(0, "terms_invalid"), (1, "")])
def test_a_round_teaches_no_more_classes_than_one_growth_may_add(classes: int, code: str) -> None:
    play = Play()
    play.freeze(growth_limits=GrowthLimits(classes=classes))
    payload = play.open_payload(grow_terms(play.parts))
    if code:
        assert play.refused(OPENER, payload) == code
    else:
        play.ok(play.send(OPENER, payload))


def test_a_founding_of_a_frozen_model_is_held_to_its_own_limits() -> None:
    """A model of one class is frozen from the start, and its first round adds classes."""
    play = Play()
    terms = grow_terms(play.parts, rows=8, sealed=2, old_rows=4, new_classes=2)
    model: dict[str, Any] = {"policy": int(Policy.STRICT)}
    weights = network(play.inputs, 4, classes=1)
    few = founding(weights, growth_limits=GrowthLimits(classes=1), **model)
    assert play.refused(OPENER, OpenRound(terms, founding=few)) == "terms_invalid"
    enough = founding(weights, growth_limits=GrowthLimits(classes=2), **model)
    play.ok(play.send(OPENER, OpenRound(terms, founding=enough)))
