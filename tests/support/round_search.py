"""A search over single rounds: which moves a coalition makes, and what became of them.

The model is founded for the round and, for growth, trained until it is frozen; a coalition may have trained
it with shifted logits. What the coalition owns is compared before and after. What an update is really worth
is measured on rows that nobody has used. The moves themselves stand in `coalition`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import Final

import numpy as np

from engram.nn.data import PartData, parse_part, part_bytes
from engram.nn.loss import RowScores
from engram.primitives import keys
from engram.statemachine.loading import version_network
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.judging import frequency_table, null_growth_losses
from engram.statemachine.rounds.records import Round, RoundStatus, RoundTerms
from engram.statemachine.scoring import DataPart
from engram.statemachine.transactions.amend_model import AmendModel
from tests.support.attacks import crowd
from tests.support.coalition import MALLORY, Author, CoalitionRound, Holder, Line, burned_of, wealth
from tests.support.ledger import Ledger
from tests.support.rounds import (
    ACTORS,
    ALICE,
    BOB,
    COIN,
    OPENER,
    PURSE,
    SMALL_RULES,
    WITNESS,
    Play,
    SecretPart,
    Weights,
    constant_growth,
    forgetful,
    grow_terms,
    leaning_growth,
    make_part,
    network,
    shifted,
    train_terms,
)

PARTS: Final = 7
"""Six parts of the opener and one of the witness, each with a feature of its own that tells its labels."""
ROWS: Final = 24
FRESH_ROWS: Final = 600
MOST_NAMES: Final = 9
"""The most names of a coalition: so many have a purse. The draws of a round differ with their number."""
RULES: Final = replace(
    SMALL_RULES,
    min_parts=6,
    min_sealed=2,
    min_sealed_rows=48,
    min_witness_rows=24,
    min_old_rows=16,
    min_z_squared=9,
    max_block_transactions=24,
)
WRONG: Final = ((1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0))
"""Labels under which rows are poisoned: class j is called WRONG[…][j]."""


@dataclass(frozen=True)
class Moves:
    """One round of a coalition."""

    grows: bool
    opener: Holder
    witness: Holder
    authors: tuple[tuple[Author, int], ...]
    """What each brings, with a strength from 0 to 15."""
    crowd: int
    """Names that commit to nothing."""
    poison: int
    epochs: int
    shift: int
    """Nats that were added to all logits of the model before the round; only for growth."""
    stuffed: tuple[tuple[Phase, int], ...]
    """At the beginning of which phases somebody of the coalition fills how many blocks."""
    alone: bool
    """Whether Alice stays away."""


@dataclass(frozen=True)
class Outcome:
    """What became of a round."""

    play: Play
    round: Round
    gained: int
    """Sparks by which the coalition is richer."""
    worth: int
    """Sparks that the coalition's updates are worth on rows that nobody has used, at the round's prices."""
    forgotten: float
    """Share of fresh old rows that the model had right before the round and has wrong after it."""
    stuffing: int
    """Sparks that filled blocks have cost."""
    burned: int
    """Sparks of bonds that people who played by the rules have lost."""


def campaign(moves: Moves) -> Outcome:
    """Plays a round in which the coalition makes these moves."""
    names = crowd(len(moves.authors) + moves.crowd)
    play = _prepared(moves.grows, moves.shift if moves.grows else 0).fork()
    play.ledger.parent = sha256(play.ledger.parent + bytes([len(names)])).digest()
    _next_parts(play, moves)
    opener = BOB if moves.grows and moves.opener is not Holder.HONEST else OPENER
    mine = [MALLORY, *names, *([opener] if moves.opener is not Holder.HONEST else [])]
    if moves.witness not in (Holder.HONEST, Holder.ABSENT):
        mine.append(WITNESS)
    before, known = wealth(play, mine), _rows(play)
    played = CoalitionRound(play, _line(play, moves, opener, names))
    played.run()
    fair = [person for person in (OPENER, WITNESS) if person not in mine]
    return Outcome(
        play,
        play.round,
        wealth(play, mine) - before,
        worth_of(play, names, play.round.terms.bounty, _fresh(play.round.classes)),
        _forgotten(play, known),
        played.stuffing,
        sum(burned_of(play, person) for person in fair),
    )


def worth_of(play: Play, names: Sequence[keys.PrivateKey], pot: int, fresh: DataPart) -> int:
    """Nothing without a rung; else what the new version removes of the loss, less what others were paid."""
    if play.round.status != RoundStatus.DECIDED:
        return 0
    mine = {name.address.hex() for name in names}
    rungs = [event for event in play.named("bounty_paid") if event.subject == play.id]
    if not any(event.text[0] in mine for event in rungs):
        return 0
    others = sum(event.values[1] for event in rungs if event.text[0] not in mine)
    return max(0, int(pot * (1 - _true_share(play, fresh))) - others)


def _line(play: Play, moves: Moves, opener: keys.PrivateKey, names: Sequence[keys.PrivateKey]) -> Line:
    named = () if moves.witness is Holder.ABSENT else (NamedWitness(WITNESS.address, old_only=False),)
    authors = [(name, *author) for name, author in zip(names, moves.authors, strict=False)]
    return Line(
        terms_of(
            play.parts,
            grows=moves.grows,
            epochs=moves.epochs,
            witnesses=named,
            update_window=len(authors) + 2,
            score_window=(len(authors) + 1) * moves.epochs + 1,
        ),
        opener,
        moves.opener,
        moves.witness,
        _witness_part(moves),
        authors,
        lambda kind, strength, epoch: _weights(play, moves, kind, strength, epoch),
        None if moves.alone else lambda: _honest(play.inputs, moves),
        names[len(moves.authors) :],
        moves.stuffed,
    )


def terms_of(parts: Sequence[SecretPart], *, grows: bool, epochs: int, **changes: object) -> RoundTerms:
    """A round with one validation part and two sealed parts of the first six."""
    common: dict[str, object] = {"rows": ROWS, "sealed": 2, "epochs": epochs, "z_squared": 9, **changes}
    if grows:
        return grow_terms(parts[:6], old_rows=16, **common)
    return train_terms(parts[:6], **common)


def grow_honestly(play: Play, moves: Moves) -> None:
    """One more round in which only honest people take part, on fresh parts."""
    fresh_parts(play, classes=3)
    play.ok(play.open(terms_of(play.parts, grows=True, epochs=1)))
    play.reveal_validation()
    play.play_epoch((ALICE, _honest(play.inputs, moves)))
    play.decide(ALICE)


def _spared(rows: PartData) -> bytes:
    """The part with its rows of class 1 moved to where no growth of these tests takes them for its own."""
    features = rows.features.copy()
    features[rows.labels == 1, 0] = 180 + rows.features[rows.labels == 1, 0] // 16
    return part_bytes(features, rows.labels)


def fresh_parts(play: Play, *, classes: int, names: Sequence[int] = (0, 1, 2)) -> None:
    """New parts for the next round."""
    play.seed += 1
    play.parts = [
        make_part(index, parts=PARTS, classes=classes, rows=ROWS, seed=play.seed, names=names)
        for index in range(PARTS)
    ]


@cache
def _prepared(grows: bool, shift: int) -> Play:
    """A model before the round: founded and, for growth, trained until it froze; Bob is a member."""
    purses = dict.fromkeys((*ACTORS, MALLORY, *crowd(MOST_NAMES)), PURSE)
    play = Play(parts=PARTS, ledger=Ledger(purses, rules=RULES))
    fresh_parts(play, classes=2)
    play.ok(play.found(terms=terms_of(play.parts, grows=False, epochs=1)))
    if grows:
        play.reveal_validation()
        play.play_epoch((ALICE, shifted(network(play.inputs, 8), shift)))
        play.decide(ALICE)
        play.withdraw_all()
        assert play.model.frozen, "the first round freezes the model"
        members = AmendModel(play.model_id, (BOB.address,), (), play.model.lost_cap_ppm)
        play.ok(play.send(OPENER, members))
    else:
        play.reveal_validation()
        play.end()
    return play


def _next_parts(play: Play, moves: Moves) -> None:
    """What the opener holds in the round."""
    names = WRONG[moves.poison] if moves.opener is Holder.POISONS else (0, 1, 2)
    fresh_parts(play, classes=3 if moves.grows else 2, names=names if moves.grows else names_of_two(names))
    play.parts = [_held(part, moves.opener) for part in play.parts]


def names_of_two(names: Sequence[int]) -> tuple[int, ...]:
    """The labels of two classes only."""
    return (0, 1, 2) if names[0] == 0 else (1, 0, 2)


def _held(secret: SecretPart, holder: Holder) -> SecretPart:
    """The part as this holder seals it."""
    if holder is Holder.BREAKS:
        return replace(secret, raw=secret.raw[:-2] + b"\xff\x00")
    if holder is Holder.SPARES:
        return replace(secret, raw=_spared(parse_part(secret.raw, rows=ROWS, inputs=2 + PARTS, classes=3)))
    return secret


def _witness_part(moves: Moves) -> SecretPart:
    names: Sequence[int] = WRONG[moves.poison] if moves.witness is Holder.POISONS else (0, 1, 2)
    classes = 3 if moves.grows else 2
    names = names if moves.grows else names_of_two(names)
    part = make_part(6, parts=PARTS, classes=classes, rows=ROWS, seed=90, names=names)
    return _held(part, moves.witness)


def _honest(inputs: int, moves: Moves) -> Weights:
    """What improves the model; a new class's logit stands where the shift has put the others."""
    return leaning_growth(inputs, 8, 256 * moves.shift) if moves.grows else network(inputs, 8)


