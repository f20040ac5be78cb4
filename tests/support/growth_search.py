"""A search over lives of a model: several growths, and what founders and strangers do between them.

A frozen model of two classes grows by one class after the other. In each round the coalition may open as a
member, hold the witness, and bring a growth that takes the next slice of class 1 for its new class. Between
the rounds the founder replaces members and retires parts, and a stranger of the coalition forks the model and
buries the fork. What each growth loses is looked at again on rows that nobody has used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.data import parse_part, part_bytes
from engram.nn.growth import Growth
from engram.nn.layers import DenseRelu, Output
from engram.primitives import keys
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus, RoundTerms
from engram.statemachine.scoring import DataPart
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.fork_model import ForkModel
from engram.statemachine.transactions.retire_part import RetirePart
from tests.support.attacks import crowd
from tests.support.coalition import MALLORY, Author, CoalitionRound, Holder, Line, burned_of, wealth
from tests.support.ledger import Ledger
from tests.support.round_search import FRESH_ROWS, scored, worth_of
from tests.support.round_search import RULES as ROUND_RULES
from tests.support.rounds import (
    ACTORS,
    ALICE,
    BOB,
    OPENER,
    PURSE,
    WITNESS,
    Play,
    SecretPart,
    Weights,
    block,
    distinct,
    grow_terms,
    network,
    train_terms,
)

PARTS: Final = 6
MARKS: Final = 4
"""So many classes can be learned after the first two; each has a feature that marks it."""
INPUTS: Final = 2 + MARKS
ROWS: Final = 120
RULES: Final = replace(ROUND_RULES, min_parts=4)
SAMPLING: Final = 0.1
"""So much more than the truth may 120 to 360 rows say."""
NAMES: Final = 3
"""Of the coalition: one brings a growth, one commits to nothing, one forks."""
FIRST_BITE: Final = 30
"""A growth that bites no more than this takes no row of class 1."""
STANDING: Final = (NamedWitness(WITNESS.address, old_only=False),)


class Between(Enum):
    """What happens before a round."""

    NOTHING = "nothing"
    REPLACES_MEMBERS = "the founder takes Bob off the list of members, and then puts him back"
    AMENDS_MEANWHILE = "the founder takes Bob off the list while his round is open"
    RETIRES = "the founder retires the oldest part that the model must still know"
    FORKS = "a stranger forks the model, and buries the fork in rounds of their own"


@dataclass(frozen=True)
class Step:
    """One round of a life, and what comes before it."""

    between: Between
    opener: Holder
    """HONEST is the founder; everything else is Bob, a member who belongs to the coalition."""
    witness: Holder
    kind: Author
    strength: int
    """Of the coalition's growth, from 0 to 15."""
    stuffed: tuple[tuple[Phase, int], ...]


@dataclass(frozen=True)
class Life:
    """A model's life."""

    epsilon_ppm: int
    cap_ppm: int
    standing: bool
    """Whether the model names the witness, so that no opener can do without."""
    alone: bool
    """Whether Alice stays away: the coalition's growths have no rival."""
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Grown:
    """What became of one round."""

    surplus: int
    """Sparks by which the coalition is richer than its growth is worth; at most 0 is as it should be."""
    lost: float
    """Share of fresh old rows that the growth has lost."""
    honest: bool
    """Whether somebody honest held rows."""
    counted_ppm: int
    """What the model counts as lost by it."""
    burned: int
    """Sparks of bonds that people who play by the rules have lost."""


@dataclass
class Lived:
    """What became of a model."""

    play: Play
    rounds: list[Grown] = field(default_factory=list)
    eaten: int = FIRST_BITE
    """How much of class 1 decided growths have taken for their own."""
    stopped: bool = False
    """Whether the limit of lost rows has ended growth."""


def mark_of(label: int) -> int:
    """The feature that marks a class that was not there from the beginning."""
    return 2 + label - 2


