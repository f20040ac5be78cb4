"""Turns plans of rounds and models into the transaction that opens a round.

A plan holds what a person decides. The drafts add what follows from the chain's rules, the data and the
model. Only uploads are sent here; `Opener.open` sends the transaction.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from engram.consensus.chainspec import ChainSpec
from engram.nn.growth import Policy
from engram.nn.layers import HiddenSegment
from engram.nn.loss import LossKind
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec
from engram.nn.tensor import Explicit, tensor_bytes
from engram.participant.datasets import Dataset
from engram.participant.errors import GrowthImpossible
from engram.participant.gate_odds import usual_epsilon
from engram.participant.parts import RoundSecrets, split_parts
from engram.participant.round_terms import Caps, RoundWindows, round_terms
from engram.participant.rows_needed import check_new_rows, check_old_rows, check_rows, check_sealed_rows
from engram.participant.selection import RowSource, check_inputs, check_labels
from engram.participant.training.architect import dense_network
from engram.participant.training.shapes import ACTIVATIONS, Reach
from engram.participant.upload import fit_inside, upload
from engram.participant.verification import Disputed, check_claims_active, claim_terms, for_claims
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.codec import encode
from engram.primitives.types import Address, Hash
from engram.statemachine.additions import SegmentSources
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import HasParameters
from engram.statemachine.records import GrowthLimits, Model, NamedWitness, RetentionPart
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rounds.terms import (
    Founding,
    least_author_bond,
    least_claim_bond,
    least_opener_bond,
)
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.transactions.open_round import OpenRound

MOST_ROWS: Final = 1_000
"""The most rows of a part, unless the opener names a number of rows."""


@dataclass(frozen=True)
class RoundPlan:
    """What a person decides about a round; amounts in sparks."""

    data: RowSource
    """The rows from which the parts are made."""
    parts: int | None = None
    """n: how many parts to commit to. None: the fewest that the chain accepts; so for `validation`, `sealed`,
    `z_squared` and the bonds."""
    rows: int | None = None
    """Rows of every part. None: an equal share of all rows, at most `MOST_ROWS`."""
    validation: int | None = None
    """k: how many parts are drawn to be revealed before training."""
    sealed: int | None = None
    """s: how many parts are drawn to stay sealed until all updates are revealed."""
    epochs: int = 2
    windows: Mapping[str, int] = field(default_factory=dict)
    """Lengths of phases in ticks, by the names of `RoundWindows`; the others are as `lasting` gives them."""
    new_classes: int = 0
    neurons: int = 32
    """The most new neurons of a growth."""
    old_rows: int | None = None
    """Growth: the fewest rows of old classes in each sealed part. None: what the chain asks of the opener."""
    opener_bond: int | None = None
    author_bond: int | None = None
    bounty: int = 0
    witnesses: tuple[NamedWitness, ...] = ()
    witness_fee: int = 0
    """What each witness gets out of the bounty."""
    z_squared: int | None = None
    seed: int = 0
    """Draws which row goes into which part, and the weights of version 0. Of public data, it tells which rows
    are sealed, so it must stay secret.
    """


@dataclass(frozen=True)
class ModelPlan:
    """What a person decides about a new model. Only the names can be changed later, and the cap be raised."""

    loss_kind: LossKind
    policy: Policy
    """Whether growth may feed old classes."""
    threshold_ppm: int
    """The neurons freeze at this many millionths of ln(classes) nats a row."""
    retention_epsilon_ppm: int | None
    """Millionths of the unseen old rows, and of the retention parts' rows, that a growth may lose. None: what
    `usual_epsilon` computes for the rows of the round that founds the model."""
    retention_delta_ppm: int
    """Millionths by which a growth may raise the loss on unseen old rows."""
    lost_cap_ppm: int
    """Millionths of old rows that all growths together may lose before the founder raises it."""
    growth_limits: GrowthLimits = field(default_factory=GrowthLimits)
    """The most that one growth may append."""
    members: tuple[Address, ...] = ()
    """Who may open GROW rounds beside the founder."""
    witnesses: tuple[NamedWitness, ...] = ()
    """Standing witnesses: without the sealed part of each, no round takes place."""
    classes: int | None = None
    """None: the highest label of the data, plus one."""
    hidden: tuple[int, ...] = (32,)
    """Widths of the hidden layers."""
    activation: str = "relu"
    """A name of `ACTIVATIONS`."""
    weight_bits: int = 8
    verification: Disputed | None = None
    """None: every node computes every score. Else authors claim them, and anyone may dispute a claim."""

    @property
    def kind(self) -> type[HiddenSegment]:
        """The class of the hidden segments, by the name of the activation."""
        return ACTIVATIONS[self.activation]


@dataclass(frozen=True)
class DraftedRound:
    """A transaction's payload and the secrets that belong to it, ready for `Opener.open`."""

    payload: OpenRound
    secrets: RoundSecrets


