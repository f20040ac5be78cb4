"""Open round: the opener fixes the terms of one attempt to improve a model, or founds a model with its first.

The opener's bond and the bounty are held until the round ends. The ids of the new records are
tagged_hash(MODEL, txid) and tagged_hash(ROUND, txid).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import U32, ZERO_HASH, Address, Hash
from engram.statemachine.additions import explicit_tensors, parameters_root
from engram.statemachine.content import bring, hold
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import NotActivated
from engram.statemachine.loading import composition_of, open_network
from engram.statemachine.money import take
from engram.statemachine.parameters import HasParameters
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import BadgeKind, Model, Part, Version, Witnesses
from engram.statemachine.rounds.claims import CONFIRM_KIND, DISPUTE_KIND
from engram.statemachine.rounds.errors import CommitmentRepeated, ModelChanged, ModelOrFounding
from engram.statemachine.rounds.models import free_model
from engram.statemachine.rounds.records import EpochBest, EpochResult, Round, RoundKind, RoundTerms
from engram.statemachine.rounds.rewards import give_badge
from engram.statemachine.rounds.terms import (
    Founding,
    check_founding,
    check_opening,
    check_share,
    check_terms,
)
from engram.statemachine.rounds.update import brought_tensors
from engram.statemachine.rules import LOOKUP_MACS, Rules
from engram.statemachine.scoring import composing_macs, loading_macs
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome

_RECORDS: Final = 8
"""Records that the opener pays for: round, model and version, and those that the end of the round will make,
such as badges, reputation and rewards."""


@dataclass(frozen=True)
class OpenRound:
    """Exactly one of `model` and `founding` is given; the other is zero or None."""

    KIND: ClassVar[int] = 16
    NAME: ClassVar[str] = "open_round"
    terms: RoundTerms
    model: Hash = ZERO_HASH
    founding: Founding | None = None
    head: U32 = 0
    """The model's current version as the opener has seen it; 0 for a founding."""
    standing: Witnesses = ()
    """The model's standing witnesses as the opener has seen them; none for a founding."""

    @classmethod
    def on(cls, model: Model, terms: RoundTerms) -> OpenRound:
        """A round on a model as the opener sees it."""
        return cls(terms, model=model.id, head=model.head, standing=model.witnesses)

    def check(self, rules: Rules) -> None:
        """Raises `ModelOrFounding`, and what `check_terms` and `check_founding` raise."""
        if (self.model == ZERO_HASH) == (self.founding is None):
            raise ModelOrFounding(got=self.model)
        if self.founding is not None and (self.head or self.standing):
            raise ModelOrFounding("a founding has seen no model", got=self.head)
        check_terms(rules, self.terms)
        if self.founding is not None:
            check_founding(rules, self.founding)

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """Bond and bounty, the records that the round will need, and MACs.

        MACs are charged for one lookup of each commitment, which must not be public already, for putting the
        model's network together, and for loading the tensors of a founding. Raises `RoundAlreadyOpen`,
        `ModelChanged`, `CommitmentRepeated`, `NotActivated`, `MissingRecord`, and what `check_opening` and
        `check_share` raise.
        """
        trial = state.child()
        if self.founding is None:
            model, _ = self._seen_model(trial, ctx)
            head: HasParameters = composition_of(trial, ctx, trial.get(Version, model.id, u32(model.head)))
            macs, tensors, size = composing_macs(head), 0, len(encode(self.terms))
        else:
            model, head = _founded(self.founding, sender, ZERO_HASH), self.founding
            macs = loading_macs(ctx.rules, self.founding)
            tensors = len(self.founding.tensors)
            size = len(encode(self.terms)) + len(encode(replace(self.founding, tensors=())))
        check_claims_active(ctx, model)
        check_opening(ctx.rules, self.terms, model, head, sender)
        check_unpublished(state, self.terms.commitments)
        funds = self.terms.opener_bond + self.terms.bounty
        macs += LOOKUP_MACS * len(self.terms.commitments)
        check_share("opening the round", ctx.rules, macs)
        return Cost(macs=macs, records=_RECORDS + tensors, record_bytes=size, funds=funds)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Takes bond and bounty and writes the round, and for a founding the model with its version 0.

        Raises what loading the founding's parameters and proving their bounds raises, and `MissingBlob`.
        """
        events: tuple[Event, ...] = ()
        brought: Mapping[Hash, bytes] = {}
        if self.founding is None:
            model, events = self._seen_model(state, ctx)
        else:
            model, brought, events = self._found(state, ctx, sender, tagged_hash(Tag.MODEL, txid))
        take(state, sender, self.terms.opener_bond + self.terms.bounty)
        round_ = Round(
            id=tagged_hash(Tag.ROUND, txid),
            model=model.id,
            opener=sender,
            terms=self.terms,
            opened=ctx.tick,
            version=model.head,
            base=model.root,
            classes=model.classes + self.terms.new_classes,
            old_classes=model.classes,
            standing=model.witnesses,
            results=(EpochResult(),) * self.terms.epochs,
            best=(EpochBest(),) * self.terms.epochs,
            bond=self.terms.opener_bond,
            pot=self.terms.bounty,
            carried=model.carried,
        )
        state.put(round_)
        state.put(replace(model, open_round=round_.id, carried=0))
        opened = Event("round_opened", round_.id, (self.terms.kind, model.head), (model.id.hex(),))
        return Outcome((*events, opened), blobs=brought)

    def _seen_model(self, state: State, ctx: BlockContext) -> tuple[Model, tuple[Event, ...]]:
        """The free model, which must be as the opener has seen it.

        Otherwise somebody who comes first could change the round under its opener: by witnesses whom the
        opener pays, or by a version with classes of which the opener has no rows.
        """
        model, events = free_model(state, ctx, self.model)
        if (model.head, model.witnesses) != (self.head, self.standing):
            raise ModelChanged(expected=model.head, got=self.head)
        return model, events

    def _found(
        self, state: State, ctx: BlockContext, sender: Address, model_id: Hash
    ) -> tuple[Model, Mapping[Hash, bytes], tuple[Event, ...]]:
        """Writes version 0, after its parameters were read and their bounds proved; returns the model."""
        assert self.founding is not None, "apply founds a model only where one is given"
        founding, brought = self.founding, brought_tensors(self.founding.tensors)
        model = _founded(founding, sender, model_id)
        open_network(state, ctx, model.root, founding, brought).load()
        for raw in founding.tensors:
            bring(state, ctx, raw)
        for tensor in explicit_tensors((*founding.hidden, *founding.outputs)):
            hold(state, tensor)
        state.put(_version_zero(founding, ctx, model))
        if not model.frozen:
            return model, brought, ()
        return model, brought, give_badge(state, ctx, model.id, 0, sender, BadgeKind.FOUNDER)


def check_claims_active(ctx: BlockContext, model: Model) -> None:
    """Raises `NotActivated` for a model with claims while nobody could confirm or dispute one."""
    active = {kind for kind, first in ctx.active if first <= ctx.height}
    for kind in (CONFIRM_KIND, DISPUTE_KIND):
        if model.claims is not None and kind not in active:
            raise NotActivated("claims need this transaction type", got=(kind, ctx.height))


def check_unpublished(state: State, commitments: tuple[Hash, ...]) -> None:
    """Raises `CommitmentRepeated` if one of the parts was opened before, and so is known to everyone."""
    for commitment in commitments:
        if state.find(Part, commitment) is not None:
            raise CommitmentRepeated("the part has been published before", got=commitment)


def _founded(founding: Founding, founder: Address, model_id: Hash) -> Model:
    """The record of a new model. With a single class there is nothing to train, so it is frozen at once."""
    frozen = founding.spec.classes == 1
    return Model(
        id=model_id,
        founder=founder,
        policy=founding.policy,
        loss_kind=founding.loss_kind,
        threshold_ppm=founding.threshold_ppm,
        retention_epsilon_ppm=founding.retention_epsilon_ppm,
        retention_delta_ppm=founding.retention_delta_ppm,
        lost_cap_ppm=founding.lost_cap_ppm,
        growth_limits=founding.growth_limits,
        members=founding.members,
        witnesses=founding.witnesses,
        claims=founding.claims,
        inputs=founding.spec.inputs,
        classes=founding.spec.classes,
        classes_before_growth=int(frozen),
        head=0,
        root=parameters_root(ZERO_HASH, founder, founding.whole),
        frozen=frozen,
        loss=0,
        loss_rows=0,
        open_round=ZERO_HASH,
        rounds=0,
    )


def _version_zero(founding: Founding, ctx: BlockContext, model: Model) -> Version:
    return Version(
        model=model.id,
        number=0,
        parent=ZERO_HASH,
        root=model.root,
        added=replace(founding.whole, tensors=()),
        author=model.founder,
        round=ZERO_HASH,
        height=ctx.height,
        kind=int(RoundKind.TRAIN),
        validation_loss=0,
        validation_rows=0,
        sealed_loss=0,
        sealed_rows=0,
        sealed_correct=0,
        sent_tensor_bytes=sum(len(raw) for raw in founding.tensors),
    )
