"""One round in which a coalition makes whatever moves are drawn for it, beside honest people.

The coalition may hold the opener, the witness, any number of authors' names, and somebody who fills blocks.
Alice is an honest author in every round, Carol cleans up after it, and both play by the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from engram.primitives import keys
from engram.primitives.errors import Invalid
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Candidate, Commit, RoundKind, RoundTerms
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.transfer import Transfer
from tests.support.joint import union_of
from tests.support.ledger import key
from tests.support.rounds import ALICE, CAROL, COIN, WITNESS, Play, SecretPart, Weights

MALLORY: Final = key(999)
"""Fills blocks for the coalition."""


class Holder(Enum):
    """What an opener or a witness does with the parts that they have sealed."""

    HONEST = "honest"
    FRIEND = "friend"
    """Plays by the rules, and tells the coalition's authors which rows the own parts hold."""
    POISONS = "poisons"
    SPARES = "brings only rows on which nothing shows"
    WITHHOLDS = "withholds"
    BREAKS = "breaks"
    """Opens bytes that are no part of the round."""
    ABSENT = "absent"
    """A witness who was not named, or seals nothing; an opener who reveals nothing at all."""


class Author(Enum):
    """What an author of the coalition brings."""

    IMPROVES = "improves"
    DIVIDES = "brings an improvement in slices, epoch by epoch"
    LEARNS_BY_HEART = "learns the public parts by heart"
    KNOWS_OPENER = "knows the opener's sealed parts by heart"
    KNOWS_WITNESS = "knows the witness's part by heart"
    COPIES = "copies the honest update with noise"
    LIES = "claims less loss than it has"
    COMMITS_ONLY = "never reveals"
    CONSTANT = "ignores its rows"
    SHIFTS = "adds a number to logits"
    SCALES = "multiplies logits"
    FORGETS = "takes old rows for new ones"
    UNITES = "adds a number to logits, and unites that with the honest growth in later epochs"


@dataclass(frozen=True)
class Line:
    """Who takes part in one round, and with what."""

    terms: RoundTerms
    opener: keys.PrivateKey
    opener_does: Holder
    witness_does: Holder
    witness_part: SecretPart
    authors: Sequence[tuple[keys.PrivateKey, Author, int]]
    """Names of the coalition, what each brings, and a strength from 0 to 15."""
    weights: Callable[[Author, int, int], Weights]
    """The network of a kind, a strength and an epoch; asked for when the draw is known."""
    honest: Callable[[], Weights] | None
    """What Alice brings in the first epoch; None if she stays away."""
    crowd: Sequence[keys.PrivateKey] = ()
    """Names that commit to nothing."""
    stuffed: Sequence[tuple[Phase, int]] = ()
    """At the beginning of which phases Mallory fills how many blocks."""
    meanwhile: Callable[[], None] | None = None
    """What somebody does once the round is open."""