def part_of(index: int, *, classes: int, seed: int, rows: int = ROWS, spared: bool = False) -> SecretPart:
    """Rows of every class in turn: feature 0 tells the first two apart, later ones have a mark each.

    Spared rows of class 1 lie where no growth of this search takes them for its own.
    """
    rng = np.random.default_rng((seed, index, classes))
    labels = (np.arange(rows) % classes).astype(np.uint16)
    features = rng.integers(0, 8, (rows, INPUTS)).astype(np.uint8)
    centre = np.array([50, 206, *[128] * MARKS])[labels]
    features[:, 0] = centre + rng.integers(-40, 41, rows)
    if spared:
        features[:, 0] = np.where(labels == 1, 160 + rng.integers(0, 8, rows), features[:, 0])
    for label in range(2, classes):
        features[:, mark_of(label)] = np.where(labels == label, 220, features[:, mark_of(label)])
    salt = hashlib.sha256(b"life %d %d %d" % (seed, index, classes)).digest()
    return SecretPart(salt, part_bytes(features, labels))


def slice_growth(classes: int, gain: int, bite: int, lean: int = 0) -> Weights:
    """A growth by the class of this number; it takes rows of class 1 above `255 - bite` for its own.

    `lean` is added to its logit for every row, in 2^-8 nats.
    """
    mark, place = mark_of(classes), classes - 1
    reads = [[{0: 1, mark: 1}.get(row, 0) if bite else int(row == mark)] for row in range(INPUTS)]
    hidden, hidden_tensors = block(reads, [0])
    border = 255 - bite if bite else 128
    outputs, output_tensors = block([[gain]], [lean - gain * border + (600 if bite else 0)])
    spec = Growth(
        1, (DenseRelu(1, 0, INPUTS, 1, 0, 8, 8),), (Output(1, place, place + 1, classes, 1, -8, 8),), ()
    )
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def live(life: Life) -> Lived:
    """Plays all rounds of a life."""
    names = crowd(NAMES)
    play = _frozen(life.epsilon_ppm, life.cap_ppm, life.standing).fork()
    lived = Lived(play)
    for step in life.steps:
        _before(play, step, life, names[2])
        if play.model.classes < 2 + MARKS:
            _round(lived, step, life, names)
    return lived


@cache
def _frozen(epsilon_ppm: int, cap_ppm: int, standing: bool) -> Play:
    """A frozen model of two classes, of which Bob is a member."""
    ledger = Ledger(dict.fromkeys((*ACTORS, MALLORY, *crowd(NAMES)), PURSE), rules=RULES)
    play = Play(parts=PARTS, ledger=ledger)
    play.inputs = INPUTS
    play.parts = [part_of(index, classes=2, seed=0) for index in range(PARTS)]
    terms = train_terms(play.parts, rows=ROWS, sealed=2, z_squared=9)
    play.ok(play.found(terms=terms, retention_epsilon_ppm=epsilon_ppm, lost_cap_ppm=cap_ppm))
    play.reveal_validation()
    play.play_epoch((ALICE, network(play.inputs, 8)))
    play.decide(ALICE)
    play.withdraw_all()
    assert play.model.frozen, "the first round freezes the model"
    _amend(play, members=(BOB.address,), witnesses=STANDING if standing else ())
    return play


def _amend(play: Play, **changes: object) -> None:
    model = play.model
    payload = AmendModel(model.id, model.members, model.witnesses, model.lost_cap_ppm)
    play.ok(play.send(OPENER, replace(payload, **changes)))  # type: ignore[arg-type]  # fields by name


def _before(play: Play, step: Step, life: Life, stranger: keys.PrivateKey) -> None:
    known = play.model.retention
    if step.between is Between.REPLACES_MEMBERS:
        _amend(play, members=())
        _next_parts(play, Holder.HONEST)
        code = play.refused(BOB, play.open_payload(_terms(play, life, Holder.HONEST)))
        assert code in ("opening_restricted", "memory_spent"), "Bob is no member any more"
        _amend(play, members=(BOB.address,))
    elif step.between is Between.RETIRES and known:
        assert play.refused(BOB, RetirePart(play.model_id, known[0].part)) == "not_the_founder"
        play.ok(play.send(OPENER, RetirePart(play.model_id, known[0].part)))
        assert play.model.retention == known[1:], "the model must no longer know that part"
    elif step.between is Between.FORKS:
        _fork(play, life, stranger)


