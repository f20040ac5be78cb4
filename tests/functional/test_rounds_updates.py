"""Updates that do not bear out their commit: FAILED by name, and the bond burned."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.nn.dtypes import IntArray
from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec
from engram.nn.tensor import Explicit, tensor_bytes
from engram.statemachine.additions import SegmentSources, TrainUpdate
from engram.statemachine.content import blob_id
from engram.statemachine.receipt import Receipt
from engram.statemachine.records import Blob, Supply
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Round
from engram.statemachine.transactions.reveal_update import RevealUpdate
from tests.support.faults import inputs
from tests.support.rounds import (
    ALICE,
    BOB,
    COIN,
    SALT,
    Play,
    Weights,
    growth,
    network,
    source,
    train_terms,
)

OTHER = b"\x42" * 32
ENTRY = 20 * COIN // 1_000
"""What a commit burns."""


def at_commit(**terms: object) -> Play:
    play = Play()
    play.found(terms=train_terms(play.parts, **terms))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    return play


def reveal(play: Play, weights: Weights, **claims: Any) -> Receipt:
    """Alice commits to a claim about these weights, and opens it."""
    claim = play.commit(ALICE, weights, **claims)
    play.at(Phase.UPDATE)
    return play.send(ALICE, play.update_payload(claim, weights))


def refuted(play: Play, receipt: Receipt) -> str:
    """The code; the author has lost the bond, and the round goes on without the update."""
    assert play.spent(ALICE) == COIN + ENTRY
    assert play.ledger.state.get(Supply).burned >= COIN + ENTRY, "nobody else has it"
    assert play.round.pot == 20 * COIN, "nobody gains by it"
    assert not play.round.has_candidates
    again = RevealUpdate(play.id, 0, OTHER, OTHER, 0, SALT, network(play.inputs, 1).update)
    assert play.refused(ALICE, again) == "commit_missing"
    return receipt.code


def errors(count: int) -> list[int]:
    """By how much claims are wrong: by one unit, by powers of two, and by anything."""
    rng = random.Random(10)
    powers = [1 << power for power in range(1, 62, 3)] + [-1 << power for power in range(1, 16, 3)]
    return [-1, 1, *powers, *(rng.randint(1, 2**62) for _ in range(count))][:count]


@pytest.mark.fault(id=10)
@pytest.mark.parametrize("error", errors(inputs(10, sample=4)))
def test_a_claim_off_by_one_unit(error: int) -> None:
    play = at_commit()
    weights = network(play.inputs, 8)
    receipt = reveal(play, weights, loss=play.loss_of(weights) + error)
    assert refuted(play, receipt) == "loss_mismatch"


def test_another_base() -> None:
    play = at_commit()
    assert refuted(play, reveal(play, network(play.inputs, 8), base=OTHER)) == "base_mismatch"


def test_other_parameters_than_committed() -> None:
    play = at_commit()
    assert refuted(play, reveal(play, network(play.inputs, 8), parameters=OTHER)) == "parameters_mismatch"


def _relu(weights: Weights, **changes: int) -> Weights:
    assert isinstance(weights.spec, NetworkSpec)
    relu = weights.spec.hidden[0]
    assert isinstance(relu, DenseRelu)
    return replace(weights, spec=replace(weights.spec, hidden=(replace(relu, **changes),)))  # type: ignore[arg-type]  # fields by name


def _tensor(weights: Weights, array: IntArray, *, bias: bool = False) -> Weights:
    """The hidden segment with another weight or bias tensor."""
    named, raw = source(array)
    old = weights.hidden[0]
    new = SegmentSources(old.weights, named) if bias else SegmentSources(named, old.bias)
    dropped = old.bias if bias else old.weights
    kept = tuple(tensor for tensor in weights.tensors if Explicit(blob_id(tensor)) != dropped)
    return replace(weights, hidden=(new,), tensors=(*kept, raw))


def _wide(weights: Weights) -> Weights:
    """A network of its own kind, eight neurons wide."""
    hidden, output = DenseRelu(1, 0, 6, 8, 0, 8, 8), Output(1, 0, 8, 0, 2, -8, 8)
    return replace(weights, spec=NetworkSpec(6, 2, (), (hidden,), (output,)))


SHAPES: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "another width": (_wide, "architecture_mismatch"),
    "other bits of a weight": (lambda w: _relu(w, weight_bits=16), "architecture_mismatch"),
    "other bits of an activation": (lambda w: _relu(w, bits=7), "architecture_mismatch"),
    "another interval": (lambda w: _relu(w, lo=1), "architecture_mismatch"),
    "a shift out of range": (lambda w: _relu(w, shift=32), "quantization_out_of_range"),
    "an interval that ends before it starts": (lambda w: _relu(w, lo=5, hi=3), "dimension_out_of_range"),
    "no width": (lambda w: _relu(w, width=0), "dimension_out_of_range"),
    "a huge width": (lambda w: _relu(w, width=2**32 - 1), "dimension_out_of_range"),
    "a tensor twice": (lambda w: replace(w, tensors=(*w.tensors, w.tensors[0])), "tensor_repeated"),
    "a tensor for no block": (lambda w: replace(w, tensors=(*w.tensors, b"spam")), "tensor_repeated"),
    "a tensor that nobody brought": (lambda w: replace(w, tensors=w.tensors[:2]), "unknown_blob"),
    "a weight of -128": (lambda w: _tensor(w, np.full((6, 1), -128, np.int8)), "weight_out_of_range"),
    "weights of another shape": (lambda w: _tensor(w, np.zeros((5, 1), np.int8)), "shape_mismatch"),
    "weights of another type": (lambda w: _tensor(w, np.zeros((6, 1), np.uint8)), "shape_mismatch"),
    "a bias that breaks the bound": (
        lambda w: _tensor(
            _tensor(w, np.full((6, 1), 127, np.int8)), np.full(1, 2**31 - 1, np.int32), bias=True
        ),
        "bound_violated",
    ),
    "one block too few": (lambda w: replace(w, hidden=(), tensors=w.tensors[2:]), "shape_mismatch"),
}


@pytest.mark.parametrize(("change", "code"), SHAPES.values(), ids=SHAPES.keys())
def test_an_update_that_is_not_what_the_round_takes(change: Callable[[Weights], Weights], code: str) -> None:
    play = at_commit()
    receipt = reveal(play, change(network(play.inputs, 8)), loss=1)
    assert refuted(play, receipt) == code


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"max_update_bytes": 200}, "update_too_large"),
        ({"max_update_neurons": 0}, "update_too_wide"),
        ({"max_update_macs": 10_000}, "update_too_heavy"),
    ],
)
def test_an_update_beyond_the_caps(terms: dict[str, object], code: str) -> None:
    play = at_commit(**terms)
    receipt = reveal(play, network(play.inputs, 8))
    assert refuted(play, receipt) == code
    assert receipt.macs == 0, "the shape alone refutes it: nothing was computed"


def test_a_growth_in_a_round_of_training() -> None:
    play = at_commit()
    receipt = reveal(play, growth(play.inputs, 8), loss=1)
    assert refuted(play, receipt) == "update_kind_mismatch"


def test_bytes_that_are_no_tensor() -> None:
    play = at_commit()
    weights = network(play.inputs, 8)
    sound = tensor_bytes(np.ones((6, 1), np.int8))
    broken = b"\x09" + sound[1:]
    hidden = SegmentSources(Explicit(blob_id(broken)), weights.hidden[0].bias)
    kept = tuple(raw for raw in weights.tensors if Explicit(blob_id(raw)) != weights.hidden[0].weights)
    receipt = reveal(play, replace(weights, hidden=(hidden,), tensors=(*kept, broken)), loss=1)
    assert refuted(play, receipt) == "bad_tensor"


def test_only_the_commit_of_the_sender_opens() -> None:
    play = at_commit(epochs=2)
    weights = network(play.inputs, 8)
    claim = play.commit(ALICE, weights)
    payload = play.update_payload(claim, weights)
    assert play.refused(ALICE, payload) == "wrong_phase"
    play.at(Phase.UPDATE)
    assert play.refused(BOB, payload) == "commit_missing"
    assert play.refused(ALICE, replace(payload, epoch=1)) == "wrong_phase"
    for change in ({"salt": OTHER}, {"loss": claim.loss - 1}, {"parameters": OTHER}, {"base": OTHER}):
        assert play.refused(ALICE, replace(payload, **change)) == "commit_mismatch"
    play.ok(play.send(ALICE, payload))
    assert play.refused(ALICE, payload) == "commit_missing"
    play.at(Phase.UPDATE, 1)
    assert play.refused(ALICE, payload) == "wrong_phase"
    assert play.refused(ALICE, replace(payload, epoch=1)) == "commit_missing"


def test_a_late_reveal_meets_the_audit_or_a_round_that_has_ended() -> None:
    play = at_commit()
    weights = network(play.inputs, 8)
    claims = {who: play.commit(who, weights) for who in (ALICE, BOB)}
    late = play.update_payload(claims[ALICE], weights)
    play.ledger.skip_to_tick(play.span(Phase.UPDATE).last + 1)
    assert play.refused(ALICE, late) == "round_ended"

    play = at_commit()
    claims = {who: play.commit(who, weights) for who in (ALICE, BOB)}
    play.at(Phase.UPDATE)
    play.ok(play.send(BOB, play.update_payload(claims[BOB], weights)))
    play.at(Phase.AUDIT)
    assert play.refused(ALICE, play.update_payload(claims[ALICE], weights)) == "wrong_phase"
    play.decide()
    assert play.withdraw(ALICE).events[-1].name == "bond_burned"
    assert play.spent(ALICE) == COIN + ENTRY - play.ledger.rules.fees.floor, "the removal is paid back"


def test_stored_tensors_need_not_travel_again() -> None:
    play = at_commit(epochs=2)
    weights = network(play.inputs, 8)
    play.ok(reveal(play, weights))
    play.at(Phase.COMMIT, 1)
    bare = replace(weights, tensors=())
    claim = play.claim(BOB, weights, 1)
    play.ok(play.send(BOB, play.commit_payload(claim)))
    play.at(Phase.UPDATE, 1)
    play.ok(play.send(BOB, play.update_payload(claim, bare)))
    assert play.candidate(BOB, 1).sent_tensor_bytes == 0
    tensors = [blob_id(raw) for raw in weights.tensors]
    assert all(play.ledger.state.get(Blob, tensor).refs >= 2 for tensor in tensors)


def test_what_an_update_brings_is_forgotten_if_it_improves_nothing() -> None:
    play = at_commit()
    weights = network(play.inputs, -3)
    receipt = reveal(play, weights)
    assert [event.name for event in receipt.events] == ["no_improvement"]
    assert play.ledger.state.find(Blob, blob_id(weights.tensors[2])) is None


def test_tensors_of_a_candidate_are_held_until_it_is_withdrawn() -> None:
    play = at_commit()
    weights, losing = network(play.inputs, 8), network(play.inputs, 5)
    play.play_epoch((ALICE, weights), (BOB, losing))
    mine, theirs = blob_id(weights.tensors[2]), blob_id(losing.tensors[2])

    def refs(tensor: bytes) -> int:
        return play.ledger.state.get(Blob, tensor).refs

    assert (refs(mine), refs(theirs)) == (1, 1)
    play.decide()
    assert (refs(mine), refs(theirs)) == (2, 1), "the new version holds its own"
    play.withdraw_all()
    assert (refs(mine), refs(theirs)) == (1, 0)


@pytest.mark.parametrize(("off", "admitted"), [(0, True), (1, False)])
def test_an_update_at_the_bar_is_no_candidate(off: int, admitted: bool) -> None:
    """The bar is the loss of version t; the loss of the update stays, so the record of the bar is moved."""
    play = at_commit()
    weights = network(play.inputs, 8)
    play.commit(ALICE, weights)
    play.at(Phase.UPDATE)
    loss = play.loss_of(weights)
    shown = play.round.validation_opened[0]
    state = play.ledger.state
    state.put(replace(play.round, validation_opened=(replace(shown, old_loss=loss + 1 - off),)))
    payload = play.update_payload(play.claim(ALICE, weights), weights)
    outcome = payload.apply(state, play.ledger.ctx, ALICE.address, OTHER)
    assert [event.name for event in outcome.events] == [
        "candidate_admitted" if admitted else "no_improvement"
    ]
    assert state.get(Round, play.id).has_candidates is admitted


@pytest.mark.parametrize("worse_first", [False, True])
def test_an_epoch_keeps_the_lowest_committed_loss(worse_first: bool) -> None:
    play = at_commit(update_window=4)
    good, better = network(play.inputs, 4), network(play.inputs, 8)
    claims = {ALICE: play.commit(ALICE, good), BOB: play.commit(BOB, better)}
    play.at(Phase.UPDATE)
    order = ((ALICE, good), (BOB, better))
    for author, weights in order if worse_first else reversed(order):
        play.ok(play.send(author, play.update_payload(claims[author], weights)))
    result = play.round.results[0]
    assert (result.author, result.loss) == (BOB.address, play.loss_of(better))


def test_of_equal_losses_the_earlier_commit_counts() -> None:
    play = at_commit()
    weights = network(play.inputs, 8)
    claims = {who: play.commit(who, weights) for who in (BOB, ALICE)}
    play.at(Phase.UPDATE)
    payloads = [(who, play.update_payload(claims[who], weights)) for who in (ALICE, BOB)]
    for receipt in play.send_all(payloads):
        play.ok(receipt)
    assert play.round.results[0].author == BOB.address
    ended = play.decide()
    assert ended.winner == BOB.address
    assert play.maturing(ALICE) == 0


def test_a_train_update_may_choose_its_shifts() -> None:
    play = at_commit()
    weights = network(play.inputs, 8)
    assert isinstance(weights.update, TrainUpdate)
    output = replace(weights.update.spec.outputs[0], shift=-7)
    shifted = replace(weights, spec=replace(weights.update.spec, outputs=(output,)))
    play.ok(reveal(play, shifted))
    kept = play.candidate(ALICE).update
    assert isinstance(kept, TrainUpdate)
    assert kept.spec.outputs[0].shift == -7