class CoalitionRound:
    """The round itself. What the chain refuses is left out: then the move is not possible."""

    def __init__(self, play: Play, line: Line) -> None:
        self.play, self.line = play, line
        self.stuffing = 0
        """Sparks that filled blocks have cost."""

    def run(self) -> None:
        self.play.ok(self.play.open(self.line.terms, self.line.opener))
        if self.line.meanwhile is not None:
            self.line.meanwhile()
        self._seal()
        self._reveal()
        for epoch in range(self.line.terms.epochs):
            self._epoch(epoch)
        self._audit()
        self._score()
        self._end()

    def _arrive(self, phase: Phase, epoch: int = 0) -> None:
        """The first block of a phase, and before anybody else finds room the blocks that Mallory fills."""
        play = self.play
        play.at(phase, epoch)
        for blocks in (count for stuffed, count in self.line.stuffed if stuffed is phase):
            tick = play.tick
            room = play.ledger.rules.max_block_transactions // 2 + 1
            for _ in range(blocks):
                filling = [
                    play.ledger.pay(MALLORY, Transfer(CAROL.address, 1), max_fee=COIN, after=number)
                    for number in range(room)
                ]
                self.stuffing += sum(receipt.fee for receipt in play.ledger.block(*filling).receipts)
            assert play.tick == tick, "no time passes while blocks are full"

    def _try(self, sender: keys.PrivateKey, payload: TxPayload) -> bool:
        try:
            return self.play.send(sender, payload).code == ""
        except Invalid:
            return False

    def _seal(self) -> None:
        if self.line.witness_does is not Holder.ABSENT:
            self._arrive(Phase.OPEN)
            self.play.seal(WITNESS, self.line.witness_part)

    def _reveal(self) -> None:
        self._arrive(Phase.REVEAL)
        if self.line.opener_does is not Holder.ABSENT and self.play.round.status == 0:
            for secret in self.play.drawn_parts()[0]:
                self._try(self.line.opener, self.play.part_payload(secret))

    @property
    def _runs(self) -> bool:
        """Whether the opener has revealed what authors need."""
        round_ = self.play.round
        return len(round_.validation_opened) == round_.terms.validation and round_.status == 0

    def _epoch(self, epoch: int) -> None:
        play = self.play
        if not self._runs:
            return
        wanted = [
            (name, self._brought(name, kind, strength, epoch), kind)
            for name, kind, strength in self.line.authors
        ]
        if epoch == 0 and self.line.honest is not None:
            wanted.append((ALICE, self.line.honest(), Author.IMPROVES))
        self._arrive(Phase.COMMIT, epoch)
        claims = []
        for name, weights, kind in wanted:
            claim = play.claim(name, weights, epoch)
            if kind is Author.LIES:
                claim = replace(claim, loss=claim.loss * 9 // 10)
            claims.append(claim)
        commits: list[tuple[keys.PrivateKey, TxPayload]] = [
            (name, play.commit_payload(claim)) for (name, _, _), claim in zip(wanted, claims, strict=True)
        ]
        commits += [(name, CommitUpdate(play.id, epoch, name.public_key)) for name in self.line.crowd]
        play.send_all(commits)
        self._arrive(Phase.UPDATE, epoch)
        for (name, weights, kind), claim in zip(wanted, claims, strict=True):
            if kind is not Author.COMMITS_ONLY:
                self._try(name, play.update_payload(claim, weights))

    def _brought(self, name: keys.PrivateKey, kind: Author, strength: int, epoch: int) -> Weights:
        play = self.play
        if kind is Author.UNITES and epoch and play.round.terms.kind == RoundKind.GROW:
            found = [
                play.ledger.state.find(Candidate, play.id, b"\0", half.address) for half in (name, ALICE)
            ]
            if None not in found:
                return union_of(play, name, ALICE)
        return self.line.weights(kind, strength, epoch)

    def _audit(self) -> None:
        play = self.play
        if not (self._runs and play.round.has_candidates):
            return
        if play.round.witnesses and self.line.witness_does is not Holder.WITHHOLDS:
            self._arrive(Phase.AUDIT_WITNESSES)
            secret, _ = play.secrets[play.round.witnesses[0].commitment]
            self._try(WITNESS, play.sealed_payload(secret))
        self._arrive(Phase.AUDIT)
        if self.line.opener_does is not Holder.WITHHOLDS:
            for commitment in play.round.sealed_drawn:
                self._try(self.line.opener, play.sealed_payload(play.secret(commitment)))

    def _score(self) -> None:
        play = self.play
        if not play.round.unseen or play.tick > play.span(Phase.SCORE).last:
            return
        self._arrive(Phase.SCORE)
        for author in (ALICE, *(name for name, _, _ in self.line.authors)):
            for epoch in range(self.line.terms.epochs):
                if play.ledger.state.find(Candidate, play.id, bytes([epoch]), author.address):
                    self._try(author, play.score_payload(author, epoch))

    def _end(self) -> None:
        play = self.play
        if play.tick <= play.span(Phase.CLOSED).first:
            play.at(Phase.CLOSED)
        self._try(CAROL, AdvanceRound(play.id))
        everybody = (ALICE, *(name for name, _, _ in self.line.authors), *self.line.crowd)
        for author in everybody:
            for epoch in range(self.line.terms.epochs):
                place = (play.id, bytes([epoch]), author.address)
                if play.ledger.state.find(Candidate, *place) or play.ledger.state.find(Commit, *place):
                    play.withdraw(author, epoch, sender=CAROL)


def wealth(play: Play, owners: Sequence[keys.PrivateKey]) -> int:
    """Balances and rewards of these people, in sparks."""
    return sum(play.account(owner).balance + play.maturing(owner) for owner in owners)


def burned_of(play: Play, owner: keys.PrivateKey) -> int:
    """Sparks of bonds that this person has lost in the last round."""
    burned = [event for event in play.named("bond_burned") if event.subject == play.id]
    return sum(event.values[0] for event in burned if event.text[0] == owner.address.hex())
