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
from engram.participant.errors import GrowthImpossible, NewRowsMissing, NotEnoughRows, OldRowsMissing
from engram.participant.gate_odds import usual_epsilon
from engram.participant.parts import RoundSecrets, split_parts
from engram.participant.round_terms import Caps, RoundWindows, round_terms
from engram.participant.selection import RowSource, check_inputs, check_labels
from engram.participant.training.architect import dense_network
from engram.participant.training.shapes import ACTIVATIONS, Reach
from engram.participant.upload import fit_inside, upload
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.codec import encode
from engram.primitives.types import Address, Hash
from engram.statemachine.additions import SegmentSources
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import HasParameters
from engram.statemachine.records import GrowthLimits, Model, NamedWitness, RetentionPart
from engram.statemachine.rounds.records import RoundKind, RoundTerms
from engram.statemachine.rounds.terms import Founding, least_author_bond, least_opener_bond
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.transactions.open_round import OpenRound

MOST_ROWS: Final = 1_000
"""The most rows of a part, unless the opener names a number of rows."""
SHOWN_CLASSES: Final = 20
"""How many classes a message names."""


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
    `OldRowsMissing`, `NewRowsMissing`, and `PartPublic` before anything is uploaded.
    """
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    classes = int(data.labels.max()) + 1 if model.classes is None else model.classes
    check_labels(data, classes + plan.new_classes)
    network, parameters = _fresh(data, classes, plan, model)
    epsilon = model.retention_epsilon_ppm
    if epsilon is None:
        epsilon = epsilon_of((await ChainView(wallet.client).spec()).rules, plan, model.witnesses, data.rows)
    template = Founding(
        *(network, (), (), int(model.policy), int(model.loss_kind), model.threshold_ppm),
        *(epsilon, model.retention_delta_ppm, model.lost_cap_ppm),
        *(model.members, model.witnesses, model.growth_limits),
    )
    return await _draft_opening(wallet, plan, founding_of(network, parameters, template), data)


async def draft_whole(wallet: Wallet, plan: RoundPlan, founding: Founding) -> DraftedRound:
    """Drafts a round that founds this model. Does and raises what `draft_founding` does."""
    data = await asyncio.to_thread(plan.data.rows_of, plan.seed)
    check_labels(data, founding.spec.classes + plan.new_classes)
    return await _draft_opening(wallet, plan, founding, data)


async def _draft_opening(wallet: Wallet, plan: RoundPlan, founding: Founding, data: Dataset) -> DraftedRound:
    view = ChainView(wallet.client)
    spec, classes = await view.spec(), founding.spec.classes
    kind = RoundKind.GROW if classes == 1 else RoundKind.TRAIN
    base = _Base(founding, Reach(Policy(founding.policy)), classes, founding.witnesses)
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
    base = _Base(head, reach, model.classes, model.witnesses, model.retention)
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
        windows=replace(RoundWindows.lasting(rules, spec.block_time_ms), **plan.windows),
        caps=caps,
        opener_bond=least_opener_bond(rules, bounty) if plan.opener_bond is None else plan.opener_bond,
        author_bond=0 if plan.author_bond is None else plan.author_bond,
        bounty=bounty,
        witness_fee=plan.witness_fee,
        z_squared=rules.min_z_squared if plan.z_squared is None else plan.z_squared,
        witnesses=plan.witnesses,
    )
    if plan.author_bond is None:
        classes = base.classes + plan.new_classes
        terms = replace(
            terms, author_bond=least_author_bond(rules, terms, base.head, classes, base.retention)
        )
    return secrets, terms


def part_shape(rules: Rules, plan: RoundPlan, rows: int) -> tuple[int, int, int]:
    """How many parts a plan makes of so many rows, the rows of each, and how many parts stay sealed."""
    count = rules.min_parts if plan.parts is None else plan.parts
    each = min(MOST_ROWS, max(1, rows // count)) if plan.rows is None else plan.rows
    return count, each, rules.min_sealed if plan.sealed is None else plan.sealed


def epsilon_of(rules: Rules, plan: RoundPlan, standing: Sequence[NamedWitness], rows: int) -> int:
    """The `usual_epsilon` of a model that this plan founds with so many rows and these standing witnesses."""
    _, each, sealed = part_shape(rules, plan, rows)
    return usual_epsilon(each * sealed, each * (len(plan.witnesses) + len(standing)), each)


def check_sealed_rows(rules: Rules, count: int, rows: int, sealed: int) -> None:
    """Raises `NotEnoughRows` if the parts are smaller than the chain allows for so many sealed ones."""
    if sealed and rows < (least := -(-rules.min_sealed_rows // sealed)):
        raise NotEnoughRows(
            f"the parts are too small: {least} rows or more must be in each of the {count}, "
            f"{count * least} in all",
            expected=least,
            got=rows,
        )


def check_new_rows(
    secrets: RoundSecrets, old_classes: int, new_classes: int, policy: Policy, *, witnessed: bool
) -> None:
    """Raises `NewRowsMissing` if no growth by these classes could be judged, or none could win.

    Authors learn a class from rows of their own, but the rows of the opener and of the witnesses judge what
    they bring. `witnessed` says that a witness may seal rows of new classes: then a class may be in the
    witness's rows alone. But the opener's first parts decide which updates become candidates: with old rows
    alone, an update has to lower the loss of old rows, which only `Policy.GATED` lets a growth do.
    """
    held = frozenset[int]().union(*(part.labels for part in secrets.parts))
    added = range(old_classes, old_classes + new_classes)
    lacking = [label for label in added if label not in held]
    if not lacking or (witnessed and (len(lacking) < len(added) or policy is Policy.GATED)):
        return
    names = ", ".join(map(str, lacking[:SHOWN_CLASSES])) + (", …" if len(lacking) > SHOWN_CLASSES else "")
    if witnessed:
        raise NewRowsMissing(
            f"no row of the parts has class {names}, so your parts hold no new class at all. A witness's "
            "rows can judge classes that you lack, but the parts that you reveal first decide who takes "
            f"part, and by the policy {policy.name.lower()} every growth does worse on old rows alone: bring "
            "rows of at least one new class",
            got=lacking[:SHOWN_CLASSES],
        )
    raise NewRowsMissing(
        f"no row of the parts has class {names}, but the growth adds the classes from {old_classes} to "
        f"{old_classes + new_classes - 1}, and your rows judge them: bring rows of each new class, let "
        "--new-classes count only those that you have rows of, or name a --witness who has the others",
        got=lacking[:SHOWN_CLASSES],
    )


def check_old_rows(secrets: RoundSecrets, old_classes: int, least: int, in_all: int, sealed: int) -> None:
    """Raises `OldRowsMissing` if a part has fewer rows of old classes than are promised.

    `in_all` is the fewest rows of old classes that the chain asks of all `sealed` parts together, from which
    the message computes which options would do.
    """
    fewest = min(part.rows_below(old_classes) for part in secrets.parts)
    if fewest >= least:
        return
    raise OldRowsMissing(
        f"a part has only {fewest} rows of old classes, and {least} are promised for each: "
        + _enough_old_rows(fewest, in_all, sealed),
        expected=least,
        got=fewest,
    )


def _enough_old_rows(fewest: int, in_all: int, sealed: int) -> str:
    """What an opener can do whose parts have at least so many rows of old classes."""
    if not fewest:
        return (
            f"add rows of the old classes to the data, {in_all} or more for the sealed parts together. Who "
            "has none can let somebody open the round who has some, and take part as an author with a "
            "memory, which needs none (docs/memory.md)"
        )
    if fewest * sealed >= in_all:
        return f"promise at most --old-rows {fewest}, use larger parts, or data with more rows of old classes"
    enough = -(-in_all // fewest)
    return (
        f"the chain asks for {in_all} in all sealed parts together, so parts with {fewest} of them do with "
        f"--sealed {enough}, which needs so many parts more than --validation takes (--parts), and without "
        "--old-rows; or use larger parts, or data with more rows of old classes"
    )


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
