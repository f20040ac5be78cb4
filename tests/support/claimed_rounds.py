"""Rounds on a model whose authors claim the scores of their updates, played on a `Ledger`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from engram.nn.loss import RowScores
from engram.primitives import keys
from engram.primitives.types import Address, Hash
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.loading import open_part
from engram.statemachine.receipt import Receipt
from engram.statemachine.records import Part, RetentionPart
from engram.statemachine.rounds.audit import audit_seed, first_tick_to_confirm
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.claims import (
    ClaimedChunk,
    audited_chunks,
    claim_bytes,
    claimed_parts,
    head_of,
    name_of,
    prove_chunk,
    rows_of,
    subject_of,
)
from engram.statemachine.rounds.records import Candidate, OpenedPart, RoundTerms
from engram.statemachine.rounds.update import UpdateClaim
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer
from engram.statemachine.transactions.confirm_update import ConfirmUpdate
from engram.statemachine.transactions.dispute_claim import DisputeClaim
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_update import ScoreUpdate
from tests.support import joint
from tests.support.ledger import Ledger
from tests.support.rounds import (
    ACTORS,
    CAROL,
    COIN,
    PURSE,
    SMALL_RULES,
    Play,
    Weights,
    grow_terms,
    make_part,
    train_terms,
)

CLAIMS = ClaimTerms(window=4, audited=2)
EVERY_CHUNK = ClaimTerms(window=4, audited=64)
ROWS = 24
"""Rows of a part: three chunks."""

Lie = Callable[[RowScores, RowScores], tuple[RowScores, RowScores]]
"""What an author claims instead of the true scores of version t and of the update on a part."""


def honest(base: RowScores, own: RowScores) -> tuple[RowScores, RowScores]:
    return base, own


def better(row: int) -> Lie:
    """Claims that the update loses nothing on this row, and has it right."""

    def lie(base: RowScores, own: RowScores) -> tuple[RowScores, RowScores]:
        losses, right = own.losses.copy(), own.right.copy()
        losses[row], right[row] = 0, True
        return base, RowScores(losses, right)

    return lie


def worse_before(row: int) -> Lie:
    """Claims that version t loses a little more on this row than it does."""

    def lie(base: RowScores, own: RowScores) -> tuple[RowScores, RowScores]:
        losses = base.losses.copy()
        losses[row] += 1
        return RowScores(losses, base.right), own

    return lie


def losing_nothing(base: RowScores, own: RowScores) -> tuple[RowScores, RowScores]:
    """Claims that version t loses nothing on any row."""
    return RowScores(np.zeros_like(base.losses), base.right), own


class ClaimPlay(Play):
    """A round whose authors claim scores; `lies` says what they claim, by the number of the claimed part."""

    def __init__(
        self,
        *,
        claims: ClaimTerms = CLAIMS,
        rows: int = ROWS,
        classes: int = 2,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(classes=classes, ledger=ledger)
        self.claims = claims
        self.parts = [
            make_part(index, parts=len(self.parts), classes=classes, rows=rows)
            for index in range(len(self.parts))
        ]
        self.lies: dict[tuple[Address, int], Lie] = {}
        self.weights: dict[tuple[Address, int], Weights] = {}
        self.claimed: dict[tuple[Address, int, int], bytes] = {}
        """The claimed rows by author, epoch and number of the part."""

    def fork(self) -> ClaimPlay:
        other = super().fork()
        assert isinstance(other, ClaimPlay), "a copy has the type of what it is a copy of"
        other.lies, other.weights, other.claimed = dict(self.lies), dict(self.weights), dict(self.claimed)
        return other

    def terms(self, **changes: object) -> RoundTerms:
        """Terms under which claims of both kinds fit."""
        given = {"rows": ROWS, "score_window": 16, "author_bond": 40 * COIN, **changes}
        return train_terms(self.parts, **given)

    def found(
        self, weights: Weights | None = None, terms: RoundTerms | None = None, **changes: object
    ) -> Receipt:
        return super().found(weights, terms or self.terms(), **{"claims": self.claims, **changes})

    def rows_claimed(
        self, author: keys.PrivateKey, epoch: int, parts: Sequence[tuple[int, OpenedPart | RetentionPart]]
    ) -> bytes:
        """What the author claims of the parts with these numbers; true where `lies` has nothing."""
        base, update = self.networks(self.weights[author.address, epoch], author)
        state, ctx, kind, found = self.ledger.state, self.ledger.ctx, self.model.loss_function, b""
        for number, opened in parts:
            part = open_part(state, ctx, state.get(Part, name_of(opened)))
            true = (
                Scorer().network_rows(base, part, self.round.old_classes, kind),
                Scorer().network_rows(update, part, self.round.classes, kind),
            )
            raw = claim_bytes(*self.lies.get((author.address, number), honest)(*true))
            self.claimed[author.address, epoch, number] = raw
            found += raw
        return found

    def claim(
        self,
        author: keys.PrivateKey,
        weights: Weights,
        epoch: int = 0,
        *,
        loss: int | None = None,
        base: Hash | None = None,
        parameters: Hash | None = None,
    ) -> UpdateClaim:
        self.weights[author.address, epoch] = weights
        if loss is None:
            raw = self.rows_claimed(author, epoch, list(enumerate(self.round.validation_opened)))
            loss = int(np.sum(np.frombuffer(raw, "<u4")[1::2] & 0x7FFFFFFF, dtype=np.int64))
        return super().claim(author, weights, epoch, loss=loss, base=base, parameters=parameters)

    def update_payload(self, claim: UpdateClaim, weights: Weights) -> RevealUpdate:
        numbers = range(len(self.round.validation_opened))
        raw = b"".join(self.claimed[claim.author, claim.epoch, number] for number in numbers)
        head = head_of(self.round.validation_opened)
        return replace(super().update_payload(claim, weights), claimed=head + raw)

    def score_payload(self, author: keys.PrivateKey, epoch: int = 0) -> ScoreUpdate:
        payload, first = super().score_payload(author, epoch), len(self.round.validation_opened)
        parts = claimed_parts(self.round, self.model)
        named = [(first + number, parts[first + number]) for number in payload.parts]
        head = head_of([part for _, part in named])
        return replace(payload, claimed=head + self.rows_claimed(author, epoch, named))

    def chunk(self, author: keys.PrivateKey, part: int, number: int, epoch: int = 0) -> ClaimedChunk:
        """A chunk of what the author has claimed, with its proof."""
        rows = rows_of(self.round, claimed_parts(self.round, self.model)[part])
        return prove_chunk(part, rows, self.claimed[author.address, epoch, part], number)

    def dispute_payload(
        self, author: keys.PrivateKey, part: int, number: int, epoch: int = 0
    ) -> DisputeClaim:
        named = claimed_parts(self.round, self.model)[part]
        subject = subject_of(self.round, self.candidate(author, epoch), named)
        return DisputeClaim(self.id, epoch, author.address, subject, self.chunk(author, part, number, epoch))

    def drawn(self, author: keys.PrivateKey, epoch: int = 0) -> tuple[tuple[int, int], ...]:
        """(part, chunk) of the audit of a claim."""
        seed = audit_seed(self.ledger.state, self.ledger.ctx, self.candidate(author, epoch))
        return audited_chunks(self.round, self.model, seed)

    def confirm_payload(self, author: keys.PrivateKey, epoch: int = 0) -> ConfirmUpdate:
        chunks = tuple(self.chunk(author, part, number, epoch) for part, number in self.drawn(author, epoch))
        return ConfirmUpdate(self.id, epoch, author.address, chunks)

    def pass_window(self, author: keys.PrivateKey, epoch: int = 0) -> None:
        """Empty blocks, until the claim can be confirmed in the next one."""
        claim, rules = self.candidate(author, epoch).claim, self.ledger.rules
        assert claim is not None
        self.ledger.skip_to_tick(first_tick_to_confirm(rules, self.claims.window, claim.last))

    def confirm(
        self, author: keys.PrivateKey, epoch: int = 0, sender: keys.PrivateKey | None = None
    ) -> Receipt:
        """The claim is confirmed by its author or by `sender`, in the first block that may hold this."""
        self.pass_window(author, epoch)
        return self.ok(self.send(sender or author, self.confirm_payload(author, epoch)))

    def score_all(self, *authors: keys.PrivateKey) -> None:
        super().score_all(*authors)
        for epoch in range(self.round.terms.epochs):
            for actor in authors or ACTORS:
                key = (self.id, bytes([epoch]), actor.address)
                if self.ledger.state.find(Candidate, *key) is not None:
                    self.confirm(actor, epoch)


def play_of(rules: Rules = SMALL_RULES, *, claims: ClaimTerms = CLAIMS, rows: int = ROWS) -> ClaimPlay:
    """A play under these rules."""
    ledger = Ledger(dict.fromkeys(ACTORS, PURSE), rules=rules)
    return ClaimPlay(claims=claims, rows=rows, ledger=ledger)


def united(play: ClaimPlay | None = None) -> ClaimPlay:
    """A growth of Alice, one of Bob, and the union of both, which Carol sends; scores are due."""
    play = play or ClaimPlay(rows=9)
    given = {"score_window": 24, "author_bond": 40 * COIN, "rows": 9}
    play.freeze(terms=play.terms(rows=9), **joint.FREE)
    play.ok(play.open(grow_terms(play.parts, epochs=2, **given)))
    play.reveal_validation()
    joint.both_alone(play)
    play.ok(joint.send_union(play, CAROL, joint.union_of(play)))
    play.audit()
    play.at(Phase.SCORE)
    return play
