"""Rounds played on a `Ledger` with real parts and tiny real networks.

The data: feature 0 tells class 0 (low) from class 1 (high), feature 1 marks class 2. Feature 2 + i tells the
label in part i and lies in every other part: who trains on a validation part alone learns it, and fails the
sealed ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from engram.nn.data import part_bytes, part_commitment
from engram.nn.dtypes import IntArray
from engram.nn.growth import Growth, grown_spec
from engram.nn.layers import DenseRelu, Output
from engram.nn.loss import Score
from engram.nn.network import NetworkSpec
from engram.nn.tensor import Explicit, tensor_bytes
from engram.primitives import keys
from engram.primitives.errors import Invalid
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.draw import draw_parts, draw_seed, nonce_hash
from engram.statemachine.loading import open_part
from engram.statemachine.parameters import BlockSources, Network, ParameterSources, sources_of
from engram.statemachine.phases import Phase, Span, calendar, draw_heights
from engram.statemachine.receipt import Event, Receipt
from engram.statemachine.records import (
    Account,
    Badge,
    Candidate,
    Maturing,
    Model,
    Openers,
    Part,
    Policy,
    RecentBlock,
    Version,
    u32,
)
from engram.statemachine.round_records import OpenedPart, Round, RoundKind, RoundTerms
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer
from engram.statemachine.terms import Founding
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.advance_round import AdvanceRound
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_retention import ScoreRetention
from engram.statemachine.transactions.seal_part import SealPart
from engram.statemachine.update import GrowUpdate, TrainUpdate, Update, UpdateClaim, commit_digest
from tests.support.conservation import check_conservation
from tests.support.ledger import Ledger, key

COIN = 10**8
OPENER, ALICE, BOB, CAROL, AUDITOR = (key(number) for number in range(1, 6))
ACTORS = (OPENER, ALICE, BOB, CAROL, AUDITOR)
PURSE = 1_000 * COIN

SMALL_RULES = Rules(min_window_blocks=1, min_gap_blocks=0, draw_blocks=2, block_ring=64, maturity_blocks=3)
NONCE = b"\x07" * 32
SALT = b"\x05" * 32
LABELS = 3
"""Classes that the data know of."""


@dataclass(frozen=True)
class SecretPart:
    """A part with the salt that keeps it secret."""

    salt: Hash
    raw: bytes

    @property
    def commitment(self) -> Hash:
        return part_commitment(self.salt, self.raw)


def make_part(
    index: int,
    *,
    parts: int,
    classes: int = 2,
    rows: int = 8,
    seed: int = 0,
    names: Sequence[int] = (0, 1, 2),
) -> SecretPart:
    """Part `index` of a split into `parts`: rows of every class in turn; class j is labelled names[j]."""
    rng = np.random.default_rng((seed, index))
    labels = (np.arange(rows) % classes).astype(np.uint16)
    features = np.zeros((rows, 2 + parts), dtype=np.uint8)
    centre = np.array([50, 206, 128])[labels]
    features[:, 0] = centre + rng.integers(-12, 13, rows)
    features[:, 1] = np.where(labels == 2, 220, 0) + rng.integers(0, 8, rows)
    for other in range(parts):
        tells = (labels == 1) if other == index else (labels != 1)
        features[:, 2 + other] = np.where(tells, 240, 10)
    salt = hashlib.sha256(b"salt %d %d" % (seed, index)).digest()
    return SecretPart(salt, part_bytes(features, np.array(names, dtype=np.uint16)[labels]))


@dataclass(frozen=True)
class Weights:
    """Blocks of a network or a growth with their numbers."""

    spec: NetworkSpec | Growth
    hidden: tuple[BlockSources, ...]
    outputs: tuple[BlockSources, ...]
    tensors: tuple[bytes, ...]

    @property
    def update(self) -> Update:
        if isinstance(self.spec, Growth):
            return GrowUpdate(self.spec, self.hidden, self.outputs, self.tensors)
        return TrainUpdate(self.spec, self.hidden, self.outputs, self.tensors)


def source(array: IntArray) -> tuple[Explicit, bytes]:
    raw = tensor_bytes(array)
    return Explicit(blob_id(raw)), raw


def block(weights: Sequence[Sequence[int]], bias: Sequence[int]) -> tuple[BlockSources, tuple[bytes, bytes]]:
    """The sources of one int8 block, and its tensors."""
    w, w_raw = source(np.array(weights, dtype=np.int8))
    b, b_raw = source(np.array(bias, dtype=np.int32))
    return BlockSources(w, b), (w_raw, b_raw)


def column(inputs: int, feature: int, weight: int = 1) -> list[list[int]]:
    """Weights of one neuron that reads one feature."""
    return [[weight if row == feature else 0] for row in range(inputs)]


def distinct(*tensors: bytes) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(tensors))


def network(inputs: int, gain: int, *, feature: int = 0, classes: int = 2, nudge: int = 0) -> Weights:
    """inputs-1-classes: one neuron reads a feature; the further it is from 128, the surer the network.

    Gain 0 knows nothing; `nudge` shifts one bias by next to nothing.
    """
    hidden, hidden_tensors = block(column(inputs, feature), [0])
    weights = [-gain, gain][:classes] + [0] * (classes - 2)
    outputs, output_tensors = block([weights], [-128 * value + nudge * (value > 0) for value in weights])
    spec = NetworkSpec(
        inputs,
        classes,
        (),
        (DenseRelu(1, 0, inputs, 1, 0, 8, 8),),
        (Output(1, 0, 1, 0, classes, -8, 8),),
    )
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def growth(inputs: int, gain: int, *, base_neurons: int = 1, classes: int = 2, feature: int = 1) -> Weights:
    """One new neuron that reads the mark of a new class, and that class's output."""
    hidden, hidden_tensors = block(column(inputs, feature), [0])
    outputs, output_tensors = block([[gain]], [-128 * gain])
    spec = Growth(
        1,
        (DenseRelu(1, 0, inputs, 1, 0, 8, 8),),
        (Output(1, base_neurons, base_neurons + 1, classes, 1, -8, 8),),
        (),
    )
    return Weights(spec, (hidden,), (outputs,), distinct(*hidden_tensors, *output_tensors))


