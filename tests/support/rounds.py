"""Rounds played on a `Ledger`, one block a call; their matter stands in `round_matter`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from engram.nn.growth import grown_spec
from engram.nn.loss import Score
from engram.nn.network import NetworkSpec
from engram.primitives import keys
from engram.primitives.errors import Invalid
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.loading import open_part
from engram.statemachine.parameters import Network, ParameterSources, sources_of
from engram.statemachine.receipt import Event, Receipt
from engram.statemachine.record import u32
from engram.statemachine.records import Account, Badge, Maturing, Model, Part, RecentBlock, Version
from engram.statemachine.rounds.calendar import Calendar, Phase, Span
from engram.statemachine.rounds.draw import draw_parts, draw_seed
from engram.statemachine.rounds.records import Candidate, OpenedPart, Round, RoundTerms
from engram.statemachine.rounds.update import UpdateClaim, commit_digest
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_retention import ScoreRetention
from engram.statemachine.transactions.seal_part import SealPart
from tests.support.conservation import check_conservation
from tests.support.ledger import Ledger
from tests.support.round_matter import (
    ACTORS,
    ALICE,
    AUDITOR,
    BOB,
    CAROL,
    COIN,
    NONCE,
    OPENER,
    PURSE,
    SALT,
    SMALL_RULES,
    SecretPart,
    Weights,
    block,
    column,
    distinct,
    forgetful,
    founding,
    grow_terms,
    growth,
    make_part,
    network,
    source,
    train_terms,
)

__all__ = [
    "ACTORS",
    "ALICE",
    "AUDITOR",
    "BOB",
    "CAROL",
    "COIN",
    "NONCE",
    "OPENER",
    "PURSE",
    "SALT",
    "SMALL_RULES",
    "Play",
    "SecretPart",
    "Weights",
    "block",
    "column",
    "distinct",
    "forgetful",
    "founding",
    "grow_terms",
    "growth",
    "make_part",
    "network",
    "source",
    "train_terms",
]


class Play:
    """One round of one model on a ledger."""

    def __init__(
        self, *, parts: int = 4, rules: Rules = SMALL_RULES, ledger: Ledger | None = None, classes: int = 2
    ) -> None:
        self.ledger = ledger or Ledger({actor: PURSE for actor in ACTORS}, rules=rules)
        self.inputs = 2 + parts
        self.parts = [make_part(index, parts=parts, classes=classes) for index in range(parts)]
        self.seed = 0
        self.id: Hash = ZERO_HASH
        self.model_id: Hash = ZERO_HASH
        self.events: list[Event] = []
        self.fees: dict[Address, int] = {}
        """What each actor was charged for its transactions."""

    @property
    def round(self) -> Round:
        return self.ledger.state.get(Round, self.id)

    @property
    def model(self) -> Model:
        return self.ledger.state.get(Model, self.model_id)

    @property
    def height(self) -> int:
        """Height of the next block."""
        return self.ledger.height + 1

    @property
    def tick(self) -> int:
        """What transactions of the next block see."""
        return self.ledger.clock.ticks

    def version(self, number: int) -> Version:
        return self.ledger.state.get(Version, self.model_id, u32(number))

    def candidate(self, author: keys.PrivateKey, epoch: int = 0) -> Candidate:
        return self.ledger.state.get(Candidate, self.id, bytes([epoch]), author.address)

    def account(self, actor: keys.PrivateKey) -> Account:
        return self.ledger.state.account(actor.address)

    def maturing(self, actor: keys.PrivateKey) -> int:
        """Rewards of an actor that have not been claimed."""
        state, rules = self.ledger.state, self.ledger.rules
        heights = range(self.ledger.height + rules.maturity_blocks + 1)
        found = (state.find(Maturing, actor.address, height.to_bytes(8, "big")) for height in heights)
        return sum(reward.amount for reward in found if reward)

    def spent(self, actor: keys.PrivateKey) -> int:
        """What an actor has lost or has tied up, fees aside."""
        return PURSE - self.account(actor).balance - self.fees.get(actor.address, 0)

    def badges(self, actor: keys.PrivateKey, version: int) -> set[int]:
        found = (
            self.ledger.state.find(Badge, self.model_id, u32(version), actor.address, bytes([kind]))
            for kind in range(5)
        )
        return {badge.badge for badge in found if badge}

    def send(self, sender: keys.PrivateKey, payload: TxPayload) -> Receipt:
        """A block with one transaction; the law of conservation holds after it."""
        return self.send_all([(sender, payload)])[0]

    def found(
        self, weights: Weights | None = None, terms: RoundTerms | None = None, **changes: int
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
        self.audit()
        self.end()
        assert self.model.frozen
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
        return OpenRound(terms or train_terms(self.parts), model=self.model_id)

    def open(self, terms: RoundTerms | None = None, opener: keys.PrivateKey = OPENER) -> Receipt:
        return self._opened(self.send(opener, self.open_payload(terms)))

    def _opened(self, receipt: Receipt) -> Receipt:
        for event in receipt.events:
            if event.name == "round_opened":
                self.id = event.subject
                self.model_id = bytes.fromhex(event.text[0])
        return receipt

    def span(self, phase: Phase, epoch: int = 0) -> Span:
        spans = Calendar.opened_at(self.round.opened, self.round.terms, self.ledger.rules).spans
        return next(span for span in spans if (span.phase, span.epoch) == (phase, epoch))

    def at(self, phase: Phase, epoch: int = 0) -> None:
        """Empty blocks, until the next one is the first of a phase."""
        self.ledger.skip_to_tick(self.span(phase, epoch).first)

    def block_id(self, tick: int) -> Hash:
        """Id of the block that made this tick."""
        clock = self.ledger.clock
        if (tick, clock.ticked) == (clock.ticks, self.ledger.height):
            return self.ledger.parent
        return self.ledger.state.get(RecentBlock, u32(tick % self.ledger.rules.tick_ring)).block

    def drawn_parts(self) -> tuple[list[SecretPart], list[SecretPart]]:
        """Validation and sealed parts, known once the blocks of the draw are there."""
        terms = self.round.terms
        seed = draw_seed(
            [self.block_id(tick) for tick in Calendar.of(self.round, self.ledger.rules).draw_ticks], NONCE
        )
        drawn = draw_parts(seed, terms.commitments, terms.validation, terms.sealed)
        validation, sealed = ([self.secret(part) for part in parts] for parts in drawn)
        return validation, sealed

    def secret(self, commitment: Hash) -> SecretPart:
        return next(secret for secret in self.parts if secret.commitment == commitment)

    def part_payload(self, secret: SecretPart, **changes: object) -> RevealPart:
        payload = RevealPart(self.id, NONCE, secret.commitment, secret.salt, Inline(secret.raw))
        return replace(payload, **changes)  # type: ignore[arg-type]  # a test's own fields

    def reveal_validation(self) -> None:
        """The opener reveals the k parts of the draw."""
        self.at(Phase.REVEAL)
        for secret in self.drawn_parts()[0]:
            self.ok(self.send(OPENER, self.part_payload(secret)))

    def leaking_feature(self) -> int:
        """The feature that tells the label in the validation part and lies elsewhere."""
        return 2 + self.parts.index(self.secret(self.round.validation_opened[0].commitment))

    def grown(self, weights: Weights) -> ParameterSources:
        """The whole network that an update makes of the version of the round."""
        if isinstance(weights.spec, NetworkSpec):
            return sources_of(weights.spec, weights.hidden, weights.outputs)
        base = self.version(self.round.version)
        spec = grown_spec(base.spec, weights.spec)
        return sources_of(spec, (*base.hidden, *weights.hidden), (*base.outputs, *weights.outputs))

    def loss_of(self, weights: Weights, opened: Sequence[OpenedPart] | None = None) -> int:
        """What the chain will find on opened parts (the validation parts), computed off the chain."""
        sources = self.grown(weights)
        brought = {blob_id(raw): raw for raw in weights.tensors}

        def read(tensor: Hash) -> bytes:
            return brought[tensor] if tensor in brought else self.ledger.blobs[tensor]

        candidate = Network(sources, read)
        parts = self.round.validation_opened if opened is None else opened
        return sum(self.score(candidate, part.commitment).loss for part in parts)

    def score(self, network: Network, part: Hash, classes: int | None = None) -> Score:
        """A network on a published part, computed off the chain."""
        state, ctx = self.ledger.state, self.ledger.ctx
        rows = open_part(state, ctx, state.get(Part, part))
        return Scorer().score_network(network, rows, classes or self.round.classes, self.model.loss_function)

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
            parameters=parameters or hash_object(Tag.PARAMETERS, self.grown(weights)),
            loss=self.loss_of(weights) if loss is None else loss,
            salt=SALT,
        )

    def commit_payload(self, claim: UpdateClaim) -> CommitUpdate:
        return CommitUpdate(claim.round, claim.epoch, commit_digest(claim))

    def update_payload(self, claim: UpdateClaim, weights: Weights, bid: int = 0) -> RevealUpdate:
        place = claim.round, claim.epoch, claim.base, claim.parameters, claim.loss, claim.salt
        return RevealUpdate(*place, bid, weights.update)

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
        result = self.ledger.block(*(self.ledger.pay(sender, payload) for sender, payload in payloads))
        for (sender, _), receipt in zip(payloads, result.receipts, strict=True):
            self.fees[sender.address] = self.fees.get(sender.address, 0) + receipt.fee
        self.events += result.events
        check_conservation(self.ledger.nodes, self.ledger.root)
        return list(result.receipts)

    def seal_payload(self, secret: SecretPart) -> SealPart:
        return SealPart(self.id, secret.commitment)

    def sealed_payload(self, secret: SecretPart) -> RevealSealed:
        return RevealSealed(self.id, secret.commitment, secret.salt, Inline(secret.raw))

    def audit(self) -> None:
        """The opener opens his s parts."""
        self.at(Phase.AUDIT)
        for commitment in self.round.sealed_drawn:
            self.ok(self.send(OPENER, self.sealed_payload(self.secret(commitment))))

    def score_retention(self, author: keys.PrivateKey, epoch: int = 0) -> None:
        """The author has its candidate scored on every retention part of the model."""
        self.at(Phase.RETENTION)
        for part in self.model.retention:
            self.ok(self.send(author, ScoreRetention(self.id, epoch, author.address, part.part)))

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

    def named(self, name: str) -> list[Event]:
        """Events of this name, in order."""
        return [event for event in self.events if event.name == name]