async def draft_founding(wallet: Wallet, plan: RoundPlan, model: ModelPlan) -> DraftedRound:
    """Drafts a round that founds a model: it grows a model of one class, and trains any other.

    A single class leaves nothing to learn, so such a model is frozen at once. Tensors that do not fit into
    the transaction are uploaded. Raises what `Selection.rows_of` raises, `NotEnoughRows`, `DatasetMismatch`,
    `OldRowsMissing`, `NewRowsMissing`, and `PartPublic` and `ClaimsNotActive` before anything is uploaded.
    """
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    classes = int(data.labels.max()) + 1 if model.classes is None else model.classes
    check_labels(data, classes + plan.new_classes)
    network, parameters = _fresh(data, classes, plan, model)
    spec, epsilon = await ChainView(wallet.client).spec(), model.retention_epsilon_ppm
    if epsilon is None:
        epsilon = epsilon_of(spec.rules, plan, model.witnesses, data.rows)
    template = Founding(
        *(network, (), (), int(model.policy), int(model.loss_kind), model.threshold_ppm),
        *(epsilon, model.retention_delta_ppm, model.lost_cap_ppm),
        *(model.members, model.witnesses, model.growth_limits),
        claims=claims_of(spec, plan, model.verification),
    )
    return await _draft_opening(wallet, plan, founding_of(network, parameters, template), data)


async def draft_whole(wallet: Wallet, plan: RoundPlan, founding: Founding) -> DraftedRound:
    """Drafts a round that founds this model. Does and raises what `draft_founding` does."""
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    check_labels(data, founding.spec.classes + plan.new_classes)
    return await _draft_opening(wallet, plan, founding, data)


def claims_of(spec: ChainSpec, plan: RoundPlan, wanted: Disputed | None) -> ClaimTerms | None:
    """The terms of claims of a model that this plan founds; None if every node computes every score."""
    return None if wanted is None else claim_terms(spec, wanted, _windows(spec, plan).commit)


def _windows(spec: ChainSpec, plan: RoundPlan) -> RoundWindows:
    return replace(RoundWindows.lasting(spec.rules, spec.block_time_ms), **plan.windows)


async def _draft_opening(wallet: Wallet, plan: RoundPlan, founding: Founding, data: Dataset) -> DraftedRound:
    view = ChainView(wallet.client)
    spec, classes = await view.spec(), founding.spec.classes
    kind = RoundKind.GROW if classes == 1 else RoundKind.TRAIN
    if founding.claims is not None:
        check_claims_active(spec, await view.height() + 1)
    base = _Base(
        founding, Reach(Policy(founding.policy)), classes, founding.witnesses, claims=founding.claims
    )
    secrets, terms = _terms(spec, plan, kind, base, data)
    payload = OpenRound(terms, founding=replace(founding, tensors=()))
    room = spec.rules.max_transaction_bytes - ENVELOPE_BYTES - len(encode(payload))
    inside, outside = fit_inside(founding.tensors, room)
    if outside:
        await view.check_secret(secrets.parts)
    for raw in outside:
        await upload(wallet, raw)
    return DraftedRound(replace(payload, founding=replace(founding, tensors=inside)), secrets)


async def draft_round(wallet: Wallet, plan: RoundPlan, model_id: Hash) -> DraftedRound:
    """Drafts a round on a model that exists: it grows a frozen model, and trains any other further.

    Raises what `Selection.rows_of` raises, `RecordMissing`, `NotEnoughRows`, `OldRowsMissing`,
    `NewRowsMissing`, `DatasetMismatch`, and `GrowthImpossible` if a frozen model is to get neither new
    classes nor new neurons, or a model that is not frozen new classes.
    """
    view = ChainView(wallet.client)
    spec, model = await view.spec(), await view.get(Model, model_id)
    head = await view.head_network(model)
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    check_inputs(data, model)
    check_labels(data, model.classes + plan.new_classes)
    kind = RoundKind.GROW if model.frozen else RoundKind.TRAIN
    if model.frozen and not plan.new_classes and not plan.neurons:
        raise GrowthImpossible
    if not model.frozen and plan.new_classes:
        raise GrowthImpossible(
            "the model is not frozen, so a round can only train it further: leave out the new classes; "
            "`engram model show` says at which loss it freezes",
            expected="a frozen model",
            got=f"{plan.new_classes} new classes",
        )
    reach = Reach(model.growth_policy, model.classes_before_growth)
    base = _Base(
        *(head, reach, model.classes, model.witnesses, model.retention),
        claims=model.claims,
        carried=model.carried,
    )
    secrets, terms = _terms(spec, plan, kind, base, data)
    return DraftedRound(OpenRound.on(model, terms), secrets)


@dataclass(frozen=True)
class _Base:
    """The network that a round starts from."""

    head: HasParameters
    reach: Reach
    """What the model lets a growth do to old classes."""
    classes: int
    """Its classes, which are the old ones of the round."""
    witnesses: tuple[NamedWitness, ...] = ()
    """Its standing witnesses."""
    retention: tuple[RetentionPart, ...] = ()
    claims: ClaimTerms | None = None
    """How claims of scores are verified, if authors claim them."""
    carried: int = 0
    """Sparks that earlier rounds have left to the model."""