def _weights(play: Play, moves: Moves, kind: Author, strength: int, epoch: int) -> Weights:
    inputs = play.inputs
    if kind is Author.DIVIDES:
        strength = max(1, strength) * (epoch + 1) // moves.epochs
    if moves.grows:
        if kind is Author.FORGETS:
            return forgetful(inputs, 60 * strength + 256 * moves.shift)
        if kind is Author.CONSTANT:
            return constant_growth(inputs, 256 * (strength - 8 + moves.shift))
        if kind in (Author.SHIFTS, Author.UNITES):
            return leaning_growth(inputs, 8, 256 * (strength - 8 + moves.shift))
        gain = 8 * strength if kind is Author.SCALES else strength
        return leaning_growth(inputs, gain, 256 * moves.shift)
    part = _known_by_heart(play, moves, kind)
    if part is not None:
        return network(inputs, strength, feature=part)
    if kind is Author.COPIES:
        return network(inputs, 8, nudge=strength)
    if kind is Author.CONSTANT:
        return network(inputs, 0, nudge=strength)
    if kind is Author.SHIFTS:
        return shifted(network(inputs, 8), 5 * (strength - 8))
    return network(inputs, 8 * strength if kind is Author.SCALES else strength)


def _known_by_heart(play: Play, moves: Moves, kind: Author) -> int | None:
    """The feature that tells the labels of the part that such an author knows."""
    if kind is Author.LEARNS_BY_HEART:
        return play.leaking_feature()
    if kind is Author.KNOWS_OPENER and moves.opener is not Holder.HONEST:
        return 2 + play.parts.index(play.secret(play.round.sealed_drawn[0]))
    if kind is Author.KNOWS_WITNESS and moves.witness is not Holder.HONEST:
        return 2 + 6
    return None


