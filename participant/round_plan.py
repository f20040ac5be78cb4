"""Plans of rounds and models, drafted into the transaction that opens them. Sends no more than uploads."""

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
from engram.participant.errors import DatasetMismatch, GrowthImpossible
from engram.participant.parts import RoundSecrets, split_parts
from engram.participant.selection import Selection
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
from engram.statemachine.rounds.records import Round, RoundKind, RoundTerms
from engram.statemachine.rounds.rewards import minimum_opener_bond
from engram.statemachine.rounds.terms import Founding
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.scoring import growth_macs, network_macs
from engram.statemachine.transactions.open_round import OpenRound

MOST_ROWS: Final = 1_000
"""Rows of a part, unless the opener says otherwise."""


@dataclass(frozen=True)
class RoundPlan:
    """What a person decides about a round; money in sparks."""

    data: Selection
    """What its parts are made of."""
    parts: int = 4
    """n: parts to commit to."""
    rows: int | None = None
    """Rows of every part; None: all there are, at most `MOST_ROWS`."""
    validation: int = 2
    sealed: int = 2
    epochs: int = 2
    windows: Mapping[str, int] = field(default_factory=dict)
    """Lengths by the names of `RoundWindows`; what is not named is `RoundWindows.lasting`."""
    new_classes: int = 0
    neurons: int = 32
    """Most new neurons of a growth."""
    opener_bond: int | None = None
    """None: the least that the chain takes."""
    author_bond: int | None = None
    bounty: int = 0
    auditors: tuple[Address, ...] = ()
    seed: int = 0
    """Draws which row goes into which part, and the weights of version 0; where the data are public, it is as
    secret as the sealed parts.
    """


@dataclass(frozen=True)
class ModelPlan:
    """What a person decides about a new model, for good."""

    loss_kind: LossKind
    policy: Policy
    openers: Openers
    threshold_ppm: int
    retention_epsilon_ppm: int
    retention_delta_ppm: int
    classes: int | None = None
    """None: as many as the data have."""
    hidden: tuple[int, ...] = (32,)
    """Widths of the hidden layers."""
    activation: str = "relu"
    """A name of `ACTIVATIONS`."""
    weight_bits: int = 8

    def forgettable_rows(self, rows: int) -> int:
        """Rows of a retained part of so many rows that a growth may forget, as the retention gate counts."""
        return self.retention_epsilon_ppm * rows // PPM

    @property
    def kind(self) -> type[HiddenSegment]:
        """The hidden layers' kind."""
        return ACTIVATIONS[self.activation]


@dataclass(frozen=True)
class DraftedRound:
    """A round that is ready to be opened by `Opener.open`."""

    payload: OpenRound
    secrets: RoundSecrets


async def draft_founding(wallet: Wallet, plan: RoundPlan, model: ModelPlan) -> DraftedRound:
    """A round that founds a model. With one class it grows at once; with more its neurons are trained first.

    Tensors that do not fit into the transaction are uploaded. Raises what `Selection.rows_of` raises,
    `NotEnoughRows`, `DatasetMismatch`.
    """
    spec = await ChainView(wallet.client).spec()
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    classes = int(data.labels.max()) + 1 if model.classes is None else model.classes
    kind = RoundKind.GROW if classes == 1 else RoundKind.TRAIN
    _check_labels(data, classes + plan.new_classes)
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
    """A round on a model that exists: growth if its neurons are frozen, further training else.

    Raises what `Selection.rows_of` raises, `RecordMissing`, `NotEnoughRows`, `DatasetMismatch`,
    `GrowthImpossible`.
    """
    view = ChainView(wallet.client)
    spec, model = await view.spec(), await view.get(Model, model_id)
    version = await view.head_version(model)
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    check_inputs(data, model)
    _check_labels(data, model.classes + plan.new_classes)
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
    """What a round starts from."""

    spec: NetworkSpec
    reach: int | None


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
    """Raises `NotEnoughRows`."""
    rng = np.random.default_rng([plan.seed, 1])
    parts = split_parts(data, plan.parts, _rows(data, plan), rng, os.urandom)
    return RoundSecrets(os.urandom(32), tuple(parts))