def _fresh(data: Dataset, classes: int, plan: RoundPlan, model: ModelPlan) -> tuple[NetworkSpec, Parameters]:
    rng = np.random.default_rng([plan.seed, 0])
    return dense_network(data, model.hidden, classes, rng, kind=model.kind, weight_bits=model.weight_bits)


def _terms(
    spec: ChainSpec, plan: RoundPlan, kind: RoundKind, base: _Base, data: Dataset
) -> tuple[RoundSecrets, RoundTerms]:
    """The parts of the plan, made of `data`, and the terms of the round.

    Raises `NotEnoughRows`, `OldRowsMissing`, `NewRowsMissing`.
    """
    rules = spec.rules
    count, rows, sealed = part_shape(rules, plan, data.rows)
    check_sealed_rows(rules, count, rows, sealed)
    check_rows(rules, count, rows, sealed, data.rows)
    secrets = _secrets(data, plan.seed, count, rows)
    network, bounty = base.head.spec, plan.bounty
    if kind == RoundKind.TRAIN:
        old_rows, caps = 0, Caps.for_network(rules, network, rows)
    else:
        old_rows = -(-rules.min_old_rows // sealed) if plan.old_rows is None else plan.old_rows
        witnessed = any(not named.old_only for named in (*base.witnesses, *plan.witnesses))
        check_new_rows(secrets, base.classes, plan.new_classes, base.reach.policy, witnessed=witnessed)
        check_old_rows(secrets, base.classes, old_rows, rules.min_old_rows, sealed)
        classes, unions = plan.new_classes, plan.epochs > 1
        caps = Caps.for_growth(rules, network, plan.neurons, classes, rows, base.reach, unions=unions)
    terms = round_terms(
        secrets,
        kind=kind,
        new_classes=plan.new_classes,
        rows=rows,
        old_rows=old_rows,
        validation=rules.min_validation if plan.validation is None else plan.validation,
        sealed=sealed,
        epochs=plan.epochs,
        windows=_windows(spec, plan),
        caps=caps,
        opener_bond=least_opener_bond(rules, bounty) if plan.opener_bond is None else plan.opener_bond,
        author_bond=0 if plan.author_bond is None else plan.author_bond,
        bounty=bounty,
        witness_fee=plan.witness_fee,
        z_squared=rules.min_z_squared if plan.z_squared is None else plan.z_squared,
        witnesses=plan.witnesses,
    )
    if base.claims is not None:
        terms = for_claims(rules, terms, base.claims)
    if plan.author_bond is None:
        terms = replace(terms, author_bond=_least_bond(rules, terms, base))
    return secrets, terms


def _least_bond(rules: Rules, terms: RoundTerms, base: _Base) -> int:
    """The least bond of an author in this round, in sparks."""
    if base.claims is not None:
        return least_claim_bond(rules, terms, base.carried)
    classes = base.classes + terms.new_classes
    return least_author_bond(rules, terms, base.head, classes, base.retention)


def part_shape(rules: Rules, plan: RoundPlan, rows: int) -> tuple[int, int, int]:
    """How many parts a plan makes of so many rows, the rows of each, and how many parts stay sealed."""
    count = rules.min_parts if plan.parts is None else plan.parts
    each = min(MOST_ROWS, max(1, rows // count)) if plan.rows is None else plan.rows
    return count, each, rules.min_sealed if plan.sealed is None else plan.sealed


def epsilon_of(rules: Rules, plan: RoundPlan, standing: Sequence[NamedWitness], rows: int) -> int:
    """The `usual_epsilon` of a model that this plan founds with so many rows and these standing witnesses."""
    _, each, sealed = part_shape(rules, plan, rows)
    return usual_epsilon(each * sealed, each * (len(plan.witnesses) + len(standing)), each)


def _secrets(data: Dataset, seed: int, count: int, rows: int) -> RoundSecrets:
    """A random nonce, and parts of the data with random salts. Raises `NotEnoughRows`."""
    parts = split_parts(data, count, rows, np.random.default_rng([seed, 1]), os.urandom)
    return RoundSecrets(os.urandom(32), tuple(parts))


def explicit_sources(
    hidden: int, parameters: Parameters
) -> tuple[tuple[SegmentSources, ...], tuple[SegmentSources, ...], tuple[bytes, ...]]:
    """Sources of the first `hidden` segments and of the rest, and the tensors that they name, each once."""
    tensors: dict[Hash, bytes] = {}
    segments = []
    for given in parameters:
        raws = (tensor_bytes(given.weights), tensor_bytes(given.bias))
        tensors |= {blob_id(raw): raw for raw in raws}
        segments.append(SegmentSources(*(Explicit(blob_id(raw)) for raw in raws)))
    return tuple(segments[:hidden]), tuple(segments[hidden:]), tuple(tensors.values())


def founding_of(spec: NetworkSpec, parameters: Parameters, template: Founding) -> Founding:
    """A founding with the rules of `template` and this network as version 0."""
    hidden, outputs, tensors = explicit_sources(len(spec.hidden), parameters)
    return replace(template, spec=spec, hidden=hidden, outputs=outputs, tensors=tensors)
