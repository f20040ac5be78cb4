"""Rounds in which a coalition makes whatever moves a search draws for it, beside honest people.

The coalition may hold opener, witness and any number of names of authors. Alice is an honest author of every
round, and Carol cleans up after it. What the coalition owns is compared before and after. What an update is
really worth is measured on rows that nobody has used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from hashlib import sha256
from typing import Final

import numpy as np

from engram.nn.data import parse_part
from engram.primitives import keys
from engram.primitives.errors import Invalid
from engram.statemachine.loading import version_network
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.judging import frequency_table, null_growth_losses
from engram.statemachine.rounds.records import Candidate, Commit, Round, RoundTerms
from engram.statemachine.scoring import DataPart, RowScores
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.amend_model import AmendModel
from engram.statemachine.transactions.commit_update import CommitUpdate
from tests.support.attacks import crowd
from tests.support.ledger import Ledger
from tests.support.rounds import (
    ACTORS,
    ALICE,
    BOB,
    CAROL,
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
    growth,
    make_part,
    network,
    train_terms,
)

PARTS: Final = 7
"""Six parts of the opener and one of the witness, each with a feature of its own that tells its labels."""
MOST_NAMES: Final = 9
"""The most names of a coalition: so many have a purse."""
ROWS: Final = 24
FRESH_ROWS: Final = 600
RULES: Final = replace(
    SMALL_RULES,
    min_parts=6,
    min_sealed=2,
    min_sealed_rows=48,
    min_witness_rows=24,
    min_old_rows=16,
    min_z_squared=9,
)
WRONG: Final = ((1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0))
"""Labels under which rows are poisoned: class j is called WRONG[…][j]."""


class Holder(Enum):
    """What an opener or a witness does with the parts that they have sealed."""

    HONEST = "honest"
    FRIEND = "friend"
    """Plays by the rules, and tells the coalition's authors which rows the own parts hold."""
    POISONS = "poisons"
    WITHHOLDS = "withholds"
    BREAKS = "breaks"
    """Opens bytes that are no part of the round."""
    ABSENT = "absent"
    """A witness who was not named; an opener who reveals nothing at all."""


class Author(Enum):
    """What an author of the coalition brings."""

    IMPROVES = "improves"
    LEARNS_BY_HEART = "learns the public parts by heart"
    KNOWS_OPENER = "knows the opener's sealed parts by heart"
    KNOWS_WITNESS = "knows the witness's part by heart"
    COPIES = "copies the honest update with noise"
    LIES = "claims less loss than it has"
    COMMITS_ONLY = "never reveals"
    CONSTANT = "ignores its rows"
    FORGETS = "takes old rows for new ones"


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


@dataclass(frozen=True)
class Outcome:
    """What became of a round."""

    play: Play
    round: Round
    gained: int
    """Sparks by which the coalition is richer."""
    worth: int
    """Sparks that the coalition's winning update is worth on rows that nobody has used."""
    forgotten: float
    """Share of fresh old rows that the model had right before the round and has wrong after it."""


def campaign(moves: Moves) -> Outcome:
    """Plays a round in which the coalition makes these moves."""
    names = crowd(len(moves.authors) + moves.crowd)
    play = _prepared(moves, len(names))
    opener = BOB if moves.grows and moves.opener is not Holder.HONEST else OPENER
    mine = [*names, *([opener] if moves.opener is not Holder.HONEST else [])]
    mine += [WITNESS] if moves.witness not in (Holder.HONEST, Holder.ABSENT) else []
    before, known = _wealth(play, mine), _rows(play)
    _CampaignRound(play, moves, opener, names).run()
    round_ = play.round
    worth = 0
    if round_.winner in [name.address for name in names]:
        worth = int(round_.terms.bounty * max(0.0, 1 - _true_share(play)))
    gained = _wealth(play, mine) - before
    return Outcome(play, round_, gained, worth, _forgotten(play, known))


def terms_of(parts: Sequence[SecretPart], *, grows: bool, epochs: int, **changes: object) -> RoundTerms:
    """A round with one validation part and two sealed parts of the first six."""
    common: dict[str, object] = {"rows": ROWS, "sealed": 2, "epochs": epochs, "z_squared": 9, **changes}
    if grows:
        return grow_terms(parts[:6], old_rows=16, **common)
    return train_terms(parts[:6], **common)


def grow_honestly(play: Play) -> None:
    """One more round in which only honest people take part, on fresh parts."""
    fresh_parts(play, classes=3)
    play.ok(play.open(terms_of(play.parts, grows=True, epochs=1)))
    play.reveal_validation()
    play.play_epoch((ALICE, growth(play.inputs, 8)))
    play.decide(ALICE)


def fresh_parts(play: Play, *, classes: int, names: Sequence[int] = (0, 1, 2)) -> None:
    """New parts for the next round."""
    play.seed += 1
    play.parts = [
        make_part(index, parts=PARTS, classes=classes, rows=ROWS, seed=play.seed, names=names)
        for index in range(PARTS)
    ]


