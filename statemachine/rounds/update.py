"""Updates that authors commit to and reveal: shape, caps, the network they make, its scores. Moves no coins.

TRAIN brings parameters for every segment of version t; shifts may differ, shapes and wiring may not. GROW
brings new segments for version t and nothing else, so nothing else can change. All is decided from the update
and the records: what is raised about an update that was committed to costs the author's bond.

    digest = tagged_hash(COMMIT, encode(UpdateClaim))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Final

from engram.nn.growth import Growth, append
from engram.nn.layers import HiddenSegment, Output
from engram.nn.network import NetworkSpec
from engram.nn.spec import check_spec, neurons
from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import U8, U64, Address, Hash, Size
from engram.statemachine.content import blob_id
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import open_network, open_part, version_network
from engram.statemachine.parameters import (
    HasParameters,
    Network,
    SegmentSources,
    explicit_tensors,
    growth_between,
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
from engram.statemachine.rounds.records import PartScore, Round, RoundKind
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import DataPart, growth_macs, network_macs
from engram.statemachine.state import State

Sources = Annotated[tuple[SegmentSources, ...], Size(0, 256)]
Tensors = Annotated[tuple[Annotated[bytes, Size(1, 2**20)], ...], Size(0, 1024)]


@dataclass(frozen=True)
class TrainUpdate:
    """A whole network in place of version t."""

    TAG: ClassVar[int] = 1
    spec: NetworkSpec
    hidden: Sources
    outputs: Sources
    tensors: Tensors = ()
    """Bytes that travel with the update; every one is named by a source."""


@dataclass(frozen=True)
class GrowUpdate:
    """What to append to version t."""

    TAG: ClassVar[int] = 2
    growth: Growth
    hidden: Sources
    """Of the new hidden segments."""
    outputs: Sources
    """Of the new output segments."""
    tensors: Tensors = ()


Update = TrainUpdate | GrowUpdate

_SCALES: Final = frozenset({"shift", "s1", "h", "s2"})
"""Fields of a segment that go with the scale of its weights: all that a TRAIN update may change of it."""


@dataclass(frozen=True)
class UpdateClaim:
    """What a commit binds: this author, this place, these parameters, this loss."""

    chain_id: U64
    author: Address
    round: Hash
    epoch: U8
    base: Hash
    """Parameters root of the version that the update improves."""
    parameters: Hash
    """Parameters root of the whole network that the update makes."""
    loss: U64
    """Claimed loss on the k validation parts, summed, Q24 nats."""
    salt: Hash
    """32 random bytes, so that nobody can try likely claims."""


@dataclass(frozen=True)
class Proposal:
    """A network that an update makes of version t, ready to be scored."""

    network: Network
    hidden: tuple[Lineage, ...]
    outputs: tuple[Lineage, ...]

    @property
    def spec(self) -> NetworkSpec:
        """Shape and wiring of the whole network."""
        return self.network.spec


def commit_digest(claim: UpdateClaim) -> Hash:
    """What `commit_update` carries."""
    return hash_object(Tag.COMMIT, claim)


def update_size(update: Update) -> int:
    """Canonical bytes of an update, its tensors included."""
    return len(encode(update))


def update_macs(rules: Rules, base: NetworkSpec, update: Update, rows: int) -> int:
    """Charge for scoring the update on one part of these rows; the update has passed `check_update`."""
    if isinstance(update, TrainUpdate):
        return network_macs(rules, update, rows)
    return growth_macs(rules, base, update.growth, (*update.hidden, *update.outputs), rows)


def reveal_macs(rules: Rules, round_: Round, base: HasParameters, update: int) -> int:
    """Charge for scoring an update on all k validation parts, `update` being its charge on one of them.

    In GROW version t is charged for as well: a node that has not kept its activations makes them again.
    """
    return round_.terms.validation * (update + base_macs(rules, round_, base))


def base_macs(rules: Rules, round_: Round, base: HasParameters) -> int:
    """Charge for what an update on one validation part starts from: version t in GROW, nothing in TRAIN."""
    if round_.terms.kind == RoundKind.TRAIN:
        return 0
    return network_macs(rules, base, round_.terms.rows, round_.classes)


def candidate_macs(rules: Rules, round_: Round, base: NetworkSpec, proposed: HasParameters, rows: int) -> int:
    """Charge for scoring a candidate, known by the network it proposes, on one part of these rows."""
    if round_.terms.kind == RoundKind.TRAIN:
        return network_macs(rules, proposed, rows)
    added = (*proposed.hidden[len(base.hidden) :], *proposed.outputs[len(base.outputs) :])
    return growth_macs(rules, base, growth_between(base, proposed.spec), added, rows)


def check_update(rules: Rules, round_: Round, model: Model, base: NetworkSpec, update: Update) -> NetworkSpec:
    """The network that the update makes, within the round's caps and the model's policy. Reads no tensor.

    Raises `UpdateKindMismatch`, `ArchitectureMismatch`, `NewClassesMismatch`, `UpdateTooLarge`,
    `UpdateTooWide`, `UpdateTooHeavy`, `TensorRepeated`, and what `check_spec` and `growth.append` raise.
    """
    terms = round_.terms
    if terms.kind != (RoundKind.TRAIN if isinstance(update, TrainUpdate) else RoundKind.GROW):
        raise UpdateKindMismatch(expected=terms.kind)
    if (size := update_size(update)) > terms.max_update_bytes:
        raise UpdateTooLarge(expected=terms.max_update_bytes, got=size)
    if isinstance(update, TrainUpdate):
        spec, width = _trained_spec(rules, base, update.spec), neurons(update.spec)
    else:
        spec = _grown_spec(rules, round_, model, base, update.growth)
        width = neurons(spec) - neurons(base)
    if width > terms.max_update_neurons:
        raise UpdateTooWide(expected=terms.max_update_neurons, got=width)
    if (macs := update_macs(rules, base, update, terms.rows)) > terms.max_update_macs:
        raise UpdateTooHeavy(expected=terms.max_update_macs, got=macs)
    check_tensors((*update.hidden, *update.outputs), update.tensors)
    return spec


def check_tensors(segments: Sequence[SegmentSources], tensors: Sequence[bytes]) -> None:
    """Refuses tensors that travel twice or that no segment names. Raises `TensorRepeated`."""
    wanted = set(explicit_tensors(segments))
    ids = [blob_id(raw) for raw in tensors]
    if len(set(ids)) != len(ids) or not wanted.issuperset(ids):
        raise TensorRepeated(got=len(ids))


def propose(
    state: State, ctx: BlockContext, version: Version, spec: NetworkSpec, update: Update, author: Address
) -> Proposal:
    """The proposed network, its new segments under the author's name. Raises what `open_network` raises."""
    number = version.number + 1
    brought = brought_tensors(update.tensors)
    hidden, outputs = (lineages(segments, number, author) for segments in (update.hidden, update.outputs))
    if isinstance(update, GrowUpdate):
        hidden, outputs = version.hidden + hidden, version.outputs + outputs
    return Proposal(open_network(state, ctx, spec, hidden, outputs, brought), hidden, outputs)