def check_inputs(data: Dataset, model: Model) -> None:
    """Raises `DatasetMismatch` unless the rows have as many features as the model has inputs."""
    if data.inputs != model.inputs:
        text = "the rows have another number of features than the model has inputs"
        raise DatasetMismatch(text, expected=model.inputs, got=data.inputs)


def _check_labels(data: Dataset, classes: int) -> None:
    """A part with a label that the round does not know would abort it, and cost the opener's bond.

    Raises `DatasetMismatch`.
    """
    if (highest := int(data.labels.max())) >= classes:
        raise DatasetMismatch("a label is not a class of the round", expected=classes - 1, got=highest)


async def sealed_part(wallet: Wallet, data: Selection, round_id: Hash, seed: int) -> RoundSecrets:
    """One part for a third party to seal, of as many rows as the round's parts have.

    Raises what `Selection.rows_of` raises, `NotEnoughRows`, `DatasetMismatch`, `RecordMissing`.
    """
    view = ChainView(wallet.client)
    round_ = await view.get(Round, round_id)
    model = await view.get(Model, round_.model)
    rows = await asyncio.to_thread(data.rows_of, seed)
    check_inputs(rows, model)
    _check_labels(rows, round_.classes)
    parts = split_parts(rows, 1, round_.terms.rows, np.random.default_rng(seed), os.urandom)
    return RoundSecrets(os.urandom(32), tuple(parts))


@dataclass(frozen=True)
class RoundWindows:
    """Lengths of a round's phases, in blocks."""

    open: int
    reveal: int
    commit: int
    update: int
    audit: int
    retention: int
    gap: int

    @classmethod
    def lasting(cls, rules: Rules, block_time_ms: int) -> RoundWindows:
        """Time for people and programs: a minute for each phase, three to train in, where the rules allow."""

        def blocks(seconds: int) -> int:
            wanted = -(-seconds * 1000 // block_time_ms)
            return min(max(wanted, rules.min_window_blocks), rules.max_window_blocks)

        return cls(
            open=blocks(60),
            reveal=blocks(60),
            commit=blocks(180),
            update=blocks(60),
            audit=blocks(60),
            retention=blocks(60),
            gap=rules.min_gap_blocks,
        )

    @classmethod
    def shortest(cls, rules: Rules) -> RoundWindows:
        """The shortest calendar that the rules allow."""
        least = rules.min_window_blocks
        return cls(least, least, least, least, least, least, rules.min_gap_blocks)


@dataclass(frozen=True)
class Caps:
    """The largest update that a round takes."""

    size_bytes: int
    neurons: int
    macs: int
    """On one part."""

    @classmethod
    def for_network(cls, rules: Rules, spec: NetworkSpec, rows: int) -> Caps:
        """Room for another set of parameters of this network."""
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
        """Room for the growth that `growth_shape` gives, and for a network of so many neurons as a column."""
        growth = growth_shape(spec, width, classes, reach)
        size = growth_bytes(spec, growth)
        return cls(_frame(rules, size), width, growth_macs(rules, spec, growth, (), rows))


def _frame(rules: Rules, tensors: int) -> int:
    """Bytes of an update with so many bytes of tensors: its specs and sources take the rest."""
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
    """The terms of a round over the parts of `secrets`."""
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
    """Sources of the first `hidden` segments and of the rest, and the tensors they name, each once."""
    tensors: dict[Hash, bytes] = {}
    segments = []
    for given in parameters:
        raws = (tensor_bytes(given.weights), tensor_bytes(given.bias))
        tensors |= {blob_id(raw): raw for raw in raws}
        segments.append(SegmentSources(*(Explicit(blob_id(raw)) for raw in raws)))
    return tuple(segments[:hidden]), tuple(segments[hidden:]), tuple(tensors.values())


def founding_of(spec: NetworkSpec, parameters: Parameters, template: Founding) -> Founding:
    """`template`'s rules with this network as version 0."""
    hidden, outputs, tensors = explicit_sources(len(spec.hidden), parameters)
    return replace(template, spec=spec, hidden=hidden, outputs=outputs, tensors=tensors)
