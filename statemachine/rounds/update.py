"""Updates that authors commit to and reveal: their form and size, the network they make, its scores.

A TRAIN update brings parameters for every segment of version t. It may change the shifts, but not shapes and
wiring. A GROW update carries new segments and nothing else, so it cannot change anything that exists. Every
check depends only on the update and on records, so an author can make it before committing; an error about an
update that was committed to costs the bond. Moves no coins.

    digest = tagged_hash(COMMIT, encode(UpdateClaim))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from engram.nn.growth import Growth, append, grown_spec
from engram.nn.layers import HiddenSegment, Output
from engram.nn.network import NetworkSpec
from engram.nn.spec import check_spec, neurons
from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import U8, U64, Address, Hash
from engram.statemachine.content import blob_id
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import open_network, open_part
from engram.statemachine.parameters import (
    HasParameters,
    Network,
    SegmentSources,
    explicit_tensors,
)
from engram.statemachine.record import Lineage
from engram.statemachine.records import Model, Part, Version
from engram.statemachine.rounds.errors import (
    ArchitectureMismatch,
    NewClassesMismatch,
    TensorRepeated,
    UpdateKindMismatch,
    UpdateTooHeavy,
    UpdateTooLarge,
    UpdateTooWide,
)
from engram.statemachine.rounds.proposal import GrowUpdate, TrainUpdate, Update
from engram.statemachine.rounds.records import Round, RoundKind
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import DataPart, RowScores, growth_macs, network_macs
from engram.statemachine.state import State


@dataclass(frozen=True)
class UpdateClaim:
    """What an author commits to: their own address, the round and epoch, the parameters and their loss."""

    chain_id: U64
    author: Address
    round: Hash
    epoch: U8
    base: Hash
    """Parameters root of the version that the update improves."""
    parameters: Hash
    """Parameters root of the whole network that the update makes."""
    loss: U64
    """Claimed loss, summed over the k validation parts, in Q24 nats."""
    salt: Hash
    """32 random bytes, so that nobody can find the claim behind a digest by guessing."""


@dataclass(frozen=True)
class Proposal:
    """The network that an update makes of version t, ready to be scored."""

    network: Network
    hidden: tuple[Lineage, ...]
    outputs: tuple[Lineage, ...]


def commit_digest(claim: UpdateClaim) -> Hash:
    """The digest that `commit_update` carries."""
    return hash_object(Tag.COMMIT, claim)


def update_size(update: Update) -> int:
    """Canonical bytes of an update, its tensors included."""
    return len(encode(update))


def update_tensors(update: Update) -> tuple[Hash, ...]:
    """Content ids of the tensors that a candidate's record holds, with repeats."""
    return explicit_tensors((*update.hidden, *update.outputs))


def update_macs(rules: Rules, base: NetworkSpec, update: Update, rows: int) -> int:
    """MACs charged for scoring the update on one part with so many rows."""
    if isinstance(update, TrainUpdate):
        return network_macs(rules, update, rows)
    return growth_macs(rules, base, update.growth, (*update.hidden, *update.outputs), rows)


def reveal_macs(rules: Rules, round_: Round, base: HasParameters, update: int) -> int:
    """MACs charged for scoring an update on all k validation parts; `update` is the charge for one of them.

    In GROW, version t is charged as well, because a node that does not remember its activations must compute
    them again.
    """
    return round_.terms.validation * (update + base_macs(rules, round_, base))


def base_macs(rules: Rules, round_: Round, base: HasParameters) -> int:
    """MACs charged for version t when an update is scored on one part: a full pass in GROW, 0 in TRAIN."""
    if round_.terms.kind == RoundKind.TRAIN:
        return 0
    return network_macs(rules, base, round_.terms.rows, round_.classes)


def scoring_macs(rules: Rules, round_: Round, base: HasParameters, update: Update, rows: int) -> int:
    """MACs charged for judging an update on one part with so many rows: for version t and for the update."""
    before = network_macs(rules, base, rows, round_.classes)
    return before + update_macs(rules, base.spec, update, rows)


def check_update(
    rules: Rules, round_: Round, model: Model, base: HasParameters, update: Update
) -> NetworkSpec:
    """Checks an update against the round's terms and the model's policy; returns the spec that it makes.

    `base` is version t. Reads no tensor.

    Raises `UpdateKindMismatch`, `ArchitectureMismatch`, `NewClassesMismatch`, `UpdateTooLarge`,
    `UpdateTooWide`, `UpdateTooHeavy`, `TensorRepeated`, and what `check_spec` and `growth.append` raise.
    """
    terms = round_.terms
    if terms.kind != (RoundKind.TRAIN if isinstance(update, TrainUpdate) else RoundKind.GROW):
        raise UpdateKindMismatch(expected=terms.kind)
    if (size := update_size(update)) > terms.max_update_bytes:
        raise UpdateTooLarge(expected=terms.max_update_bytes, got=size)
    if isinstance(update, TrainUpdate):
        spec, width = _trained_spec(rules, base.spec, update.spec), neurons(update.spec)
    else:
        spec = _grown_spec(rules, round_, model, base.spec, update.growth)
        width = neurons(spec) - neurons(base.spec)
    if width > terms.max_update_neurons:
        raise UpdateTooWide(expected=terms.max_update_neurons, got=width)
    if (macs := update_macs(rules, base.spec, update, terms.rows)) > terms.max_update_macs:
        raise UpdateTooHeavy(expected=terms.max_update_macs, got=macs)
    if isinstance(update, GrowUpdate):
        _check_retention_scoring(rules, round_, model, base, update)
    check_tensors((*update.hidden, *update.outputs), update.tensors)
    return spec


