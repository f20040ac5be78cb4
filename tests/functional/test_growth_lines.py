"""A model that grows again and again, and its forks: each record holds only what is new."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from engram.node.chain.verification import VerificationCache
from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import Inherited, parameters_root
from engram.statemachine.loading import composition_of, line_of, version_network
from engram.statemachine.parameters import Composition, compose, compose_line
from engram.statemachine.record import u32
from engram.statemachine.records import ScoreEntry, Version
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.scoring import NoCache, ScoreCache, Scorer
from engram.statemachine.transaction import Cost
from engram.statemachine.transactions.fork_model import ForkModel
from engram.statemachine.transactions.score_version import ScoreVersion
from tests.support.growing import finish, sharpening, sharper, weak_model
from tests.support.rounds import ALICE, BOB, CAROL, OPENER, Play

GROWTHS = 5


@dataclass(frozen=True)
class Grown:
    """A model after so many growths, with what each reveal cost and paid."""

    play: Play
    costs: list[Cost]
    fees: list[int]


def grown(play: Play, count: int) -> Grown:
    """Bob grows the model so many times."""
    costs, fees = [], []
    for _ in range(count):
        sharpening(play)
        weights = sharper(play)
        claim = play.commit(BOB, weights)
        play.at(Phase.UPDATE)
        payload = play.update_payload(claim, weights)
        costs.append(payload.cost(play.ledger.state, play.ledger.ctx, BOB.address))
        fees.append(play.ok(play.send(BOB, payload)).fee)
        assert finish(play) == play.model.head > 0, "the growth improves every row"
    return Grown(play, costs, fees)


@pytest.fixture(scope="module")
def model() -> Grown:
    """A founding, a TRAIN round and five growths; nobody may change it."""
    return grown(weak_model(), GROWTHS)


def test_the_record_of_a_growth_is_as_small_after_many_growths(model: Grown) -> None:
    sizes = [len(encode(model.play.version(number))) for number in range(2, 2 + GROWTHS)]
    assert sizes == [sizes[0]] * GROWTHS
    assert len({cost.record_bytes for cost in model.costs}) == 1


def test_a_reveal_needs_more_room_on_a_larger_version_and_pays_no_more(model: Grown) -> None:
    assert len(set(model.fees)) == 1
    assert len({cost.macs - cost.paid_macs for cost in model.costs}) == 1
    room = [cost.macs for cost in model.costs]
    assert room == sorted(set(room)), "each version t is larger than the one before"


def test_the_roots_of_a_line_name_each_other(model: Grown) -> None:
    versions = [model.play.version(number) for number in range(2 + GROWTHS)]
    assert [version.parent for version in versions[1:]] == [version.root for version in versions[:-1]]
    for version in versions:
        assert not isinstance(version.added, Inherited), "only version 0 of a fork adds nothing"
        assert version.root == parameters_root(version.parent, version.author, version.added)
    assert versions[-1].root == model.play.model.root
    line = line_of(model.play.ledger.state, versions[-1])
    assert line == tuple(version.addition for version in versions[1:]), "TRAIN has replaced version 0"


def test_who_made_a_network_that_has_grown(model: Grown) -> None:
    whole = model.play.composition(1 + GROWTHS)
    growths = [(2 + step, BOB.address, 1) for step in range(GROWTHS)]
    assert whole.makers(1 + GROWTHS) == [(1, ALICE.address, 1), *growths]


class Remembered(NoCache):
    """Remembers these networks and no other; notes those that it is offered."""

    def __init__(self, compositions: Sequence[Composition]) -> None:
        self.known = {composition.root: composition for composition in compositions}
        self.offered: list[Composition] = []

    def get_composition(self, root: Hash) -> Composition | None:
        return self.known.get(root)

    def put_composition(self, composition: Composition) -> None:
        self.offered.append(composition)


def composed(play: Play, number: int, cache: ScoreCache) -> Composition:
    ctx = replace(play.ledger.ctx, scorer=Scorer(cache))
    return composition_of(play.ledger.state, ctx, play.version(number))


def parts_of(whole: Composition) -> tuple[object, ...]:
    return whole.root, whole.spec, whole.spec.totals, whole.segments, whole.steps, whole.seeded_macs


def test_a_network_is_the_same_whatever_is_remembered(model: Grown) -> None:
    play, last = model.play, 1 + GROWTHS
    by_hand = None
    for added in line_of(play.ledger.state, play.version(last)):
        by_hand = compose(by_hand, added)
    assert by_hand is not None
    everything = VerificationCache()
    for remembered in ([], [0], [1], [3], [last - 1], [last], [1, 4]):
        cache = Remembered([play.composition(number) for number in remembered])
        assert parts_of(composed(play, last, cache)) == parts_of(by_hand), remembered
        assert [whole.root for whole in cache.offered] == [play.model.root]
        assert parts_of(composed(play, last, everything)) == parts_of(by_hand)
    assert parts_of(compose_line(line_of(play.ledger.state, play.version(last)))) == parts_of(by_hand)
    assert parts_of(composed(play, 3, everything)) == parts_of(play.composition(3))


def test_what_is_remembered_is_used(model: Grown) -> None:
    """A network that is known is not put together again: its segments are those that were remembered."""
    play, last = model.play, 1 + GROWTHS
    older = play.composition(last - 2)
    found = composed(play, last, Remembered([older]))
    assert all(kept is own for kept, own in zip(older.hidden, found.hidden, strict=False))
    assert composed(play, last - 2, Remembered([older])) is older


def forked(play: Play, source: Hash, version: int) -> Hash:
    receipt = play.ok(play.send(OPENER, ForkModel(source, version)))
    return tagged_hash(Tag.MODEL, receipt.txid)


def scored(play: Play, model: Hash, version: int) -> tuple[ScoreEntry, int]:
    """A version's score on the part that was opened last, and what scoring it was charged."""
    part = play.round.unseen[-1].commitment
    receipt = play.ok(play.send(CAROL, ScoreVersion(model, version, part)))
    return play.ledger.state.get(ScoreEntry, model, u32(version), part), receipt.macs


