"""GROW rounds: new classes beside frozen ones, comparable baselines, the retention gate, bounds of growth."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.nn.growth import Growth, Policy, adopt
from engram.nn.layers import Output
from engram.statemachine.content import blob_id
from engram.statemachine.loading import version_network
from engram.statemachine.parameters import SegmentSources, explicit_tensors
from engram.statemachine.receipt import Receipt
from engram.statemachine.record import Lineage, u32
from engram.statemachine.records import BadgeKind, Blob, ScoreEntry
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.ranking import threshold_loss
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.scoring import growth_macs, network_macs
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.score_retention import ScoreRetention
from tests.support.rounds import (
    ALICE,
    BOB,
    CAROL,
    COIN,
    OPENER,
    SMALL_RULES,
    Play,
    Weights,
    block,
    column,
    distinct,
    forgetful,
    founding,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)


def growing(*, terms: dict[str, object] | None = None, **model: int) -> Play:
    """A frozen model of two classes and a GROW round in COMMIT."""
    play = Play()
    play.freeze(**model)
    play.ok(play.open(grow_terms(play.parts, **(terms or {}))))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    return play


def reveal(play: Play, weights: Weights, **claims: Any) -> Receipt:
    claim = play.commit(BOB, weights, **claims)
    play.at(Phase.UPDATE)
    return play.send(BOB, play.update_payload(claim, weights))


def finish(play: Play) -> int:
    """Audit, retention scorings, end; the version made, or 0."""
    play.audit()
    play.score_retention(BOB)
    return play.end().new_version


def test_a_growth_teaches_a_class_and_leaves_old_logits_as_they_are() -> None:
    play = growing()
    weights = growth(play.inputs, 8)
    play.ok(reveal(play, weights))
    assert finish(play) == 2
    old, new = play.version(1), play.version(2)
    assert new.hidden[: len(old.hidden)] == old.hidden
    assert new.outputs[: len(old.outputs)] == old.outputs
    assert [lineage.version for lineage in new.hidden] == [1, 2]
    assert [lineage.author for lineage in new.hidden] == [ALICE.address, BOB.address]
    assert (new.parent, new.kind, new.size_bytes) == (old.root, 1, sum(len(raw) for raw in weights.tensors))
    assert (play.model.classes, play.model.classes_before_growth) == (3, 2)
    assert play.badges(BOB, 2) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS, BadgeKind.TEACHER}
    assert play.badges(OPENER, 2) == set()

    state, ctx = play.ledger.state, play.ledger.ctx
    rows = np.random.default_rng(1).integers(0, 256, (50, play.inputs)).astype(np.uint8)
    before, after = (ctx.scorer.logits(version_network(state, ctx, version), rows) for version in (old, new))
    assert np.array_equal(before, after[:, :2])


def test_the_incumbent_is_scored_as_if_it_had_grown_by_nothing() -> None:
    play = growing()
    part = play.round.validation_opened[0]
    state, ctx = play.ledger.state, play.ledger.ctx
    incumbent = version_network(state, ctx, play.version(1))
    padded = play.score(incumbent, part.commitment, 3)
    assert (part.baseline.loss, part.baseline.correct) == (padded.loss, padded.correct)
    assert part.baseline.correct <= 6, "it cannot know the third class"
    entry = state.get(ScoreEntry, play.model_id, u32(1), part.commitment)
    assert (entry.loss, entry.rows) == (padded.loss, 9)


def test_retention_parts_gather_with_what_the_null_growth_costs() -> None:
    play = growing()
    first = play.model.retention[0]
    play.ok(reveal(play, growth(play.inputs, 8)))
    play.audit()
    play.score_retention(BOB)
    score = play.candidate(BOB).retention[0]
    state, ctx = play.ledger.state, play.ledger.ctx
    incumbent = version_network(state, ctx, play.version(1))
    before, null = (play.score(incumbent, first.part, classes) for classes in (2, 3))
    assert score.null_increase == null.loss - before.loss > 0
    play.end()
    kept, joined = play.model.retention
    assert kept == replace(first, bar=first.bar + score.null_increase)
    opened = (*play.round.validation_opened, *play.round.sealed_opened)
    assert joined.part in [part.commitment for part in opened]
    assert (joined.classes, joined.rows) == (3, 9)
    entry = play.ledger.state.get(ScoreEntry, play.model_id, u32(2), joined.part)
    assert joined.bar == max(entry.loss, threshold_loss(play.model, 3, 9)) > 0
    assert joined.correct == entry.correct
    remembered = play.ledger.state.get(ScoreEntry, play.model_id, u32(2), first.part)
    assert (remembered.loss, remembered.rows) == (score.score.loss, 8)


def test_a_growth_pays_for_the_version_that_it_is_scored_on() -> None:
    """Whether a node has kept its activations or makes them again."""
    play = growing(terms={"validation": 2})
    weights, rules, base = growth(play.inputs, 8), play.ledger.rules, play.version(1)
    assert isinstance(weights.spec, Growth)
    claim = play.commit(BOB, weights)
    whole = network_macs(rules, base, 9, 3)
    play.at(Phase.UPDATE)
    receipt = play.ok(play.send(BOB, play.update_payload(claim, weights)))
    assert receipt.macs == 2 * (whole + growth_macs(rules, base.spec, weights.spec, (), 9))


def test_a_round_whose_reveals_would_not_fit_a_block_with_their_version_is_not_opened() -> None:
    play = Play(rules=replace(SMALL_RULES, max_block_macs=2 * 10**9, max_candidates=1))
    play.freeze()
    whole = network_macs(play.ledger.rules, play.version(1), 9, 3)
    most = 10**9 - whole
    terms = grow_terms(play.parts, max_update_macs=most + 1)
    assert play.refused(OPENER, play.open_payload(terms)) == "step_too_heavy"
    play.ok(play.open(replace(terms, max_update_macs=most)))


def test_a_candidate_that_was_not_scored_on_retention_parts_cannot_win() -> None:
    play = growing()
    play.ok(reveal(play, growth(play.inputs, 8)))
    play.audit()
    price = play.spent(BOB) - COIN - play.candidate(BOB).escrow
    ended = play.end()
    assert (ended.status, play.model.head) == (RoundStatus.KEPT, 1)
    assert play.spent(BOB) == price, "bond and unused escrow return"
    assert play.badges(BOB, 2) == set()


@pytest.mark.parametrize(("delta", "made"), [(0, 0), (10**7, 2)])
def test_a_candidate_that_grows_unsure_of_old_rows_cannot_win(delta: int, made: int) -> None:
    play = growing(threshold_ppm=100_000, retention_delta_ppm=delta)
    play.ok(reveal(play, forgetful(play.inputs, 400)))
    assert finish(play) == made
    held = play.named("retention_scored")[0].values
    assert held[2] == 8, "it still knows every row"
    assert play.account(BOB).strikes == 0


def test_a_candidate_that_forgets_old_rows_cannot_win_however_much_loss_is_allowed() -> None:
    play = growing(retention_delta_ppm=10**7)
    play.ok(reveal(play, forgetful(play.inputs, 650)))
    assert finish(play) == 0
    assert play.named("retention_scored")[0].values[2] < 8


def test_what_was_learned_by_heart_may_be_known_a_little_less_well() -> None:
    """An entry loss of next to nothing is no bar that an honest growth must meet."""
    play = growing(retention_delta_ppm=0)
    part = play.model.retention[0]
    entry = play.ledger.state.get(ScoreEntry, play.model_id, u32(1), part.part)
    assert entry.loss < part.bar // 5
    play.ok(reveal(play, forgetful(play.inputs, 400)))
    assert finish(play) == 2
    _, loss, correct, increase = play.named("retention_scored")[0].values
    assert 2 * entry.loss + increase < loss <= part.bar + increase
    assert correct == part.correct


def test_retention_scorings_are_asked_for_once_and_of_what_is_there() -> None:
    play = growing()
    play.ok(reveal(play, growth(play.inputs, 8)))
    play.audit()
    payload = ScoreRetention(play.id, 0, BOB.address, play.model.retention[0].part)
    play.at(Phase.RETENTION)
    assert play.refused(CAROL, replace(payload, author=ALICE.address)) == "missing_candidate"
    assert play.refused(CAROL, replace(payload, epoch=1)) == "missing_candidate"
    assert play.refused(CAROL, replace(payload, part=play.round.sealed_drawn[0])) == "part_not_retained"
    held = play.candidate(BOB).escrow
    receipt = play.ok(play.send(CAROL, payload))
    assert receipt.macs > 0
    assert play.candidate(BOB).escrow == 0 < held
    assert play.refused(BOB, payload) == "retention_scored"


def _output(weights: Weights, **changes: int) -> Weights:
    assert isinstance(weights.spec, Growth)
    return replace(
        weights, spec=replace(weights.spec, outputs=(replace(weights.spec.outputs[0], **changes),))
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda w: _output(w, lo=0, first=1, width=1), "growth_overlap"),
        (lambda w: _output(w, lo=1, first=1, width=1), "policy_violated"),
        (lambda w: replace(w, spec=replace(w.spec, outputs=()), outputs=()), "growth_empty"),
        (lambda w: replace(w, spec=replace(w.spec, components=(0,))), "components_mismatch"),
        (lambda w: replace(w, spec=replace(w.spec, components=(2, 1))), "growth_repeats_class"),
        (lambda w: replace(w, spec=replace(w.spec, classes=2)), "new_classes_mismatch"),
        (lambda w: replace(w, spec=replace(w.spec, classes=0)), "new_classes_mismatch"),
        (lambda w: _output(w, lo=1, hi=3), "shape_mismatch"),
        (lambda w: replace(w, spec=replace(w.spec, hidden=()), hidden=()), "shape_mismatch"),
    ],
)
def test_a_growth_that_the_model_does_not_take(change: Callable[[Weights], Weights], code: str) -> None:
    play = growing()
    weights = change(growth(play.inputs, 8))
    named = explicit_tensors((*weights.hidden, *weights.outputs))
    weights = replace(weights, tensors=tuple(raw for raw in weights.tensors if blob_id(raw) in named))
    receipt = reveal(play, weights, loss=1)
    assert receipt.code == code
    assert (play.spent(BOB), play.account(BOB).strikes) == (COIN, 1)


def test_a_whole_network_in_a_round_of_growth() -> None:
    play = growing()
    assert reveal(play, network(play.inputs, 8), loss=1).code == "update_kind_mismatch"


def gated_growth(play: Play) -> Weights:
    """As `growth`, and the new neuron also lowers the old classes where it fires."""
    hidden, hidden_tensors = block(column(play.inputs, 1), [0])
    outputs, output_tensors = block([[-2, -2, 8]], [0, 0, -1024])
    shape = growth(play.inputs, 8)
    assert isinstance(shape.spec, Growth)
    spec = replace(shape.spec, outputs=(Output(1, 1, 2, 0, 3, -8, 8),))
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def test_new_neurons_reach_old_classes_where_the_policy_is_gated() -> None:
    strict, gated = growing(), growing(policy=int(Policy.GATED))
    assert reveal(strict, gated_growth(strict), loss=1).code == "policy_violated"
    gated.ok(reveal(gated, gated_growth(gated)))
    assert finish(gated) == 2


def capacity(play: Play, target: int) -> Weights:
    """A second neuron for a class that the model has."""
    hidden, hidden_tensors = block(column(play.inputs, 1), [0])
    outputs, output_tensors = block([[20]], [-64 * 20])
    neurons = sum(part.width for part in play.version(play.model.head).spec.hidden)
    spec = growth(play.inputs, 20).spec
    assert isinstance(spec, Growth)
    output = Output(1, neurons, neurons + 1, target, 1, -8, 8)
    tensors = distinct(*hidden_tensors, *output_tensors)
    return Weights(replace(spec, classes=0, outputs=(output,)), (hidden,), (outputs,), tensors)


def test_above_the_threshold_a_model_takes_neurons_and_no_classes() -> None:
    play = growing(threshold_ppm=120_000)
    play.ok(reveal(play, growth(play.inputs, 1)))
    assert finish(play) == 2
    assert play.model.loss * 10**6 > play.model.loss_rows * 120_000 * 10**6 // 10**6
    play.new_parts()
    assert play.refused(OPENER, play.open_payload(grow_terms(play.parts))) == "loss_above_threshold"
    play.ok(play.open(grow_terms(play.parts, new_classes=0)))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    play.ok(reveal(play, capacity(play, 2)))
    play.audit()
    play.score_retention(BOB)
    assert play.end().new_version == 3
    assert (play.model.classes, play.model.classes_before_growth) == (3, 2)
    assert play.badges(BOB, 3) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS}


def test_strict_capacity_feeds_the_classes_of_the_last_growth_only() -> None:
    play = growing()
    play.ok(reveal(play, growth(play.inputs, 2)))
    assert finish(play) == 2
    play.new_parts()
    play.ok(play.open(grow_terms(play.parts, new_classes=0)))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    assert reveal(play, capacity(play, 1), loss=1).code == "policy_violated"


def test_a_model_of_one_class_is_frozen_from_the_start() -> None:
    play = Play(classes=2)
    weights = network(play.inputs, 4, classes=1)
    trained = OpenRound(train_terms(play.parts), founding=founding(weights))
    assert play.refused(OPENER, trained) == "model_frozen"
    play.ok(play.found(weights, terms=grow_terms(play.parts, rows=8)))
    assert (play.model.frozen, play.model.loss, play.model.classes) == (True, 0, 1)
    assert play.badges(OPENER, 0) == {BadgeKind.FOUNDER}
    assert [event.name for event in play.events] == ["badge_given", "round_opened"]
    play.reveal_validation()
    play.at(Phase.COMMIT)
    play.ok(reveal(play, growth(play.inputs, 8, classes=1, feature=0)))
    assert finish(play) == 1
    assert (play.model.classes, play.badges(OPENER, 1)) == (2, set())


def test_a_pretrained_model_of_the_chain_is_adopted_by_name() -> None:
    """The donor's tensors are on the chain: the growth that appends it sends none."""
    donor = Play()
    donor.freeze()
    host = Play(ledger=donor.ledger)
    host.parts = [make_part(at, parts=4, classes=3, rows=9, seed=9, names=(1, 2, 0)) for at in range(4)]
    knows_the_mark = network(host.inputs, -4, classes=1, feature=1)
    host.ok(host.found(knows_the_mark, terms=grow_terms(host.parts, new_classes=2)))
    host.reveal_validation()
    host.at(Phase.COMMIT)
    version = donor.version(1)
    column = adopt(host.version(0).spec, version.spec, new_classes=2)
    adopted = Weights(column, sources(version.hidden), sources(version.outputs), ())
    tensors = explicit_tensors((*version.hidden, *version.outputs))
    before = [host.ledger.state.get(Blob, tensor).refs for tensor in tensors]
    host.ok(reveal(host, adopted))
    assert host.candidate(BOB).size_bytes == 0
    after = [host.ledger.state.get(Blob, tensor).refs for tensor in tensors]
    assert [refs + tensors.count(tensor) for refs, tensor in zip(before, tensors, strict=True)] == after
    assert finish(host) == 1
    assert (host.model.classes, host.version(1).sealed_correct) == (3, 9)


def sources(blocks: Sequence[Lineage]) -> tuple[SegmentSources, ...]:
    return tuple(SegmentSources(block.weights, block.bias) for block in blocks)