def lineages(segments: Sequence[SegmentSources], version: int, author: Address) -> tuple[Lineage, ...]:
    """Segments under the version and author that bring them."""
    return tuple(Lineage(segment.weights, segment.bias, version, author) for segment in segments)


def brought_tensors(tensors: Sequence[bytes]) -> Mapping[Hash, bytes]:
    """Tensors that travel in a transaction, by content id."""
    return {blob_id(raw): raw for raw in tensors}


def score_baseline(
    state: State, ctx: BlockContext, round_: Round, model: Model, version: Version, part: DataPart
) -> PartScore:
    """Version t on a part of the round; the logits of classes it has not learned are 0."""
    network = version_network(state, ctx, version)
    keep = round_.terms.kind == RoundKind.GROW
    score = ctx.scorer.score_network(network, part, round_.classes, model.loss_function, keep=keep)
    return PartScore(score.loss, score.correct)


def score_proposal(
    ctx: BlockContext, round_: Round, model: Model, base: Network, network: Network, part: DataPart
) -> PartScore:
    """A proposed network on a part of the round. Raises what loading and proving its parameters raises."""
    if round_.terms.kind == RoundKind.TRAIN:
        score = ctx.scorer.score_network(network, part, round_.classes, model.loss_function)
    else:
        score = ctx.scorer.score_growth(base, network, part, round_.classes, model.loss_function)
    return PartScore(score.loss, score.correct)


def opened_parts(state: State, ctx: BlockContext, commitments: Sequence[Hash]) -> Iterator[DataPart]:
    """Revealed parts by their commitments; one at a time, since each holds rows and activations."""
    return (open_part(state, ctx, state.get(Part, commitment)) for commitment in commitments)


def _trained_spec(rules: Rules, base: NetworkSpec, spec: NetworkSpec) -> NetworkSpec:
    check_spec(spec, rules.networks)
    expected, got = _architecture(base), _architecture(spec)
    if expected != got:
        raise ArchitectureMismatch(expected=expected, got=got)
    return spec


def _architecture(spec: NetworkSpec) -> tuple[object, ...]:
    """All of a network but its shifts."""
    segments = tuple(_shape(segment) for segment in (*spec.hidden, *spec.outputs))
    return spec.inputs, spec.classes, spec.components, len(spec.hidden), segments


def _shape(segment: HiddenSegment | Output) -> tuple[object, ...]:
    kept = (getattr(segment, field.name) for field in fields(segment) if field.name not in _SCALES)
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
