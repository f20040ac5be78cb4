"""A TRAIN round on a filled chain, up to the block in which an update of 784-256-10 is revealed."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.chain import COIN, FilledChain, key
from benchmarks.samples import Features, dense, images, random_parameters, zero_parameters
from engram.consensus.chainspec import chain_id
from engram.nn.data import part_bytes
from engram.nn.growth import Policy
from engram.nn.loss import LossKind, score
from engram.nn.network import forward, predict
from engram.participant.parts import RoundSecrets, SaltedPart
from engram.participant.round_plan import explicit_sources, founding_of
from engram.participant.round_terms import Caps, RoundWindows, round_terms
from engram.primitives.keys import PrivateKey
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import TrainUpdate, parameters_root
from engram.statemachine.content import Inline
from engram.statemachine.receipt import Receipt
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.draw import draw_parts, draw_seed
from engram.statemachine.rounds.records import Round, RoundKind
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rounds.update import UpdateClaim, commit_digest
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_update import RevealUpdate

OPENER: Final = key(1)
AUTHOR: Final = key(2)
CROSS_ENTROPY: Final = LossKind.SOFTMAX_CROSS_ENTROPY
PART_ROWS: Final = 625
"""Few enough rows that a part fits into the transaction that reveals it."""
_PARTS_PER_BLOCK: Final = 6
_BOND: Final = 10 * COIN


class TrainingRound:
    """A round with labels from a teacher network. The model is all zeros; the update is the teacher."""

    def __init__(self, chain: FilledChain, validation_parts: int) -> None:
        self.chain: Final = chain
        rng = np.random.default_rng(4)
        self._spec = dense(256)
        self._teacher = random_parameters(rng, self._spec)
        self._validation = validation_parts
        rules = chain.spec.rules
        count = max(rules.min_parts, self._validation + rules.min_sealed)
        features = images(rng, count * PART_ROWS)
        labels = predict(forward(self._spec, self._teacher, features)).astype(np.uint16)
        slices = [slice(at, at + PART_ROWS) for at in range(0, len(features), PART_ROWS)]
        parts = tuple(SaltedPart(rng.bytes(32), part_bytes(features[s], labels[s])) for s in slices)
        self._losses = {
            part.commitment: self._loss(features[s], labels[s]) for part, s in zip(parts, slices, strict=True)
        }
        self._secrets = RoundSecrets(rng.bytes(32), parts)
        self._id: Hash = b""

    def _loss(self, features: Features, labels: npt.NDArray[np.uint16]) -> int:
        return score(CROSS_ENTROPY, forward(self._spec, self._teacher, features), labels).loss

    @property
    def _round(self) -> Round:
        return self.chain.state.get(Round, self._id)

    def play(self) -> Transaction:
        """Opens the round, reveals its parts and commits; returns the reveal for the next block."""
        self._open()
        self._reveal_parts()
        return self._commit()

    def _open(self) -> None:
        rules = self.chain.spec.rules
        terms = round_terms(
            self._secrets,
            kind=RoundKind.TRAIN,
            new_classes=0,
            rows=PART_ROWS,
            old_rows=0,
            validation=self._validation,
            sealed=rules.min_sealed,
            epochs=1,
            windows=RoundWindows.shortest(rules),
            caps=Caps.for_network(rules, self._spec, PART_ROWS),
            opener_bond=_BOND,
            author_bond=_BOND,
            bounty=_BOND,
            witness_fee=0,
            z_squared=rules.min_z_squared,
            witnesses=(),
        )
        rule = Founding(
            self._spec,
            (),
            (),
            policy=int(Policy.STRICT),
            loss_kind=int(CROSS_ENTROPY),
            threshold_ppm=500_000,
        )
        founding = founding_of(self._spec, zero_parameters(self._spec), rule)
        (receipt,) = self._send(OPENER, OpenRound(terms, founding=founding))
        self._id = next(event.subject for event in receipt.events if event.name == "round_opened")

    def _reveal_parts(self) -> None:
        round_, nonce = self._round, self._secrets.nonce
        self.chain.skip_to_tick(Calendar.of(round_, self.chain.spec.rules).span(Phase.REVEAL).first)
        ids = [self.chain.block_id(tick) for tick in Calendar.of(round_, self.chain.spec.rules).draw_ticks]
        commitments = tuple(part.commitment for part in self._secrets.parts)
        drawn, _ = draw_parts(
            draw_seed(ids, nonce), commitments, round_.terms.validation, round_.terms.sealed
        )
        reveals = [
            RevealPart(self._id, nonce, part.commitment, part.salt, Inline(part.raw))
            for part in self._secrets.parts
            if part.commitment in drawn
        ]
        for at in range(0, len(reveals), _PARTS_PER_BLOCK):
            self._send(OPENER, *reveals[at : at + _PARTS_PER_BLOCK])

    def _commit(self) -> Transaction:
        hidden, outputs, tensors = explicit_sources(len(self._spec.hidden), self._teacher)
        round_, rules = self._round, self.chain.spec.rules
        claim = UpdateClaim(
            chain_id=chain_id(self.chain.spec),
            author=AUTHOR.address,
            round=self._id,
            epoch=0,
            base=round_.base,
            parameters=parameters_root(ZERO_HASH, AUTHOR.address, TrainUpdate(self._spec, hidden, outputs)),
            loss=sum(self._losses[part.commitment] for part in round_.validation_opened),
            salt=bytes(32),
        )
        update = Calendar.of(round_, rules).span(Phase.UPDATE).first
        self.chain.skip_to_tick(Calendar.of(round_, rules).span(Phase.COMMIT).first)
        self._send(AUTHOR, CommitUpdate(self._id, 0, commit_digest(claim)))
        self.chain.skip_to_tick(update)
        shown = claim.round, claim.epoch, claim.base, claim.parameters, claim.loss, claim.salt
        train = TrainUpdate(self._spec, hidden, outputs, tensors)
        return self.chain.pay(AUTHOR, RevealUpdate(*shown, train))

    def _send(self, sender: PrivateKey, *payloads: TxPayload) -> tuple[Receipt, ...]:
        """Adds one block with these transactions of one sender."""
        chain = self.chain
        return chain.extend(*(chain.pay(sender, payload, after) for after, payload in enumerate(payloads)))
