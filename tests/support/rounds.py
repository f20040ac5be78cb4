"""Rounds played on a `Ledger`, one block a call; their matter stands in `round_matter`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import pytest

from engram.primitives import keys
from engram.primitives.errors import Invalid
from engram.primitives.types import Hash
from engram.statemachine.content import Inline
from engram.statemachine.receipt import Receipt
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import is_scored, parts_to_score
from engram.statemachine.rounds.records import (
    Candidate,
    Commit,
    Round,
    RoundTerms,
)
from engram.statemachine.rounds.update import UpdateClaim, commit_digest
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_update import ScoreUpdate
from engram.statemachine.transactions.seal_part import SealPart
from engram.statemachine.transactions.withdraw import Withdraw
from tests.support.conservation import check_conservation
from tests.support.round_matter import (
    ACTORS,
    ALICE,
    BOB,
    CAROL,
    COIN,
    NONCE,
    OPENER,
    PURSE,
    SALT,
    SMALL_RULES,
    WITNESS,
    SecretPart,
    Weights,
    block,
    column,
    constant_growth,
    distinct,
    forgetful,
    founding,
    grow_terms,
    growth,
    leaning_growth,
    make_part,
    more_of_class_2,
    network,
    shifted,
    source,
    train_terms,
)
from tests.support.round_view import RoundView

__all__ = [
    "ACTORS",
    "ALICE",
    "BOB",
    "CAROL",
    "COIN",
    "NONCE",
    "OPENER",
    "PURSE",
    "SALT",
    "SMALL_RULES",
    "WITNESS",
    "Play",
    "SecretPart",
    "Weights",
    "block",
    "column",
    "constant_growth",
    "distinct",
    "forgetful",
    "founding",
    "grow_terms",
    "growth",
    "leaning_growth",
    "make_part",
    "more_of_class_2",
    "network",
    "shifted",
    "source",
    "train_terms",
]


class Play(RoundView):
    """One round of one model on a ledger, whose actors act when they are told to."""

    def fork(self) -> Play:
        """The same history once more, which goes on apart from this one."""
        other = copy(self)
        other.ledger = self.ledger.fork()
        other.parts, other.events, other.charged = list(self.parts), list(self.events), list(self.charged)
        other.fees, other.secrets = dict(self.fees), dict(self.secrets)
        return other

    def send(self, sender: keys.PrivateKey, payload: TxPayload) -> Receipt:
        """A block with one transaction; the law of conservation holds after it."""
        return self.send_all([(sender, payload)])[0]

    def found(
        self, weights: Weights | None = None, terms: RoundTerms | None = None, **changes: object
    ) -> Receipt:
        """Founds a model with its first round."""
        weights = weights or network(self.inputs, 0)
        payload = OpenRound(terms or train_terms(self.parts), founding=founding(weights, **changes))
        return self._opened(self.send(OPENER, payload))

    def freeze(self, **model: Any) -> None:
        """Founds a model of two classes and trains it in one round until it is frozen; new parts of three."""
        self.ok(self.found(**model))
        self.reveal_validation()
        self.play_epoch((ALICE, network(self.inputs, 8)))
        self.decide()
        self.withdraw_all()
        assert self.model.frozen, "the network of the founding round is below the threshold"
        self.new_parts()

    def new_parts(self, *, classes: int = 3, rows: int = 9) -> None:
        """Fresh parts for the next round."""
        self.seed += 1
        count = len(self.parts)
        self.parts = [
            make_part(index, parts=count, classes=classes, rows=rows, seed=self.seed)
            for index in range(count)
        ]

    def open_payload(self, terms: RoundTerms | None = None) -> OpenRound:
        """A round on the model of the last one."""
        return OpenRound.on(self.model, terms or train_terms(self.parts))

    def open(self, terms: RoundTerms | None = None, opener: keys.PrivateKey = OPENER) -> Receipt:
        return self._opened(self.send(opener, self.open_payload(terms)))

    def _opened(self, receipt: Receipt) -> Receipt:
        for event in receipt.events:
            if event.name == "round_opened":
                self.id = event.subject
                self.model_id = bytes.fromhex(event.text[0])
        return receipt

    def at(self, phase: Phase, epoch: int = 0) -> None:
        """Empty blocks, until the next one is the first of a phase."""
        self.ledger.skip_to_tick(self.span(phase, epoch).first)

    def part_payload(self, secret: SecretPart, **changes: object) -> RevealPart:
        payload = RevealPart(self.id, NONCE, secret.commitment, secret.salt, Inline(secret.raw))
        return replace(payload, **changes)  # type: ignore[arg-type]  # a test's own fields

    def reveal_validation(self) -> None:
        """The opener reveals the k parts of the draw."""
        self.at(Phase.REVEAL)
        for secret in self.drawn_parts()[0]:
            self.ok(self.send(OPENER, self.part_payload(secret)))

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
        """A claim, honest where nothing else is given."""
        return UpdateClaim(
            chain_id=self.ledger.ctx.chain_id,
            author=author.address,
            round=self.id,
            epoch=epoch,
            base=base or self.round.base,
            parameters=parameters or self.root(weights, author),
            loss=self.loss_of(weights) if loss is None else loss,
            salt=SALT,
        )

    def commit_payload(self, claim: UpdateClaim) -> CommitUpdate:
        return CommitUpdate(claim.round, claim.epoch, commit_digest(claim))

    def update_payload(self, claim: UpdateClaim, weights: Weights) -> RevealUpdate:
        place = claim.round, claim.epoch, claim.base, claim.parameters, claim.loss, claim.salt
        return RevealUpdate(*place, weights.update)

    def commit(
        self,
        author: keys.PrivateKey,
        weights: Weights,
        epoch: int = 0,
        *,
        loss: int | None = None,
        base: Hash | None = None,
        parameters: Hash | None = None,
    ) -> UpdateClaim:
        """Commits in the next block; returns the claim that opens it."""
        claim = self.claim(author, weights, epoch, loss=loss, base=base, parameters=parameters)
        self.ok(self.send(author, self.commit_payload(claim)))
        return claim

    def play_epoch(self, *updates: tuple[keys.PrivateKey, Weights], epoch: int = 0) -> list[Receipt]:
        """Everybody commits in the first block of the window and reveals in the first of the next."""
        self.at(Phase.COMMIT, epoch)
        claims = [self.claim(author, weights, epoch) for author, weights in updates]
        authors = [author for author, _ in updates]
        committed = [self.commit_payload(claim) for claim in claims]
        for receipt in self.send_all(list(zip(authors, committed, strict=True))):
            self.ok(receipt)
        self.at(Phase.UPDATE, epoch)
        shown = zip(claims, updates, strict=True)
        reveals = [self.update_payload(claim, weights) for claim, (_, weights) in shown]
        return self.send_all(list(zip(authors, reveals, strict=True)))

    def send_all(self, payloads: Sequence[tuple[keys.PrivateKey, TxPayload]]) -> list[Receipt]:
        """One block; at most one transaction of each sender."""
        txs = [self.ledger.pay(sender, payload) for sender, payload in payloads]
        result = self.ledger.block(*txs)
        for (sender, _), receipt in zip(payloads, result.receipts, strict=True):
            self.fees[sender.address] = self.fees.get(sender.address, 0) + receipt.fee
            self.charged.append(receipt.fee)
        self.events += result.events
        check_conservation(self.ledger.nodes, self.ledger.root)
        return list(result.receipts)

    def seal_payload(self, secret: SecretPart) -> SealPart:
        return SealPart(self.id, secret.commitment)

    def sealed_payload(self, secret: SecretPart) -> RevealSealed:
        return RevealSealed(self.id, secret.commitment, secret.salt, Inline(secret.raw))

    def seal(self, witness: keys.PrivateKey, secret: SecretPart) -> None:
        """A witness seals a part in the next block."""
        self.ok(self.send(witness, self.seal_payload(secret)))
        self.secrets[secret.commitment] = secret, witness

    def witness(self) -> None:
        """Every witness opens the sealed part."""
        self.at(Phase.AUDIT_WITNESSES)
        for sealed in self.round.witnesses:
            secret, witness = self.secrets[sealed.commitment]
            self.ok(self.send(witness, self.sealed_payload(secret)))

    def audit(self) -> None:
        """Every witness opens the sealed part, then the opener the s parts of the draw."""
        if self.round.witnesses:
            self.witness()
        self.at(Phase.AUDIT)
        for commitment in self.round.sealed_drawn:
            self.ok(self.send(OPENER, self.sealed_payload(self.secret(commitment))))

    def score_payload(self, author: keys.PrivateKey, epoch: int = 0) -> ScoreUpdate:
        """Asks for the scores of a candidate on every part on which it has none."""
        candidate = self.candidate(author, epoch)
        numbers = range(len(parts_to_score(self.round, self.model)))
        missing = tuple(number for number in numbers if not is_scored(candidate, number))
        return ScoreUpdate(self.id, epoch, author.address, missing)

    def score_update(
        self, author: keys.PrivateKey, epoch: int = 0, sender: keys.PrivateKey | None = None
    ) -> Receipt:
        """A candidate is scored on everything, paid by its author or by `sender`."""
        return self.ok(self.send(sender or author, self.score_payload(author, epoch)))

    def score_all(self, *authors: keys.PrivateKey) -> None:
        """Each of these authors, or of all actors, has the own candidates scored, a block for each epoch."""
        self.at(Phase.SCORE)
        for epoch in range(self.round.terms.epochs):
            key = (self.id, bytes([epoch]))
            state = self.ledger.state
            mine = [
                actor for actor in authors or ACTORS if state.find(Candidate, *key, actor.address) is not None
            ]
            if mine:
                payloads = [(actor, self.score_payload(actor, epoch)) for actor in mine]
                for receipt in self.send_all(payloads):
                    self.ok(receipt)

    def decide(self, *authors: keys.PrivateKey) -> Round:
        """From the last UPDATE to the end: parts open, and authors, or these alone, have updates scored."""
        self.audit()
        self.score_all(*authors)
        return self.end()

    def withdraw(
        self, author: keys.PrivateKey, epoch: int = 0, sender: keys.PrivateKey | None = None
    ) -> Receipt:
        """An update of the ended round is removed, by its author or by `sender`."""
        return self.ok(self.send(sender or author, Withdraw(self.id, epoch, author.address)))

    def withdraw_all(self) -> None:
        """Every author among the actors withdraws every update of the ended round."""
        for epoch in range(self.round.terms.epochs):
            for actor in ACTORS:
                key = (self.id, bytes([epoch]), actor.address)
                state = self.ledger.state
                if state.find(Candidate, *key) or state.find(Commit, *key):
                    self.withdraw(actor, epoch)

    def end(self) -> Round:
        """Past the calendar, somebody advances the round; returns it as it ended."""
        self.at(Phase.CLOSED)
        self.ok(self.send(CAROL, AdvanceRound(self.id)))
        return self.round

    def ok(self, receipt: Receipt) -> Receipt:
        assert receipt.code == "", receipt
        return receipt

    def refused(self, sender: keys.PrivateKey, payload: TxPayload) -> str:
        """The code with which every block refuses the transaction; the state has not changed."""
        root = self.ledger.root
        with pytest.raises(Invalid) as caught:
            self.ledger.block(self.ledger.pay(sender, payload, max_fee=PURSE // 2))
        assert self.ledger.root == root
        return caught.value.code