@cache
def _founded(*, grows: bool) -> Play:
    """A model before the round: founded and, for growth, trained until it froze; Bob is a member."""
    play = Play(parts=PARTS, ledger=Ledger(dict.fromkeys((*ACTORS, *crowd(MOST_NAMES)), PURSE), rules=RULES))
    fresh_parts(play, classes=2)
    play.ok(play.found(terms=terms_of(play.parts, grows=False, epochs=1)))
    play.reveal_validation()
    if grows:
        play.play_epoch((ALICE, network(play.inputs, 8)))
        play.decide(ALICE)
        play.withdraw_all()
        assert play.model.frozen, "the first round freezes the model"
        members = AmendModel(play.model_id, (BOB.address,), (), play.model.lost_cap_ppm)
        play.ok(play.send(OPENER, members))
    else:
        play.end()
    return play


def _prepared(moves: Moves, coalition: int) -> Play:
    """The model and the parts of the round. Its draws differ with the number of the coalition's names."""
    play = _founded(grows=moves.grows).fork()
    play.ledger.parent = sha256(play.ledger.parent + bytes([coalition])).digest()
    names = WRONG[moves.poison] if moves.opener is Holder.POISONS else (0, 1, 2)
    fresh_parts(play, classes=3 if moves.grows else 2, names=names if moves.grows else names_of_two(names))
    if moves.opener is Holder.BREAKS:
        play.parts = [replace(part, raw=_broken(part.raw)) for part in play.parts]
    return play


def names_of_two(names: Sequence[int]) -> tuple[int, ...]:
    """The labels of two classes only."""
    return (0, 1, 2) if names[0] == 0 else (1, 0, 2)


def _broken(raw: bytes) -> bytes:
    """The bytes of a part with a label that no round has."""
    return raw[:-2] + b"\xff\x00"


