"""Stories in which every node works and nobody pays."""

from engram.nn.dtypes import INT8, INT32
from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded
from engram.nn.spec import parameter_shapes
from engram.statemachine.additions import SegmentSources
from engram.statemachine.receipt import Receipt
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import LOOKUP_MACS
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.open_round import OpenRound
from tests.support.rounds import ALICE, CAROL, COIN, OPENER, Play, train_terms


def of_many_segments(inputs: int, count: int) -> Founding:
    """A network of twice so many segments, which travels as a few bytes for each of them."""
    hidden = tuple(DenseRelu(1, 0, inputs, 1, 0, 8, 8) for _ in range(count))
    outputs = tuple(Output(1, at, at + 1, 0, 2, 0, 8) for at in range(count))
    spec = NetworkSpec(inputs, 2, (), hidden, outputs)
    made = tuple(
        SegmentSources(Seeded(1, bytes(32), INT8, weights), Seeded(1, bytes(32), INT32, bias))
        for weights, bias in parameter_shapes(spec)
    )
    silent = (NamedWitness(CAROL.address, False),)
    return Founding(spec, made[:count], made[count:], 0, 1, 900_000, witnesses=silent)


def opened_again(count: int) -> Receipt:
    """A model is founded, its witness seals nothing, so the round is cancelled; one more is opened."""
    play = Play()
    terms = train_terms(play.parts, author_bond=10 * COIN)
    whole = OpenRound(terms, founding=of_many_segments(play.inputs, count))
    play.ok(play._opened(play.send(OPENER, whole)))
    play.at(Phase.CLOSED)
    play.ok(play.send(ALICE, AdvanceRound(play.id)))
    assert play.round.status == RoundStatus.CANCELLED, "everything has returned to the opener"
    return play.ok(play.open(terms))


def test_an_opening_pays_for_decoding_the_segments_of_its_model() -> None:
    """Rounds that a silent witness cancels cost their opener nothing but fees. Thousands of openings fit
    into a block, and each may have a network of hundreds of segments put together that no cache holds. So
    they pay for each segment.
    """
    few, many = opened_again(2), opened_again(20)
    assert many.macs - few.macs == 2 * (20 - 2) * LOOKUP_MACS