@cache
def _fresh(classes: int) -> DataPart:
    raw = make_part(99, parts=PARTS, classes=classes, rows=FRESH_ROWS, seed=1_234).raw
    rows = parse_part(raw, rows=FRESH_ROWS, inputs=2 + PARTS, classes=classes)
    return DataPart(b"\x63" * 31 + bytes([classes]), lambda: rows)


def scored(play: Play, number: int, part: DataPart, classes: int) -> RowScores:
    """A version on fresh rows, for so many classes."""
    chain = version_network(play.ledger.state, play.ledger.ctx, play.version(number))
    return play.ledger.scorer.network_rows(chain, part, classes, play.model.loss_function)


def _rows(play: Play) -> tuple[int, RowScores]:
    """The number of the current version, and how it does on fresh rows of the classes that it knows."""
    head = play.model.head
    return head, scored(play, head, _fresh(2), 2)


def _forgotten(play: Play, known: tuple[int, RowScores]) -> float:
    number, before = known
    if play.model.head == number or not play.version(number).sealed_rows:
        return 0.0
    after = scored(play, play.model.head, _fresh(2), play.model.classes)
    return float(np.mean(before.right & ~after.right))


def _true_share(play: Play, part: DataPart) -> float:
    """What the new version loses on fresh rows, as a part of what the baseline of the round loses there."""
    round_ = play.round
    labels = part.load().labels
    counts = np.bincount(labels, minlength=round_.classes).tolist()
    own = float(np.sum(scored(play, round_.new_version, part, round_.classes).losses, dtype=np.int64))
    base = scored(play, round_.version, part, round_.old_classes).losses.astype(np.int64)
    null = float(np.sum(null_growth_losses(base, labels, round_.old_classes, counts)))
    if round_.terms.kind == 0:
        table = np.array(frequency_table(play.model.loss_function, counts), np.int64)
        null = min(null, float(np.sum(table[labels])))
    return own / null


__all__ = ["COIN", "ROWS", "Author", "Holder", "Moves", "Outcome", "campaign", "grow_honestly"]
