"""Joint growth in whole rounds: two authors grow alone, and the union of both becomes the next version."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.nn.growth import Growth, Policy, forward_frozen, forward_growth
from engram.nn.logits import GATE
from engram.nn.network import Parameters
from engram.primitives.types import ZERO_HASH
from engram.statemachine.additions import GrowUpdate, Half, explicit_tensors
from engram.statemachine.content import blob_id
from engram.statemachine.loading import version_network
from engram.statemachine.parameters import read_parameters
from engram.statemachine.records import BadgeKind, Blob, GrowthLimits
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import validation_bar
from engram.statemachine.rounds.judging import PPM, removed
from engram.statemachine.rounds.rewards import ladder
from engram.statemachine.transactions.score_update import ScoreUpdate
from tests.support.evaluation_oracle import gated
from tests.support.growing import finish
from tests.support.joint import (
    LEANS,
    both_alone,
    gated_leaning,
    leaning,
    paid,
    points,
    send_union,
    share,
    two_epochs,
    union_of,
)
from tests.support.rounds import ALICE, BOB, CAROL, COIN, Weights, growth

LATER_ENTRY = 20 * COIN // 100
"""What a commit burns from the second epoch on."""
NOTES = b"\x5a" * 32


def test_the_union_of_two_growths_becomes_the_next_version_and_pays_both() -> None:
    """Whoever sends it gets the bond back and nothing else, and both halves stand on record."""
    play = both_alone(two_epochs())
    union = union_of(play)
    assert [event.name for event in play.ok(send_union(play, CAROL, union)).events] == ["candidate_admitted"]
    assert finish(play) == 2
    first, second = ladder(play.round)
    assert (first.best.author, second.best.author) == (BOB.address, CAROL.address)
    alone = {actor: share(play, actor) for actor in (ALICE, BOB)}
    weights = {actor: PPM - -(-PPM * loss // baseline) for actor, (loss, baseline) in alone.items()}
    assert {half.author: half.weight for half in second.best.halves} == {
        actor.address: weight for actor, weight in weights.items()
    }
    pot, both = play.round.terms.bounty, sum(weights.values())
    low, high = sorted((ALICE, BOB), key=lambda actor: actor.address)
    rung = second.of(pot)
    part = rung * weights[low] // both
    earned = {low: part, high: rung - part}
    earned[BOB] += first.of(pot)
    assert {actor: paid(play, actor) for actor in (ALICE, BOB, CAROL)} == {**earned, CAROL: 0}
    assert min(part, rung - part) > rung // 3, "both halves have removed about as much"


def test_a_union_tells_whose_work_it_is() -> None:
    before = two_epochs()
    play = both_alone(before.fork())
    union = union_of(play, statistics=NOTES)
    play.ok(send_union(play, CAROL, union))
    assert finish(play) == 2
    version, whole = play.version(2), play.composition(2)
    assert version.added == union.update
    assert (version.author, play.round.winner, version.sent_tensor_bytes) == (CAROL.address, CAROL.address, 0)
    makers = sorted([(2, ALICE.address, 1), (2, BOB.address, 1)])
    assert whole.makers(2) == [(1, ALICE.address, 1), *makers]
    assert [each.author for each in whole.outputs[1:]] == [author for _, author, _ in makers]
    both = {BadgeKind.BEST_LOSS, BadgeKind.TEACHER, BadgeKind.PARTICIPATION}
    assert play.badges(ALICE, 2) == play.badges(BOB, 2) == both
    assert play.badges(CAROL, 2) == set(), "uniting is no work of one's own"
    gained = [points(play, actor) - points(before, actor) for actor in (ALICE, BOB, CAROL)]
    assert sum(gained) == sum(removed(PPM, rung.best, rung.before) for rung in ladder(play.round))
    assert gained[1] > gained[0] > gained[2] == 0


def test_the_logits_of_the_union_are_the_mean() -> None:
    play = both_alone(two_epochs())
    play.ok(send_union(play, CAROL, union_of(play)))
    assert finish(play) == 2
    state, ctx = play.ledger.state, play.ledger.ctx
    rows = np.random.default_rng(1).integers(0, 256, (40, play.inputs)).astype(np.uint8)
    base = version_network(state, ctx, play.version(1))
    united = ctx.scorer.logits(version_network(state, ctx, play.version(2)), rows)
    parameters, _ = base.load()
    frozen = forward_frozen(base.spec, parameters, rows)
    halves = []
    for lean in LEANS:
        weights = leaning(play, lean)
        assert isinstance(weights.spec, Growth)
        halves.append(forward_growth(base.spec, frozen, weights.spec, added(weights)))
    assert np.array_equal(2 * united, halves[0] + halves[1])


def test_under_the_policy_relative_the_gates_are_averaged() -> None:
    """Old classes keep their differences, as under every growth of this policy; both authors are paid."""
    play = two_epochs(policy=int(Policy.RELATIVE))
    both_alone(play, gated_leaning(play, 44), gated_leaning(play, 212))
    play.ok(send_union(play, CAROL, union_of(play)))
    assert finish(play) == 2, play.reasons(CAROL)
    assert min(paid(play, actor) for actor in (ALICE, BOB)) > 0
    state, ctx = play.ledger.state, play.ledger.ctx
    rows = np.random.default_rng(1).integers(0, 256, (30, play.inputs)).astype(np.uint8)
    before, after = (
        ctx.scorer.logits(version_network(state, ctx, play.version(number)), rows) for number in (1, 2)
    )
    assert np.array_equal(np.diff(before, axis=1), np.diff(after[:, :2], axis=1))
    mark = rows[:, 1].astype(np.int64)
    for row, old in enumerate(before.tolist()):
        new = (int(mark[row]) - 128) * 8 * 2**8
        assert after[row].tolist() == gated([0, 1, GATE, 2], [*old, -new, new])


def added(weights: Weights) -> Parameters:
    """The numbers of a growth whose tensors travel with it."""
    brought = {blob_id(raw): raw for raw in weights.tensors}
    return read_parameters((*weights.hidden, *weights.outputs), brought.__getitem__)


def test_the_tensors_of_the_halves_stay_when_the_halves_are_withdrawn() -> None:
    play = two_epochs()
    before = play.fork()
    union = union_of(both_alone(play))
    tensors = explicit_tensors((*union.hidden, *union.outputs))
    play.ok(send_union(play, CAROL, union))
    play.decide()
    play.withdraw_all()
    for tensor in tensors:
        held = before.ledger.state.find(Blob, tensor)
        mine = play.ledger.state.get(Blob, tensor).refs - (held.refs if held else 0)
        assert mine == tensors.count(tensor), "the new version holds what it names, and nobody else does"
    assert play.spent(CAROL) == LATER_ENTRY, "the bond has returned"


def test_a_union_is_scored_after_its_halves() -> None:
    """In any other order the weights would depend on who had what scored."""
    play = both_alone(two_epochs())
    play.ok(send_union(play, CAROL, union_of(play)))
    play.audit()
    play.at(Phase.SCORE)
    payload = play.score_payload(CAROL, 1)
    for half in (ALICE, BOB):
        assert play.refused(CAROL, payload) == "half_not_scored"
        assert play.refused(CAROL, ScoreUpdate(play.id, 1, CAROL.address, (0,))) == "half_not_scored"
        play.score_update(half, sender=CAROL)
    play.ok(play.send(CAROL, payload))
    assert play.best(1) == CAROL.address
    assert [half.author for half in play.round.best[1].halves] == sorted([ALICE.address, BOB.address])


def test_a_union_of_which_no_half_proves_a_gain_cannot_take_the_lead() -> None:
    """There is no measure of whose the gain is; and a half that knows nothing can help the other one."""
    play = two_epochs()
    both_alone(play, leaning(play, 1_700), leaning(play, -1_000))
    play.ok(send_union(play, CAROL, union_of(play)))
    assert finish(play) == 0
    assert play.reasons(CAROL) == ("no_half_weighs",)
    assert (play.best(0), play.best(1)) == (None, None)
    assert play.spent(CAROL) == LATER_ENTRY, "it has a gain, so the bond returns"


def test_what_a_half_forgets_does_not_count_if_the_union_mends_it() -> None:
    """Alice's half leans so far to the new class that the gate refuses it; with Bob's it forgets little."""
    play = two_epochs(retention_epsilon_ppm=50_000)
    both_alone(play, leaning(play, 1_530), leaning(play, -600))
    play.ok(send_union(play, CAROL, union_of(play)))
    assert finish(play) == 2, play.reasons(CAROL)
    reasons = {event.text[0]: event.text[1:] for event in play.named("update_judged")}
    assert reasons[ALICE.address.hex()] == ("forgets_old_rows", "forgets_retention_rows")
    assert min(paid(play, actor) for actor in (ALICE, BOB)) > 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda u: replace(u, halves=u.halves[:1]), "halves_misplaced"),
        (lambda u: replace(u, halves=u.halves[::-1]), "halves_misplaced"),
        (lambda u: replace(u, halves=(u.halves[0], u.halves[0])), "halves_misplaced"),
        (lambda u: replace(u, halves=(u.halves[0], Half(b"\xff" * 20, 1, 1))), "half_missing"),
        (lambda u: replace(u, halves=(u.halves[0], replace(u.halves[1], hidden=2))), "union_mismatch"),
        (lambda u: replace(u, halves=(u.halves[0], replace(u.halves[1], outputs=0))), "union_mismatch"),
        (lambda u: replace(u, outputs=u.outputs[::-1]), "union_mismatch"),
        (lambda u: replace(u, hidden=(u.hidden[0], u.outputs[0])), "union_mismatch"),
        (lambda u: replace(u, spec=shifted_outputs(u.spec, -1)), "union_mismatch"),
        (lambda u: replace(u, spec=shifted_outputs(u.spec, 39)), "quantization_out_of_range"),
    ],
)
def test_a_union_that_is_not_that_of_its_halves(change: Callable[[Weights], Weights], code: str) -> None:
    play = both_alone(two_epochs())
    false = change(union_of(play))
    claim = play.commit(CAROL, false, 1, loss=1)
    play.at(Phase.UPDATE, 1)
    payload = play.update_payload(claim, false)
    state, ctx = play.ledger.state, play.ledger.ctx
    assert payload.cost(state, ctx, CAROL.address).macs == 0, "nobody runs it, so nobody pays for that"
    assert play.send(CAROL, payload).code == code
    assert play.spent(CAROL) == COIN + LATER_ENTRY


def shifted_outputs(spec: Any, by: int) -> Growth:
    assert isinstance(spec, Growth)
    outputs = tuple(replace(output, shift=output.shift + by) for output in spec.outputs)
    return replace(spec, outputs=outputs)


def test_tensors_travel_with_no_union() -> None:
    """The chain has them: so a union can be revealed for little."""
    play = both_alone(two_epochs())
    false = replace(union_of(play), tensors=leaning(play, LEANS[0]).tensors[:1])
    assert send_union(play, CAROL, false, loss=1).code == "union_mismatch"


def test_the_first_epoch_has_no_unions() -> None:
    play = two_epochs()
    other = both_alone(play.fork())
    early = union_of(other)
    claim = play.commit(CAROL, early, loss=1, parameters=ZERO_HASH)
    play.at(Phase.UPDATE)
    assert play.send(CAROL, play.update_payload(claim, early)).code == "halves_misplaced"


def test_growths_of_other_components_have_no_union() -> None:
    play = two_epochs()
    two = leaning(play, LEANS[1])
    assert isinstance(two.spec, Growth)
    doubled = replace(two, spec=replace(two.spec, components=(2, 2)))
    both_alone(play, bob=doubled)
    play_update = play.candidate(ALICE).update
    assert isinstance(play_update, GrowUpdate)
    halves = tuple(sorted((Half(each.address, 1, 1) for each in (ALICE, BOB)), key=lambda half: half.author))
    false = replace(leaning(play, LEANS[0]), tensors=(), halves=halves)
    assert send_union(play, CAROL, false, loss=1).code == "growths_disagree"


@pytest.mark.parametrize(("neurons", "code"), [(1, "update_too_wide"), (2, "")])
def test_the_neurons_of_a_union_are_bounded_by_the_model(neurons: int, code: str) -> None:
    """The terms bound each half, so that halves may be as large as other growths."""
    limits = GrowthLimits(neurons=neurons)
    play = both_alone(two_epochs(terms={"max_update_neurons": 1}, growth_limits=limits))
    assert send_union(play, CAROL, union_of(play)).code == code


def test_a_growth_names_the_statistics_from_which_it_was_made() -> None:
    """The name is part of the root, so it cannot be changed later, and of nothing else."""
    play = two_epochs()
    plain = growth(play.inputs, 8)
    named = replace(plain, statistics=NOTES)
    assert play.root(plain) != play.root(named)
    assert play.loss_of(plain) == play.loss_of(named)
    for receipt in play.play_epoch((ALICE, named)):
        play.ok(receipt)
    assert play.candidate(ALICE).loss < validation_bar(play.round, play.model)
    assert finish(play) == 2
    update = play.version(2).added
    assert isinstance(update, GrowUpdate)
    assert update.statistics == NOTES


@pytest.mark.parametrize("policy", [Policy.STRICT, Policy.GATED])
def test_a_half_may_send_the_union_of_both(policy: Policy) -> None:
    play = both_alone(two_epochs(policy=int(policy)))
    play.ok(send_union(play, ALICE, union_of(play)))
    assert finish(play) == 2
    assert play.round.winner == ALICE.address
    assert 0 < paid(play, ALICE) < paid(play, BOB)