def _fork(play: Play, life: Life, stranger: keys.PrivateKey) -> None:
    """A stranger buries a fork: the original, and everybody else, must stay as they are."""
    model, others = play.model, (OPENER, ALICE, WITNESS)
    rich, own = wealth(play, others), wealth(play, [stranger, BOB])
    fork = Play(parts=PARTS, ledger=play.ledger)
    receipt = play.send(stranger, ForkModel(model.id, model.head, (BOB.address,)))
    fork.model_id = play.ok(receipt).events[0].subject
    fork.inputs, fork.seed = INPUTS, play.seed + 1_000
    for known in model.retention:
        fork.ok(fork.send(stranger, RetirePart(fork.model_id, known.part)))
    _next_parts(fork, Holder.SPARES)
    if model.lost_ppm < model.lost_cap_ppm and model.classes < 2 + MARKS:
        terms = grow_terms(fork.parts, rows=ROWS, old_rows=60, sealed=2, z_squared=9)
        who = (stranger, Holder.FRIEND, Holder.ABSENT, fork.parts[0], [(BOB, Author.FORGETS, 15)])
        CoalitionRound(fork, Line(terms, *who, _growths(fork, FIRST_BITE + 10), None)).run()
        assert fork.round.status != RoundStatus.OPEN, "every round must end by itself"
    assert play.model == model, "rounds on a fork must not touch the original"
    assert wealth(play, others) == rich, "nobody else must pay for a fork"
    assert wealth(play, [stranger, BOB]) < own, "a fork must bring nothing to whoever makes it"


def _next_parts(play: Play, holder: Holder) -> None:
    """Fresh parts of this holder for the next round, which adds one class."""
    play.seed += 1
    classes = min(play.model.classes + 1, 2 + MARKS)
    spared = holder is Holder.SPARES
    parts = [part_of(index, classes=classes, seed=play.seed, spared=spared) for index in range(PARTS)]
    play.parts = [_held(part, holder) for part in parts]


def _held(secret: SecretPart, holder: Holder) -> SecretPart:
    """The part as this holder seals it: poisoned rows call class 0 class 1 and the other way round."""
    if holder is Holder.BREAKS:
        return replace(secret, raw=secret.raw[:-2] + b"\xff\x00")
    if holder is Holder.POISONS:
        rows = parse_part(secret.raw, rows=ROWS, inputs=INPUTS, classes=2 + MARKS)
        labels = np.where(rows.labels < 2, 1 - rows.labels, rows.labels).astype(np.uint16)
        return replace(secret, raw=part_bytes(rows.features, labels))
    return secret


def _terms(play: Play, life: Life, witness: Holder) -> RoundTerms:
    named = () if life.standing or witness is Holder.ABSENT else STANDING
    return grow_terms(play.parts, rows=ROWS, old_rows=60, sealed=2, z_squared=9, witnesses=named)


def _growths(play: Play, eaten: int) -> Callable[[Author, int, int], Weights]:
    """The growth of a kind and a strength on this model, of whose class 1 so much was taken already."""

    def made(kind: Author, strength: int, epoch: int) -> Weights:
        classes = play.model.classes
        if kind is Author.FORGETS:
            return slice_growth(classes, 16, eaten + strength)
        if kind is Author.CONSTANT:
            return slice_growth(classes, 0, 0, 256 * (strength - 8))
        if kind is Author.SHIFTS:
            return slice_growth(classes, 8, 0, 256 * (strength - 8))
        return slice_growth(classes, 8 * strength if kind is Author.SCALES else strength, 0)

    return made


