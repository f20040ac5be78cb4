"""GROW rounds of a frozen model of two classes, up to COMMIT, and from the update to the end."""

from typing import Any

from engram.nn.growth import Growth, Policy
from engram.nn.layers import DenseRelu, Output
from engram.statemachine.receipt import Receipt
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundTerms
from tests.support.rounds import (
    ALICE,
    BOB,
    COIN,
    Play,
    Weights,
    block,
    column,
    distinct,
    grow_terms,
    network,
)

ENTRY = 20 * COIN // 1_000
"""What a commit burns."""


def growing(play: Play | None = None, *, terms: dict[str, object] | None = None, **model: object) -> Play:
    """A frozen model of two classes and a GROW round in COMMIT; 20 of 30 rows of each part are old."""
    play = play or Play()
    play.freeze(**model)
    play.new_parts(rows=30)
    play.ok(play.open(wide_terms(play, **(terms or {}))))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    return play


def wide_terms(play: Play, **changes: object) -> RoundTerms:
    """GROW with 30 rows a part, of which 20 are old."""
    return grow_terms(play.parts, **{"rows": 30, "old_rows": 20, **changes})


def reveal(play: Play, weights: Weights, **claims: Any) -> Receipt:
    claim = play.commit(BOB, weights, **claims)
    play.at(Phase.UPDATE)
    return play.send(BOB, play.update_payload(claim, weights))


def finish(play: Play) -> int:
    """Audit, scores, end, withdrawals; the version made, or 0."""
    made = play.decide().new_version
    play.withdraw_all()
    return made


def weak_model(**model: Any) -> Play:
    """A frozen model of two classes that knows them so poorly that every `sharper` growth improves it."""
    play = Play()
    play.ok(play.found(policy=int(Policy.GATED), **model))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 2)))
    play.decide()
    play.withdraw_all()
    assert play.model.frozen, "a network of gain 2 is below the threshold"
    return play


def sharper(play: Play) -> Weights:
    """One more neuron that tells the two old classes apart."""
    hidden, hidden_tensors = block(column(play.inputs, 0), [0])
    outputs, output_tensors = block([[-1, 1]], [128, -128])
    width = sum(segment.width for segment in play.composition(play.model.head).spec.hidden)
    spec = Growth(
        0,
        (DenseRelu(1, 0, play.inputs, 1, 0, 8, 8),),
        (Output(1, width, width + 1, 0, 2, -8, 8),),
        (),
    )
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def sharpening(play: Play) -> Play:
    """A GROW round of a `weak_model`, in COMMIT."""
    play.new_parts(rows=30, classes=2)
    play.ok(play.open(wide_terms(play, new_classes=0)))
    play.reveal_validation()
    play.at(Phase.COMMIT)
    return play
