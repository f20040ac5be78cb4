"""The policy relative in whole rounds: growths bring gates, and old classes keep their differences."""

from typing import Any

import numpy as np
import pytest

from engram.nn.data import part_bytes
from engram.nn.evaluate import Features
from engram.nn.growth import Growth, Policy
from engram.nn.layers import DenseRelu, Output
from engram.nn.logits import GATE
from engram.nn.spec import component_count
from engram.nn.tensor import tensor_bytes
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Hash
from engram.statemachine.loading import composition_of, line_of, version_network
from engram.statemachine.parameters import compose_line
from engram.statemachine.record import u32
from engram.statemachine.records import ScoreEntry, Version
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.fork_model import ForkModel
from engram.statemachine.transactions.infer import Infer
from engram.statemachine.transactions.score_version import ScoreVersion
from tests.support.evaluation_oracle import gated
from tests.support.growing import ENTRY, finish, growing, reveal, wide_terms
from tests.support.rounds import (
    BOB,
    CAROL,
    OPENER,
    Play,
    SecretPart,
    Weights,
    block,
    column,
    distinct,
    growth,
)

RELATIVE: dict[str, Any] = {"policy": int(Policy.RELATIVE)}


def gated_growth(play: Play, gain: int, *, mark: int = 1, middle: int = 128) -> Weights:
    """A neuron that reads the mark of a new class, that class's output, and a gate that falls with it."""
    base = play.composition(play.model.head).spec
    width, first = base.totals.widths[1], component_count(base)
    hidden, hidden_tensors = block(column(play.inputs, mark), [0])
    outputs, output_tensors = block([[-gain, gain]], [middle * gain, -middle * gain])
    spec = Growth(
        1,
        (DenseRelu(1, 0, play.inputs, 1, 0, 8, 8),),
        (Output(1, width, width + 1, first, 2, -8, 8),),
        (GATE, base.classes),
    )
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def grown() -> Play:
    play = growing(**RELATIVE)
    play.ok(reveal(play, gated_growth(play, 8)))
    assert finish(play) == 2
    return play


def part_of_four(index: int, parts: int) -> SecretPart:
    """30 rows of four classes; the last one has the largest feature 0."""
    rng, labels = np.random.default_rng((9, index)), (np.arange(30) % 4).astype(np.uint16)
    features = rng.integers(0, 8, (30, 2 + parts)).astype(np.uint8)
    features[:, 0] = np.array([50, 206, 128, 250])[labels] + rng.integers(-5, 6, 30)
    features[:, 1] += np.where(labels == 2, 220, 0).astype(np.uint8)
    return SecretPart(bytes([index]) * 32, part_bytes(features, labels))


def rows_of(play: Play) -> Features:
    return np.random.default_rng(1).integers(0, 256, (50, play.inputs)).astype(np.uint8)


def test_a_growth_moves_old_logits_by_one_number_a_row() -> None:
    play = grown()
    state, ctx = play.ledger.state, play.ledger.ctx
    rows = rows_of(play)
    before, after = (
        ctx.scorer.logits(version_network(state, ctx, play.version(number)), rows) for number in (1, 2)
    )
    assert np.array_equal(np.diff(before, axis=1), np.diff(after[:, :2], axis=1))
    feature = rows[:, 1].astype(np.int64)
    gate, new = (128 - feature) * 8 * 2**8, (feature - 128) * 8 * 2**8
    for row in range(len(rows)):
        sums = [*before[row].tolist(), int(gate[row]), int(new[row])]
        assert after[row].tolist() == gated([0, 1, GATE, 2], sums)
    assert play.composition(2).spec.components == (0, 1, GATE, 2)


def test_the_next_growth_puts_another_gate_above() -> None:
    play = grown()
    play.parts = [part_of_four(index, len(play.parts)) for index in range(len(play.parts))]
    play.ok(play.open(wide_terms(play)))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    weights = gated_growth(play, 60, mark=0, middle=230)
    play.ok(reveal(play, weights))
    assert finish(play) == 3
    assert play.composition(3).spec.components == (0, 1, GATE, 2, GATE, 3)
    state, ctx = play.ledger.state, play.ledger.ctx
    rows = rows_of(play)
    before, after = (
        ctx.scorer.logits(version_network(state, ctx, play.version(number)), rows) for number in (2, 3)
    )
    assert np.array_equal(np.diff(before, axis=1), np.diff(after[:, :3], axis=1))


def test_all_that_asks_a_version_lifts_its_logits() -> None:
    """Transactions, forks and lines give the integers of the whole network."""
    play = grown()
    rows = rows_of(play)[:3]
    state, ctx = play.ledger.state, play.ledger.ctx
    logits = ctx.scorer.logits(version_network(state, ctx, play.version(2)), rows)
    asked = play.ok(play.send(CAROL, Infer(play.model_id, None, tensor_bytes(rows))))
    assert [event.values[3:] for event in asked.events] == [tuple(row) for row in logits.tolist()]
    part = play.round.unseen[-1].commitment
    play.ok(play.send(CAROL, ScoreVersion(play.model_id, 2, part)))
    entry = play.ledger.state.get(ScoreEntry, play.model_id, u32(2), part)
    assert entry.correct > 0.9 * entry.rows

    receipt = play.ok(play.send(OPENER, ForkModel(play.model_id, 2)))
    fork: Hash = tagged_hash(Tag.MODEL, receipt.txid)
    play.ok(play.send(CAROL, ScoreVersion(fork, 0, part)))
    again = play.ledger.state.get(ScoreEntry, fork, u32(0), part)
    assert (again.loss, again.correct) == (entry.loss, entry.correct)
    state, ctx = play.ledger.state, play.ledger.ctx
    inherited = state.get(Version, fork, u32(0))
    assert compose_line(line_of(state, inherited)).spec == composition_of(state, ctx, inherited).spec


def test_a_growth_without_its_gate_burns_its_bond() -> None:
    play = growing(**RELATIVE)
    receipt = reveal(play, growth(play.inputs, 8))
    assert receipt.code == "gate_misplaced"
    assert play.spent(BOB) == ENTRY + play.round.terms.author_bond
    assert play.end().status == RoundStatus.KEPT
    assert play.model.head == 1


def test_a_gate_in_a_strict_model_burns_its_bond() -> None:
    play = growing()
    receipt = reveal(play, gated_growth(play, 8))
    assert receipt.code == "gate_misplaced"


def test_a_round_without_new_classes_is_not_opened() -> None:
    play = grown()
    play.new_parts(rows=30)
    assert play.refused(OPENER, play.open_payload(wide_terms(play, new_classes=0))) == "nothing_to_feed"


@pytest.mark.parametrize("fondness", [100, 2**30])
def test_a_gate_that_sends_old_rows_to_the_new_class_does_not_pass(fondness: int) -> None:
    """Rows of old classes that go to the new one are lost rows; with an extreme logit there is no gain."""
    play = growing(retention_delta_ppm=10**7, **RELATIVE)
    both, tensors = block([[1 if row in (0, 1) else 0] for row in range(play.inputs)], [0])
    outputs, output_tensors = block([[0, 16]], [0, fondness - 16 * 206])
    spec = gated_growth(play, 8).spec
    play.ok(reveal(play, Weights(spec, (both,), (outputs,), distinct(*tensors, *output_tensors))))
    if fondness == 100:
        assert finish(play) == 0
        assert "forgets_old_rows" in play.reasons(BOB)
    else:
        assert play.end().status == RoundStatus.KEPT
    assert play.model.head == 1