def founding(weights: Weights, **changes: int) -> Founding:
    """A model that starts from these weights."""
    assert isinstance(weights.spec, NetworkSpec)
    model = Founding(
        weights.spec,
        weights.hidden,
        weights.outputs,
        policy=int(Policy.STRICT),
        openers=int(Openers.FOUNDER),
        loss_kind=1,
        threshold_ppm=500_000,
        tensors=weights.tensors,
    )
    return replace(model, **changes)  # type: ignore[arg-type]  # a test's own fields


def train_terms(parts: Sequence[SecretPart], **changes: object) -> RoundTerms:
    """k = s = 1, one epoch, windows of two blocks, gaps of one."""
    terms = RoundTerms(
        kind=int(RoundKind.TRAIN),
        new_classes=0,
        commitments=tuple(part.commitment for part in parts),
        rows=8,
        validation=1,
        sealed=1,
        epochs=1,
        open_window=2,
        reveal_window=2,
        commit_window=2,
        update_window=2,
        audit_window=2,
        retention_window=0,
        gap=1,
        max_update_bytes=4_096,
        max_update_neurons=4,
        max_update_macs=200_000,
        opener_bond=10 * COIN,
        author_bond=COIN,
        bounty=20 * COIN,
        nonce_hash=nonce_hash(NONCE),
    )
    return replace(terms, **changes)  # type: ignore[arg-type]  # a test's own fields


def grow_terms(parts: Sequence[SecretPart], **changes: object) -> RoundTerms:
    """As `train_terms`, for one new class, with nine rows a part."""
    grown: dict[str, object] = {
        "kind": int(RoundKind.GROW),
        "new_classes": 1,
        "retention_window": 2,
        "rows": 9,
    }
    return train_terms(parts, **{**grown, **changes})


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
        """What each actor has paid the miner for its transactions."""

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
        spans = calendar(self.round.opened, self.round.terms, self.ledger.rules)
        return next(span for span in spans if (span.phase, span.epoch) == (phase, epoch))

    def at(self, phase: Phase, epoch: int = 0) -> None:
        """Empty blocks, until the next one is the first of a phase."""
        self.ledger.skip_to(self.span(phase, epoch).first)

    def block_id(self, height: int) -> Hash:
        if height == self.ledger.height:
            return self.ledger.parent
        return self.ledger.state.get(RecentBlock, u32(height % self.ledger.rules.block_ring)).block

    def drawn_parts(self) -> tuple[list[SecretPart], list[SecretPart]]:
        """Validation and sealed parts, known once the blocks of the draw are there."""
        terms = self.round.terms
        seed = draw_seed([self.block_id(h) for h in draw_heights(self.round, self.ledger.rules)], NONCE)
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
        return Scorer().score_network(network, rows, classes or self.round.classes, self.model.loss_kind)

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

    def commit_payload(self, claim: UpdateClaim, slot: int | None = None) -> CommitUpdate:
        slot = self.span(Phase.UPDATE, claim.epoch).first if slot is None else slot
        return CommitUpdate(claim.round, claim.epoch, commit_digest(claim), slot)

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
            self.ledger.block(self.ledger.pay(sender, payload, fee=PURSE // 2))
        assert self.ledger.root == root
        return caught.value.code

    def named(self, name: str) -> list[Event]:
        """Events of this name, in order."""
        return [event for event in self.events if event.name == name]
