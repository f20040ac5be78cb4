"""GROW rounds of two epochs in which two authors grow alone, and somebody sends the union of both."""

from __future__ import annotations

from typing import Any

from engram.nn.growth import Growth
from engram.nn.layers import DenseRelu, Output
from engram.nn.logits import GATE
from engram.primitives import keys
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import GrowUpdate
from engram.statemachine.receipt import Receipt
from engram.statemachine.records import Reputation
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.union import united_update
from tests.support.growing import growing
from tests.support.rounds import ALICE, BOB, Play, Weights, block, column, distinct, leaning_growth

LEANS = 1_100, -100
"""By so much, in 2^-8 nats, the halves lean to the new class; the mean is the best that there is."""


FREE: dict[str, Any] = {
    "retention_epsilon_ppm": 10**6,
    "retention_delta_ppm": 10**7,
    "threshold_ppm": 10**6,
}
"""A model whose gate lets pass what leans."""


def two_epochs(play: Play | None = None, *, terms: dict[str, object] | None = None, **model: Any) -> Play:
    """A frozen model of two classes and a GROW round of two epochs, in COMMIT of the first one."""
    return growing(play, terms={"epochs": 2, "score_window": 8, **(terms or {})}, **(FREE | model))


def leaning(play: Play, lean: int, gain: int = 8) -> Weights:
    """A growth that leans; the mean of two leans by the mean."""
    return leaning_growth(play.inputs, gain, lean)


def gated_leaning(play: Play, middle: int, gain: int = 8) -> Weights:
    """A growth for the policy relative: the new class and the gate cross where the mark is `middle`."""
    hidden, hidden_tensors = block(column(play.inputs, 1), [0])
    outputs, output_tensors = block([[-gain, gain]], [middle * gain, -middle * gain])
    spec = Growth(1, (DenseRelu(1, 0, play.inputs, 1, 0, 8, 8),), (Output(1, 1, 2, 2, 2, -8, 8),), (GATE, 2))
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def both_alone(play: Play, alice: Weights | None = None, bob: Weights | None = None) -> Play:
    """In the first epoch both reveal a growth, by default one that leans; then COMMIT of the second one."""
    mine, theirs = alice or leaning(play, LEANS[0]), bob or leaning(play, LEANS[1])
    for receipt in play.play_epoch((ALICE, mine), (BOB, theirs)):
        play.ok(receipt)
    play.at(Phase.COMMIT, 1)
    return play


def union_of(
    play: Play,
    first: keys.PrivateKey = ALICE,
    second: keys.PrivateKey = BOB,
    statistics: Hash = ZERO_HASH,
) -> Weights:
    """The union of the candidates of two authors."""
    base = play.composition(play.round.version).spec
    return from_update(united_update(base, (play.candidate(first), play.candidate(second)), statistics))


def from_update(update: GrowUpdate) -> Weights:
    """An update without tensors, as what an actor can commit to."""
    return Weights(update.growth, update.hidden, update.outputs, (), update.halves, update.statistics)


def send_union(play: Play, sender: keys.PrivateKey, union: Weights, epoch: int = 1, **claims: Any) -> Receipt:
    """The sender commits to a union and reveals it; the receipt of the reveal."""
    claim = play.commit(sender, union, epoch, **claims)
    play.at(Phase.UPDATE, epoch)
    return play.send(sender, play.update_payload(claim, union))


def paid(play: Play, actor: keys.PrivateKey) -> int:
    """What the decision of the round has paid an actor, in sparks."""
    return sum(
        int(event.values[1])
        for event in play.named("bounty_paid")
        if (event.subject, event.text) == (play.id, (actor.address.hex(),))
    )


def points(play: Play, actor: keys.PrivateKey) -> int:
    """An actor's reputation in the model."""
    held = play.ledger.state.find(Reputation, play.model_id, actor.address)
    return held.points if held else 0


def share(play: Play, actor: keys.PrivateKey, epoch: int = 0) -> tuple[int, int]:
    """Loss and baseline of a candidate of the round, as it was judged."""
    event = next(
        event
        for event in play.named("update_judged")
        if (event.subject, event.values[0], event.text[0]) == (play.id, epoch, actor.address.hex())
    )
    return int(event.values[1]), int(event.values[2])