def _check_retention_scoring(
    rules: Rules, round_: Round, model: Model, base: HasParameters, update: GrowUpdate
) -> None:
    """Refuses a growth whose scoring on a retention part takes more than half a block: `UpdateTooHeavy`.

    A retention part can have many more rows than the parts of the round, for which the terms bound an update.
    """
    for part in model.retention:
        macs = scoring_macs(rules, round_, base, update, part.rows)
        if macs > (most := rules.max_block_macs // 2):
            raise UpdateTooHeavy("scoring it on a retention part costs too much", expected=most, got=macs)


def check_tensors(segments: Sequence[SegmentSources], tensors: Sequence[bytes]) -> None:
    """Refuses tensors that travel twice or that no segment names. Raises `TensorRepeated`."""
    wanted = set(explicit_tensors(segments))
    ids = [blob_id(raw) for raw in tensors]
    if len(set(ids)) != len(ids) or not wanted.issuperset(ids):
        raise TensorRepeated(got=len(ids))


def propose(
    state: State, ctx: BlockContext, version: Version, spec: NetworkSpec, update: Update, author: Address
) -> Proposal:
    """The proposed network; its new segments bear the author's address. Raises what `open_network` raises."""
    number = version.number + 1
    brought = brought_tensors(update.tensors)
    hidden, outputs = (lineages(segments, number, author) for segments in (update.hidden, update.outputs))
    if isinstance(update, GrowUpdate):
        hidden, outputs = version.hidden + hidden, version.outputs + outputs
    return Proposal(open_network(state, ctx, spec, hidden, outputs, brought), hidden, outputs)


def lineages(segments: Sequence[SegmentSources], version: int, author: Address) -> tuple[Lineage, ...]:
    """Lineages of segments that this version and author bring."""
    return tuple(Lineage(segment.weights, segment.bias, version, author) for segment in segments)


def brought_tensors(tensors: Sequence[bytes]) -> Mapping[Hash, bytes]:
    """The tensors that travel in a transaction, by content id."""
    return {blob_id(raw): raw for raw in tensors}


def proposed_spec(base: NetworkSpec, update: Update) -> NetworkSpec:
    """The spec of the whole network that an update makes, after `check_update` has passed it."""
    return update.spec if isinstance(update, TrainUpdate) else grown_spec(base, update.growth)


def proposal_rows(
    ctx: BlockContext, round_: Round, model: Model, base: Network, network: Network, part: DataPart
) -> RowScores:
    """The scores of a proposed network on the rows of a part of the round.

    Raises what loading its parameters and proving their bounds raises.
    """
    if round_.terms.kind == RoundKind.TRAIN:
        return ctx.scorer.network_rows(network, part, round_.classes, model.loss_function)
    return ctx.scorer.growth_rows(base, network, part, round_.classes, model.loss_function)


def opened_parts(state: State, ctx: BlockContext, commitments: Sequence[Hash]) -> Iterator[DataPart]:
    """Opened parts by their commitments; one at a time, because each holds rows and activations in memory."""
    return (open_part(state, ctx, state.get(Part, commitment)) for commitment in commitments)


def _trained_spec(rules: Rules, base: NetworkSpec, spec: NetworkSpec) -> NetworkSpec:
    check_spec(spec, rules.networks)
    expected, got = _architecture(base), _architecture(spec)
    if expected != got:
        raise ArchitectureMismatch(expected=expected, got=got)
    return spec


def _architecture(spec: NetworkSpec) -> tuple[object, ...]:
    """Everything in a spec that a TRAIN update may not change."""
    segments = tuple(_shape(segment) for segment in (*spec.hidden, *spec.outputs))
    return spec.inputs, spec.classes, spec.components, len(spec.hidden), segments


def _shape(segment: HiddenSegment | Output) -> tuple[object, ...]:
    """The kind of a segment and all its fields but its scales, which alone a TRAIN update may change."""
    kept = (getattr(segment, field.name) for field in fields(segment) if field.name not in segment.SCALES)
    return type(segment).__name__, *kept


def _grown_spec(rules: Rules, round_: Round, model: Model, base: NetworkSpec, growth: Growth) -> NetworkSpec:
    if growth.classes != round_.terms.new_classes:
        raise NewClassesMismatch(expected=round_.terms.new_classes, got=growth.classes)
    return append(
        base,
        growth,
        policy=model.growth_policy,
        limits=rules.networks,
        capacity_from=model.classes_before_growth,
    )