def _round(lived: Lived, step: Step, life: Life, names: Sequence[keys.PrivateKey]) -> None:
    """One round, and what it has changed."""
    play, before = lived.play, lived.play.model
    opener = OPENER if step.opener is Holder.HONEST else BOB
    _next_parts(play, step.opener)
    terms = _terms(play, life, step.witness)
    if before.lost_ppm >= before.lost_cap_ppm:
        assert play.refused(opener, play.open_payload(terms)) == "memory_spent", "no growth beyond the limit"
        lived.stopped = True
        return
    mine = [MALLORY, *names, BOB]
    if step.witness not in (Holder.HONEST, Holder.ABSENT):
        mine.append(WITNESS)
    spared = step.witness is Holder.SPARES
    part = part_of(PARTS, classes=before.classes + 1, seed=play.seed, spared=spared)
    amends = step.between is Between.AMENDS_MEANWHILE
    line = Line(
        terms,
        opener,
        step.opener,
        step.witness,
        _held(part, step.witness),
        [(names[0], step.kind, step.strength)],
        _growths(play, lived.eaten),
        None if life.alone else lambda: slice_growth(before.classes, 8, 0),
        names[1:2],
        step.stuffed,
        (lambda: _amend(play, members=())) if amends else None,
    )
    rich, knew = wealth(play, mine), right_rows(play, before.classes)
    played = CoalitionRound(play, line)
    played.run()
    if amends:
        assert play.round.opener == opener.address, "an open round keeps its opener"
        _amend(play, members=(BOB.address,))
    assert play.round.status != RoundStatus.OPEN, "every round must end by itself"
    gained = wealth(play, mine) - rich
    if step.kind is Author.FORGETS and play.round.winner == names[0].address:
        lived.eaten += step.strength
    lived.rounds.append(
        Grown(
            gained - _due(play, step, names, before.carried) + played.stuffing,
            float(np.mean(knew & ~right_rows(play, before.classes))),
            Holder.HONEST in (step.opener, step.witness),
            play.model.lost_ppm - before.lost_ppm,
            sum(burned_of(play, person) for person in (OPENER, WITNESS) if person not in mine),
        )
    )


def _due(play: Play, step: Step, names: Sequence[keys.PrivateKey], carried: int) -> int:
    """What the coalition may be richer by: what its growth is worth, at the prices that others pay."""
    terms = play.round.terms
    if step.opener is not Holder.HONEST and step.witness is not Holder.HONEST:
        return carried  # nobody has measured anything for those whose money the model carries
    pot = carried + (terms.bounty if step.opener is Holder.HONEST else 0)
    worth = worth_of(play, names, pot, fresh_rows(play.round.classes))
    fee = 0 if step.witness in (Holder.HONEST, Holder.ABSENT) else terms.witness_fee
    return worth + (int(pot * SAMPLING) if worth else 0) + fee


@cache
def fresh_rows(classes: int) -> DataPart:
    """Rows that nobody has used, of the first so many classes."""
    raw = part_of(99, classes=classes, seed=1_234, rows=FRESH_ROWS).raw
    rows = parse_part(raw, rows=FRESH_ROWS, inputs=INPUTS, classes=classes)
    return DataPart(b"\x64" * 31 + bytes([classes]), lambda: rows)


def right_rows(play: Play, classes: int) -> npt.NDArray[np.bool_]:
    """Which fresh rows of the first so many classes the current version has right."""
    return scored(play, play.model.head, fresh_rows(classes), play.model.classes).right


def grow_once_more(play: Play) -> RoundStatus:
    """A round in which only honest people take part."""
    _amend(play, witnesses=())
    _next_parts(play, Holder.HONEST)
    play.ok(play.open(grow_terms(play.parts, rows=ROWS, old_rows=60, sealed=2, z_squared=9)))
    play.reveal_validation()
    play.play_epoch((ALICE, slice_growth(play.model.classes, 8, 0)))
    play.decide(ALICE)
    return RoundStatus(play.round.status)