def test_version_zero_of_a_fork_adds_nothing_and_is_the_network_that_was_forked() -> None:
    play = grown(weak_model(), 2).play
    source, head = play.model_id, play.model.head
    fork = forked(play, source, head)
    again = forked(play, fork, 0)
    original, charged = scored(play, source, head)
    for model in (fork, again):
        version = play.ledger.state.get(Version, model, u32(0))
        assert version.added == Inherited(source, head), "also in a fork of a fork"
        assert (version.addition, version.parent) == (None, ZERO_HASH)
        assert version.root == play.version(head).root
        assert len(encode(version)) < len(encode(play.version(head)))
        state, ctx = play.ledger.state, play.ledger.ctx
        assert line_of(state, version) == line_of(state, play.version(head))
        assert parts_of(composition_of(state, ctx, version)) == parts_of(play.composition(head))
        entry, same = scored(play, model, 0)
        assert (entry.loss, entry.correct, entry.rows) == (original.loss, original.correct, original.rows)
        assert same == charged


@pytest.mark.parametrize("generations", [1, 2])
def test_a_fork_goes_on_with_the_line_that_it_has_inherited(generations: int) -> None:
    play = grown(weak_model(), 2).play
    source, head = play.model_id, play.model.head
    before, below = line_of(play.ledger.state, play.version(head)), play.composition(head)
    model, version = source, head
    for _ in range(generations):
        model, version = forked(play, model, version), 0
    play.model_id = model
    grown(play, 2)
    one, two = play.version(1), play.version(2)
    assert play.version(0).added == Inherited(source, head)
    assert (one.parent, two.parent) == (before[-1].root, one.root)
    assert line_of(play.ledger.state, two) == (*before, one.addition, two.addition)
    whole = play.composition(2)
    assert whole.hidden[: len(below.hidden)] == below.hidden
    assert parts_of(whole) == parts_of(compose_line(line_of(play.ledger.state, two)))
    assert whole.makers(2) == [
        *sorted([(0, ALICE.address, 1), (0, BOB.address, 2)]),
        (1, BOB.address, 1),
        (2, BOB.address, 1),
    ]
    assert play.composition(0).makers(0) == sorted([(0, ALICE.address, 1), (0, BOB.address, 2)])
    rows = np.random.default_rng(1).integers(0, 256, (20, play.inputs)).astype(np.uint8)
    state, ctx = play.ledger.state, play.ledger.ctx
    logits = [ctx.scorer.logits(version_network(state, ctx, each), rows) for each in (play.version(0), two)]
    margins = [np.abs(own[:, 1] - own[:, 0]) for own in logits]
    assert np.all(margins[1] >= margins[0]), "two growths have made the network surer"
