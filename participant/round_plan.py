"""Turns plans of rounds and models into the transaction that opens a round.

A plan holds what a person decides. The drafts add what follows from the chain's rules, the data and the
model. Only uploads are sent here; `Opener.open` sends the transaction.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from engram.consensus.chainspec import ChainSpec
from engram.nn.growth import Policy
from engram.nn.layers import HiddenSegment
from engram.nn.loss import LossKind
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec, neurons
from engram.nn.tensor import Explicit, tensor_bytes
from engram.participant.datasets import Dataset
from engram.participant.errors import GrowthImpossible
from engram.participant.parts import RoundSecrets, split_parts
from engram.participant.selection import Selection, check_inputs, check_labels
from engram.participant.training.architect import dense_network
from engram.participant.training.shapes import ACTIVATIONS, growth_shape, reached_classes
from engram.participant.upload import fit_inside, upload
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.codec import encode
from engram.primitives.types import Address, Hash
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import ParameterSources, SegmentSources, growth_bytes, parameter_bytes
from engram.statemachine.records import Model, Openers
from engram.statemachine.rounds.draw import nonce_hash
from engram.statemachine.rounds.ranking import PPM
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rounds.rewards import minimum_opener_bond
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.scoring import growth_macs, network_macs
from engram.statemachine.transactions.open_round import OpenRound

MOST_ROWS: Final = 1_000
"""The most rows of a part, unless the opener names a number of rows."""


@dataclass(frozen=True)
class RoundPlan:
    """What a person decides about a round; amounts in sparks."""

    data: Selection
    """The rows from which the parts are made."""
    parts: int = 4
    """n: how many parts to commit to."""
    rows: int | None = None
    """Rows of every part. None: an equal share of all rows, at most `MOST_ROWS`."""
    validation: int = 2
    """k: how many parts are drawn to be revealed before training."""
    sealed: int = 2
    """s: how many parts are drawn to stay sealed until all updates are revealed."""
    epochs: int = 2
    windows: Mapping[str, int] = field(default_factory=dict)
    """Lengths of phases in ticks, by the names of `RoundWindows`; the others are as `lasting` gives them."""
    new_classes: int = 0
    neurons: int = 32
    """The most new neurons of a growth."""
    opener_bond: int | None = None
    """None: the least that the chain accepts; so for `author_bond`."""
    author_bond: int | None = None
    bounty: int = 0
    auditors: tuple[Address, ...] = ()
    seed: int = 0
    """Draws which row goes into which part, and the weights of version 0. Of public data, it tells which rows
    are sealed, so it must stay secret.
    """


@dataclass(frozen=True)
class ModelPlan:
    """What a person decides about a new model. None of it can be changed later."""

    loss_kind: LossKind
    policy: Policy
    """Whether growth may feed old classes."""
    openers: Openers
    """Who may open later rounds."""
    threshold_ppm: int
    """The neurons freeze at this many millionths of ln(classes) nats a row."""
    retention_epsilon_ppm: int
    """Millionths of a retention part's rows that a growth may forget."""
    retention_delta_ppm: int
    """Millionths by which a growth may raise the loss on a retention part above its bar."""
    classes: int | None = None
    """None: the highest label of the data, plus one."""
    hidden: tuple[int, ...] = (32,)
    """Widths of the hidden layers."""
    activation: str = "relu"
    """A name of `ACTIVATIONS`."""
    weight_bits: int = 8

    def forgettable_rows(self, rows: int) -> int:
        """How many rows of a retention part with `rows` rows a growth may forget, rounded down."""
        return self.retention_epsilon_ppm * rows // PPM

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
    the transaction are uploaded. Raises what `Selection.rows_of` raises, `NotEnoughRows`, `DatasetMismatch`.
    """
    spec = await ChainView(wallet.client).spec()
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    classes = int(data.labels.max()) + 1 if model.classes is None else model.classes
    kind = RoundKind.GROW if classes == 1 else RoundKind.TRAIN
    check_labels(data, classes + plan.new_classes)
    network, parameters = _fresh(data, classes, plan, model)
    template = Founding(
        network,
        (),
        (),
        int(model.policy),
        int(model.openers),
        int(model.loss_kind),
        model.threshold_ppm,
        model.retention_epsilon_ppm,
        model.retention_delta_ppm,
    )
    secrets = _secrets(data, plan)
    height = await ChainView(wallet.client).height()
    reach = reached_classes(model.policy, plan.new_classes, 0)
    bond = minimum_opener_bond(spec.rules, None, height)
    terms = _terms(spec, plan, kind, _Base(network, reach), secrets, _rows(data, plan), bond)
    founding = founding_of(network, parameters, template)
    payload = OpenRound(terms, founding=replace(founding, tensors=()))
    room = spec.rules.max_transaction_bytes - ENVELOPE_BYTES - len(encode(payload))
    inside, outside = fit_inside(founding.tensors, room)
    for raw in outside:
        await upload(wallet, raw)
    return DraftedRound(replace(payload, founding=replace(founding, tensors=inside)), secrets)


async def draft_round(wallet: Wallet, plan: RoundPlan, model_id: Hash) -> DraftedRound:
    """Drafts a round on a model that exists: it grows a frozen model, and trains any other further.

    Raises what `Selection.rows_of` raises, `RecordMissing`, `NotEnoughRows`, `DatasetMismatch`, and
    `GrowthImpossible` if a frozen model is to get neither new classes nor new neurons.
    """
    view = ChainView(wallet.client)
    spec, model = await view.spec(), await view.get(Model, model_id)
    version = await view.head_version(model)
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    check_inputs(data, model)
    check_labels(data, model.classes + plan.new_classes)
    kind = RoundKind.GROW if model.frozen else RoundKind.TRAIN
    if model.frozen and not plan.new_classes and not plan.neurons:
        raise GrowthImpossible
    secrets = _secrets(data, plan)
    reach = reached_classes(model.growth_policy, plan.new_classes, model.classes_before_growth)
    bond = minimum_opener_bond(spec.rules, model, await view.height() + 1)
    terms = _terms(spec, plan, kind, _Base(version.spec, reach), secrets, _rows(data, plan), bond)
    return DraftedRound(OpenRound(terms, model=model_id), secrets)


@dataclass(frozen=True)
class _Base:
    """The network that a round starts from."""

    spec: NetworkSpec
    reach: int | None
    """The first old class that new neurons may feed; None if they may feed none."""


def _fresh(data: Dataset, classes: int, plan: RoundPlan, model: ModelPlan) -> tuple[NetworkSpec, Parameters]:
    rng = np.random.default_rng([plan.seed, 0])
    return dense_network(data, model.hidden, classes, rng, kind=model.kind, weight_bits=model.weight_bits)


def _terms(
    spec: ChainSpec,
    plan: RoundPlan,
    kind: RoundKind,
    base: _Base,
    secrets: RoundSecrets,
    rows: int,
    bond: int,
) -> RoundTerms:
    rules = spec.rules
    windows = replace(RoundWindows.lasting(rules, spec.block_time_ms), **plan.windows)
    if kind == RoundKind.TRAIN:
        caps = Caps.for_network(rules, base.spec, rows)
    else:
        caps = Caps.for_growth(rules, base.spec, plan.neurons, plan.new_classes, rows, base.reach)
    return round_terms(
        secrets,
        kind=kind,
        new_classes=plan.new_classes,
        rows=rows,
        validation=plan.validation,
        sealed=plan.sealed,
        epochs=plan.epochs,
        windows=windows,
        caps=caps,
        opener_bond=bond if plan.opener_bond is None else plan.opener_bond,
        author_bond=rules.min_author_bond if plan.author_bond is None else plan.author_bond,
        bounty=plan.bounty,
        auditors=plan.auditors,
    )


def _rows(data: Dataset, plan: RoundPlan) -> int:
    return min(MOST_ROWS, max(1, data.rows // plan.parts)) if plan.rows is None else plan.rows


def _secrets(data: Dataset, plan: RoundPlan) -> RoundSecrets:
    """A random nonce, and the parts of the plan with random salts. Raises `NotEnoughRows`."""
    rng = np.random.default_rng([plan.seed, 1])
    parts = split_parts(data, plan.parts, _rows(data, plan), rng, os.urandom)
    return RoundSecrets(os.urandom(32), tuple(parts))


@dataclass(frozen=True)
class RoundWindows:
    """Lengths of a round's phases, in ticks."""

    open: int
    reveal: int
    commit: int
    update: int
    audit: int
    retention: int
    gap: int

    @classmethod
    def lasting(cls, rules: Rules, block_time_ms: int) -> RoundWindows:
        """About a minute for each phase, three for commit and the shortest gap, as the rules allow."""

        def ticks(seconds: int) -> int:
            wanted = -(-seconds * 1000 // block_time_ms)
            return min(max(wanted, rules.min_window_ticks), rules.max_window_ticks)

        return cls(
            open=ticks(60),
            reveal=ticks(60),
            commit=ticks(180),
            update=ticks(60),
            audit=ticks(60),
            retention=ticks(60),
            gap=rules.min_gap_ticks,
        )

    @classmethod
    def shortest(cls, rules: Rules) -> RoundWindows:
        """The shortest calendar that the rules allow."""
        least = rules.min_window_ticks
        return cls(least, least, least, least, least, least, rules.min_gap_ticks)


@dataclass(frozen=True)
class Caps:
    """The largest update that a round accepts."""

    size_bytes: int
    neurons: int
    macs: int
    """Multiply-accumulates to score the update on one part."""

    @classmethod
    def for_network(cls, rules: Rules, spec: NetworkSpec, rows: int) -> Caps:
        """Room for new parameters of the whole network `spec`, scored on parts of `rows` rows."""
        macs = network_macs(rules, ParameterSources(spec, (), ()), rows)
        return cls(_frame(rules, parameter_bytes(spec)), neurons(spec), macs)

    @classmethod
    def for_growth(
        cls,
        rules: Rules,
        spec: NetworkSpec,
        width: int,
        classes: int,
        rows: int,
        reach: int | None = None,
    ) -> Caps:
        """Room for a growth by `width` neurons and `classes` classes, as `growth_shape` wires it."""
        growth = growth_shape(spec, width, classes, reach)
        size = growth_bytes(spec, growth)
        return cls(_frame(rules, size), width, growth_macs(rules, spec, growth, (), rows))


def _frame(rules: Rules, tensors: int) -> int:
    """Bytes for an update with `tensors` bytes of tensors: a sixteenth and 4 KiB more, for other fields."""
    return min(rules.max_transaction_bytes - ENVELOPE_BYTES, tensors + tensors // 16 + 4096)


def round_terms(
    secrets: RoundSecrets,
    *,
    kind: RoundKind,
    new_classes: int,
    rows: int,
    validation: int,
    sealed: int,
    epochs: int,
    windows: RoundWindows,
    caps: Caps,
    opener_bond: int,
    author_bond: int,
    bounty: int,
    auditors: tuple[Address, ...],
) -> RoundTerms:
    """The terms of a round whose parts are those of `secrets`; amounts in sparks."""
    return RoundTerms(
        kind=int(kind),
        new_classes=new_classes,
        commitments=tuple(part.commitment for part in secrets.parts),
        rows=rows,
        validation=validation,
        sealed=sealed,
        epochs=epochs,
        open_window=windows.open,
        reveal_window=windows.reveal,
        commit_window=windows.commit,
        update_window=windows.update,
        audit_window=windows.audit,
        retention_window=windows.retention if kind == RoundKind.GROW else 0,
        gap=windows.gap,
        max_update_bytes=caps.size_bytes,
        max_update_neurons=caps.neurons,
        max_update_macs=caps.macs,
        opener_bond=opener_bond,
        author_bond=author_bond,
        bounty=bounty,
        nonce_hash=nonce_hash(secrets.nonce),
        auditors=auditors,
    )


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
