"""GROW rounds: new classes beside frozen ones, the null growth as the baseline, bounds of growth."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from engram.nn.growth import Growth, Policy, adopt
from engram.nn.layers import Output
from engram.statemachine.additions import SegmentSources, explicit_tensors
from engram.statemachine.content import blob_id
from engram.statemachine.fees import price_of_macs
from engram.statemachine.loading import open_part, version_network
from engram.statemachine.parameters import Lineage
from engram.statemachine.records import BadgeKind, Blob, Part
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import OwnerGroup, validation_bar
from engram.statemachine.rounds.judging import null_growth_table
from engram.statemachine.scoring import growth_macs, network_macs
from engram.statemachine.transactions.open_round import OpenRound
from tests.support.growing import ENTRY, finish, growing, reveal, wide_terms
from tests.support.rounds import (
    ALICE,
    BOB,
    COIN,
    OPENER,
    SMALL_RULES,
    Play,
    Weights,
    block,
    column,
    distinct,
    founding,
    grow_terms,
    growth,
    make_part,
    network,
    train_terms,
)


def test_a_growth_teaches_a_class_and_leaves_old_logits_as_they_are() -> None:
    play = growing()
    weights = growth(play.inputs, 8)
    play.ok(reveal(play, weights))
    assert finish(play) == 2
    old, new = play.version(1), play.version(2)
    below, whole = play.composition(1), play.composition(2)
    assert whole.hidden[: len(below.hidden)] == below.hidden
    assert whole.outputs[: len(below.outputs)] == below.outputs
    assert [lineage.author for lineage in whole.hidden] == [ALICE.address, BOB.address]
    assert whole.makers(2) == [(1, ALICE.address, 1), (2, BOB.address, 1)]
    assert new.added == replace(weights.update, tensors=()), "the record holds what is new and nothing else"
    assert (new.parent, new.kind, new.sent_tensor_bytes) == (
        old.root,
        1,
        sum(len(raw) for raw in weights.tensors),
    )
    assert (play.model.classes, play.model.classes_before_growth) == (3, 2)
    assert play.badges(BOB, 2) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS, BadgeKind.TEACHER}
    assert play.badges(OPENER, 2) == set()

    state, ctx = play.ledger.state, play.ledger.ctx
    rows = np.random.default_rng(1).integers(0, 256, (50, play.inputs)).astype(np.uint8)
    before, after = (ctx.scorer.logits(version_network(state, ctx, version), rows) for version in (old, new))
    assert np.array_equal(before, after[:, :2])


def test_version_t_keeps_its_own_classes_and_the_null_growth_adds_how_often_each_occurs() -> None:
    """Of 30 rows 20 are old: each loses ln 30/20 more than under version t, each new one ln 30/10."""
    play = growing()
    part = play.round.validation_opened[0]
    state, ctx = play.ledger.state, play.ledger.ctx
    old = version_network(state, ctx, play.version(1))
    rows = open_part(state, ctx, state.get(Part, part.commitment))
    alone = ctx.scorer.network_rows(old, rows, 2, play.model.loss_function)
    is_old = rows.load().labels < 2
    assert (part.old, part.old_loss) == (20, int(alone.losses[is_old].sum()))
    table = null_growth_table(2, (10, 10, 10))
    promised = null_growth_table(2, (30, 10, 10))
    assert validation_bar(play.round, play.model) == part.old_loss + 20 * promised[0] + 10 * promised[2]

    play.ok(reveal(play, growth(play.inputs, 8)))
    play.audit()
    play.score_all()
    group, unseen = play.candidate(BOB).groups[OwnerGroup.OPENER], play.round.unseen[0]
    assert play.round.unseen_counts == (10, 10, 10)
    assert group.growth.baseline == unseen.old_loss + 20 * table[0] + 10 * table[2]


def test_a_growth_finds_room_for_the_version_that_it_is_scored_on_and_pays_for_itself() -> None:
    """A node may have to make the activations again; who revealed the parts has paid for them."""
    play = growing(terms={"validation": 2})
    weights, rules, base = growth(play.inputs, 8), play.ledger.rules, play.composition(1)
    assert isinstance(weights.spec, Growth)
    claim = play.commit(BOB, weights)
    known, own = (
        2 * network_macs(rules, base, 30, 3),
        2 * growth_macs(rules, base.spec, weights.spec, (), 30),
    )
    play.at(Phase.UPDATE)
    payload = play.update_payload(claim, weights)
    cost = payload.cost(play.ledger.state, play.ledger.ctx, BOB.address)
    assert (cost.macs, cost.paid_macs) == (known + own, known)
    tx = play.ledger.pay(BOB, payload)
    receipt = play.ok(play.ledger.block(tx).receipts[0])
    assert receipt.macs == known + own
    size = (tx.size_bytes + cost.record_bytes) * rules.fees.per_byte
    whole = size + price_of_macs(rules.fees, known + own) + cost.records * rules.fees.per_record
    assert receipt.fee == whole - price_of_macs(rules.fees, known)


def test_a_growth_that_cannot_be_scored_on_what_the_model_retains_is_refused() -> None:
    """A retained part of 400 rows stops no round of 9 rows a part; it bounds what may be brought there."""
    few, many = 9, 400
    play = Play()
    play.parts = [make_part(index, parts=4, rows=many) for index in range(4)]
    play.ok(play.found(terms=train_terms(play.parts, rows=many)))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.decide()
    play.new_parts()
    weights, base = growth(play.inputs, 8), play.composition(1)
    assert isinstance(weights.spec, Growth)
    cap, whole = (growth_macs(play.ledger.rules, base.spec, weights.spec, (), rows) for rows in (few, many))
    most = network_macs(play.ledger.rules, base, many, 3) + whole
    terms = grow_terms(play.parts, rows=few, max_update_macs=cap)
    for missing, code in ((1, "update_too_heavy"), (0, "")):
        trial = copy.deepcopy(play)
        trial.ledger.rules = replace(trial.ledger.rules, max_block_macs=2 * (most - missing))
        trial.ok(trial.open(terms))
        trial.reveal_validation()
        trial.at(Phase.COMMIT)
        claim = trial.commit(BOB, weights)
        trial.at(Phase.UPDATE)
        held = trial.spent(BOB)
        receipt = trial.send(BOB, trial.update_payload(claim, weights))
        assert receipt.code == code
        assert trial.spent(BOB) == held, "burned if it is refused, else still held"


def test_a_round_whose_reveals_would_not_fit_a_block_with_their_version_is_not_opened() -> None:
    play = Play(rules=replace(SMALL_RULES, max_block_macs=2 * 10**9))
    play.freeze()
    whole = network_macs(play.ledger.rules, play.composition(1), 9, 3)
    most = 10**9 - whole
    terms = grow_terms(play.parts, max_update_macs=most + 1, author_bond=10 * COIN)
    assert play.refused(OPENER, play.open_payload(terms)) == "step_too_heavy"
    play.ok(play.open(replace(terms, max_update_macs=most)))


def _output(weights: Weights, **changes: int) -> Weights:
    assert isinstance(weights.spec, Growth)
    output = replace(weights.spec.outputs[0], **changes)  # type: ignore[arg-type]  # fields by name
    return replace(weights, spec=replace(weights.spec, outputs=(output,)))


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
    assert play.spent(BOB) == COIN + ENTRY


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
    neurons = sum(part.width for part in play.composition(play.model.head).spec.hidden)
    spec = growth(play.inputs, 20).spec
    assert isinstance(spec, Growth)
    output = Output(1, neurons, neurons + 1, target, 1, -8, 8)
    tensors = distinct(*hidden_tensors, *output_tensors)
    return Weights(replace(spec, classes=0, outputs=(output,)), (hidden,), (outputs,), tensors)


def test_a_model_takes_neurons_for_the_classes_of_its_last_growth() -> None:
    play = growing()
    play.ok(reveal(play, growth(play.inputs, 2)))
    assert finish(play) == 2
    play.new_parts(rows=30)
    play.ok(play.open(wide_terms(play, new_classes=0)))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    play.ok(reveal(play, capacity(play, 2)))
    assert finish(play) == 3, play.reasons(BOB)
    assert (play.model.classes, play.model.classes_before_growth) == (3, 2)
    assert play.badges(BOB, 3) == {BadgeKind.PARTICIPATION, BadgeKind.BEST_LOSS}


def test_a_strict_model_that_has_just_frozen_takes_no_neurons() -> None:
    play = Play()
    play.freeze()
    assert play.refused(OPENER, play.open_payload(grow_terms(play.parts, new_classes=0))) == "nothing_to_feed"
    gated = Play()
    gated.freeze(policy=int(Policy.GATED))
    gated.ok(gated.open(grow_terms(gated.parts, new_classes=0)))


def test_strict_capacity_feeds_the_classes_of_the_last_growth_only() -> None:
    play = growing()
    play.ok(reveal(play, growth(play.inputs, 2)))
    assert finish(play) == 2
    play.new_parts(rows=30)
    play.ok(play.open(wide_terms(play, new_classes=0)))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    assert reveal(play, capacity(play, 1), loss=1).code == "policy_violated"


def test_a_model_of_one_class_is_frozen_from_the_start() -> None:
    play = Play(classes=2)
    weights = network(play.inputs, 4, classes=1)
    trained = OpenRound(train_terms(play.parts), founding=founding(weights))
    assert play.refused(OPENER, trained) == "model_frozen"
    play.ok(play.found(weights, terms=grow_terms(play.parts, rows=8, sealed=2, old_rows=4)))
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
    host.ok(host.found(knows_the_mark, terms=grow_terms(host.parts, new_classes=2, sealed=2, old_rows=3)))
    host.reveal_validation()
    host.at(Phase.COMMIT)
    trained = donor.composition(1)
    column = adopt(host.composition(0).spec, trained.spec, new_classes=2)
    adopted = Weights(column, sources(trained.hidden), sources(trained.outputs), ())
    tensors = explicit_tensors(trained.segments)
    before = [host.ledger.state.get(Blob, tensor).refs for tensor in tensors]
    host.ok(reveal(host, adopted))
    assert host.candidate(BOB).sent_tensor_bytes == 0
    after = [host.ledger.state.get(Blob, tensor).refs for tensor in tensors]
    assert [refs + tensors.count(tensor) for refs, tensor in zip(before, tensors, strict=True)] == after
    assert finish(host) == 1
    assert (host.model.classes, host.version(1).sealed_correct) == (3, 18)


def sources(blocks: Sequence[Lineage]) -> tuple[SegmentSources, ...]:
    return tuple(SegmentSources(block.weights, block.bias) for block in blocks)