class _CampaignRound:
    """The round itself. What the chain refuses is left out: then the move is not possible."""

    def __init__(
        self, play: Play, moves: Moves, opener: keys.PrivateKey, names: Sequence[keys.PrivateKey]
    ) -> None:
        self.play, self.moves, self.opener = play, moves, opener
        self.authors = list(zip(names, moves.authors, strict=False))
        self.crowd = names[len(moves.authors) :]

    def run(self) -> None:
        play, moves = self.play, self.moves
        named = () if moves.witness is Holder.ABSENT else (NamedWitness(WITNESS.address, old_only=False),)
        terms = terms_of(play.parts, grows=moves.grows, epochs=moves.epochs, witnesses=named)
        play.ok(play.open(terms, self.opener))
        self._seal()
        self._reveal()
        for epoch in range(moves.epochs):
            self._epoch(epoch)
        self._audit()
        self._score()
        self._end()

    def _try(self, sender: keys.PrivateKey, payload: TxPayload) -> bool:
        try:
            return self.play.send(sender, payload).code == ""
        except Invalid:
            return False

    def _seal(self) -> None:
        play, kind = self.play, self.moves.witness
        if kind is Holder.ABSENT:
            return
        play.at(Phase.OPEN)
        classes = 3 if self.moves.grows else 2
        wrong = WRONG[self.moves.poison] if self.moves.grows else names_of_two(WRONG[self.moves.poison])
        names = wrong if kind is Holder.POISONS else (0, 1, 2)
        secret = make_part(6, parts=PARTS, classes=classes, rows=ROWS, seed=90, names=names)
        if kind is Holder.BREAKS:
            secret = replace(secret, raw=_broken(secret.raw))
        play.seal(WITNESS, secret)

    def _reveal(self) -> None:
        play = self.play
        play.at(Phase.REVEAL)
        if self.moves.opener is not Holder.ABSENT:
            for secret in play.drawn_parts()[0]:
                self._try(self.opener, play.part_payload(secret))

    @property
    def _runs(self) -> bool:
        """Whether the opener has revealed what authors need."""
        round_ = self.play.round
        return len(round_.validation_opened) == round_.terms.validation and round_.status == 0

    def _epoch(self, epoch: int) -> None:
        play = self.play
        if not self._runs:
            return
        updates = [(name, *author) for name, author in self.authors]
        wanted = [(name, self._weights(kind, strength), kind) for name, kind, strength in updates]
        if epoch == 0:
            wanted.append((ALICE, self._honest(8), Author.IMPROVES))
        play.at(Phase.COMMIT, epoch)
        claims = []
        for name, weights, kind in wanted:
            claim = play.claim(name, weights, epoch)
            if kind is Author.LIES:
                claim = replace(claim, loss=claim.loss * 9 // 10)
            claims.append(claim)
        commits: list[tuple[keys.PrivateKey, TxPayload]] = [
            (name, play.commit_payload(claim)) for (name, _, _), claim in zip(wanted, claims, strict=True)
        ]
        commits += [(name, CommitUpdate(play.id, epoch, name.public_key)) for name in self.crowd]
        play.send_all(commits)
        play.at(Phase.UPDATE, epoch)
        for (name, weights, kind), claim in zip(wanted, claims, strict=True):
            if kind is not Author.COMMITS_ONLY:
                self._try(name, play.update_payload(claim, weights))

    def _honest(self, gain: int) -> Weights:
        return growth(self.play.inputs, gain) if self.moves.grows else network(self.play.inputs, gain)

    def _weights(self, kind: Author, strength: int) -> Weights:
        inputs, round_ = self.play.inputs, self.play.round
        if kind is Author.FORGETS and self.moves.grows:
            return forgetful(inputs, 60 * strength)
        if kind is Author.CONSTANT and self.moves.grows:
            return constant_growth(inputs, 256 * (strength - 8))
        if self.moves.grows:
            return growth(inputs, strength)
        if kind is Author.LEARNS_BY_HEART:
            return network(inputs, strength, feature=self.play.leaking_feature())
        if kind is Author.KNOWS_OPENER and self.moves.opener is not Holder.HONEST:
            part = self.play.secret(round_.sealed_drawn[0])
            return network(inputs, strength, feature=2 + self.play.parts.index(part))
        if kind is Author.KNOWS_WITNESS and self.moves.witness is not Holder.HONEST:
            return network(inputs, strength, feature=2 + 6)
        if kind is Author.COPIES:
            return network(inputs, 8, nudge=strength)
        if kind is Author.CONSTANT:
            return network(inputs, 0, nudge=strength)
        return network(inputs, strength)

    def _audit(self) -> None:
        play = self.play
        if not (self._runs and play.round.has_candidates):
            return
        if play.round.witnesses and self.moves.witness is not Holder.WITHHOLDS:
            play.at(Phase.AUDIT_WITNESSES)
            secret, _ = play.secrets[play.round.witnesses[0].commitment]
            self._try(WITNESS, play.sealed_payload(secret))
        play.at(Phase.AUDIT)
        if self.moves.opener is not Holder.WITHHOLDS:
            for commitment in play.round.sealed_drawn:
                self._try(self.opener, play.sealed_payload(play.secret(commitment)))

    def _score(self) -> None:
        play = self.play
        if not play.round.unseen or play.tick > play.span(Phase.SCORE).last:
            return
        play.at(Phase.SCORE)
        for author in (ALICE, *(name for name, _ in self.authors)):
            for epoch in range(self.moves.epochs):
                if play.ledger.state.find(Candidate, play.id, bytes([epoch]), author.address):
                    self._try(author, play.score_payload(author, epoch))

    def _end(self) -> None:
        play = self.play
        if play.tick <= play.span(Phase.CLOSED).first:
            play.at(Phase.CLOSED)
        self._try(CAROL, AdvanceRound(play.id))
        everybody = (ALICE, *(name for name, _ in self.authors), *self.crowd)
        for author in everybody:
            for epoch in range(self.moves.epochs):
                key = (play.id, bytes([epoch]), author.address)
                if play.ledger.state.find(Candidate, *key) or play.ledger.state.find(Commit, *key):
                    play.withdraw(author, epoch, sender=CAROL)


def _wealth(play: Play, owners: Sequence[keys.PrivateKey]) -> int:
    return sum(play.account(owner).balance + play.maturing(owner) for owner in owners)


def _fresh(classes: int) -> DataPart:
    raw = make_part(99, parts=PARTS, classes=classes, rows=FRESH_ROWS, seed=1_234).raw
    rows = parse_part(raw, rows=FRESH_ROWS, inputs=2 + PARTS, classes=classes)
    return DataPart(b"\x63" * 31 + bytes([classes]), lambda: rows)


def _scored(play: Play, number: int, part: DataPart, classes: int) -> RowScores:
    """A version on fresh rows, for so many classes."""
    chain = version_network(play.ledger.state, play.ledger.ctx, play.version(number))
    return play.ledger.scorer.network_rows(chain, part, classes, play.model.loss_function)


def _rows(play: Play) -> tuple[int, RowScores]:
    """The number of the current version, and how it does on fresh rows of the classes that it knows."""
    head = play.model.head
    return head, _scored(play, head, _fresh(2), 2)


def _forgotten(play: Play, known: tuple[int, RowScores]) -> float:
    number, before = known
    if play.model.head == number or not play.version(number).sealed_rows:
        return 0.0
    after = _scored(play, play.model.head, _fresh(2), play.model.classes)
    return float(np.mean(before.right & ~after.right))


def _true_share(play: Play) -> float:
    """What the new version loses on fresh rows, as a part of what the baseline of the round loses there."""
    round_ = play.round
    part = _fresh(round_.classes)
    labels = part.load().labels
    counts = np.bincount(labels, minlength=round_.classes).tolist()
    own = float(np.sum(_scored(play, round_.new_version, part, round_.classes).losses, dtype=np.int64))
    base = _scored(play, round_.version, part, round_.old_classes).losses.astype(np.int64)
    null = float(np.sum(null_growth_losses(base, labels, round_.old_classes, counts)))
    if round_.terms.kind == 0:
        table = np.array(frequency_table(play.model.loss_function, counts), np.int64)
        null = min(null, float(np.sum(table[labels])))
    return own / null


__all__ = ["COIN", "Author", "Holder", "Moves", "Outcome", "campaign", "grow_honestly"]
