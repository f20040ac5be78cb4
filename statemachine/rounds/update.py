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

from engram.nn.data import part_size
from engram.nn.growth import Growth, append
from engram.nn.layers import HiddenSegment, Output
from engram.nn.loss import RowScores
from engram.nn.network import NetworkSpec
from engram.nn.spec import check_spec, neurons
from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import U8, U64, Address, Hash
from engram.statemachine.additions import (
    GrowUpdate,
    SegmentSources,
    TrainUpdate,
    Update,
    explicit_tensors,
    halves_of,
    parameters_root,
)
from engram.statemachine.content import blob_id
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import open_growth, open_network, open_part
from engram.statemachine.parameters import Composition, GrownNetwork, WholeNetwork
from engram.statemachine.records import GrowthLimits, Model, Part
from engram.statemachine.rounds.errors import (
    ArchitectureMismatch,
    GrowthAboveLimit,
    NewClassesMismatch,
    TensorRepeated,
    UpdateKindMismatch,
    UpdateTooHeavy,
    UpdateTooLarge,
    UpdateTooWide,
)
from engram.statemachine.rounds.records import Round, RoundKind
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import DataPart, growth_macs, network_macs
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


def base_macs(rules: Rules, round_: Round, base: Composition) -> int:
    """MACs of version t on all k validation parts, which a block needs room for when a growth is revealed.

    The opener paid for them when the parts were revealed; a node that no longer remembers the activations
    must compute them again. 0 in TRAIN.
    """
    if round_.terms.kind == RoundKind.TRAIN:
        return 0
    return round_.terms.validation * network_macs(rules, base, round_.terms.rows, round_.classes)


def reading_macs(rules: Rules, inputs: int, rows: int) -> int:
    """MACs charged for reading a part with so many rows and nothing else."""
    return rules.macs_per_loaded_byte * part_size(rows, inputs)


def scoring_macs(rules: Rules, round_: Round, base: Composition, update: Update, rows: int) -> int:
    """MACs charged for judging an update on one part with so many rows: for version t and for the update."""
    before = network_macs(rules, base, rows, round_.classes)
    return before + update_macs(rules, base.spec, update, rows)


def check_update(rules: Rules, round_: Round, model: Model, base: Composition, update: Update) -> None:
    """Checks an update against the round's terms and the model's policy.

    `base` is version t. Reads no tensor.

    Raises `UpdateKindMismatch`, `ArchitectureMismatch`, `NewClassesMismatch`, `UpdateTooLarge`,
    `UpdateTooWide`, `UpdateTooHeavy`, `GrowthAboveLimit`, `TensorRepeated`, and what `check_spec` and
    `growth.append` raise.
    """
    terms = round_.terms
    if terms.kind != (RoundKind.TRAIN if isinstance(update, TrainUpdate) else RoundKind.GROW):
        raise UpdateKindMismatch(expected=terms.kind)
    if (size := update_size(update)) > terms.max_update_bytes:
        raise UpdateTooLarge(expected=terms.max_update_bytes, got=size)
    if isinstance(update, TrainUpdate):
        _check_trained(rules, base.spec, update.spec)
        width = neurons(update.spec)
    else:
        _check_grown(rules, round_, model, base.spec, update.growth)
        width = sum(segment.width for segment in update.growth.hidden)
    # The terms bound each half of a union by itself.
    most = model.growth_limits.neurons if halves_of(update) else terms.max_update_neurons
    if width > most:
        raise UpdateTooWide(expected=most, got=width)
    if (macs := update_macs(rules, base.spec, update, terms.rows)) > terms.max_update_macs:
        raise UpdateTooHeavy(expected=terms.max_update_macs, got=macs)
    if isinstance(update, GrowUpdate) and model.claims is None:
        _check_retention_scoring(rules, round_, model, base, update)
    check_tensors((*update.hidden, *update.outputs), update.tensors)


def _check_retention_scoring(
    rules: Rules, round_: Round, model: Model, base: Composition, update: GrowUpdate
) -> None:
    """Refuses a growth whose scoring on a retention part takes more than half a block: `UpdateTooHeavy`.

    Where authors claim scores, no node scores it there: `claims.check_claim_steps` has what is computed.

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
    state: State, ctx: BlockContext, base: WholeNetwork, update: Update, author: Address
) -> WholeNetwork | GrownNetwork:
    """The network that a checked update of this author makes of version t, which is `base`.

    Raises what `open_network` and `open_growth` raise.
    """
    root, brought = parameters_root(base.root, author, update), brought_tensors(update.tensors)
    if isinstance(update, TrainUpdate):
        return open_network(state, ctx, root, update, brought)
    return open_growth(state, ctx, root, base, update, brought)


def brought_tensors(tensors: Sequence[bytes]) -> Mapping[Hash, bytes]:
    """The tensors that travel in a transaction, by content id."""
    return {blob_id(raw): raw for raw in tensors}


def proposal_rows(
    ctx: BlockContext, round_: Round, model: Model, network: WholeNetwork | GrownNetwork, part: DataPart
) -> RowScores:
    """The scores of a proposed network on the rows of a part of the round.

    Raises what loading its parameters and proving their bounds raises.
    """
    if isinstance(network, GrownNetwork):
        return ctx.scorer.growth_rows(network, part, round_.classes, model.loss_function)
    return ctx.scorer.network_rows(network, part, round_.classes, model.loss_function)


def opened_parts(state: State, ctx: BlockContext, commitments: Sequence[Hash]) -> Iterator[DataPart]:
    """Opened parts by their commitments; one at a time, because each holds rows and activations in memory."""
    return (open_part(state, ctx, state.get(Part, commitment)) for commitment in commitments)


def _check_trained(rules: Rules, base: NetworkSpec, spec: NetworkSpec) -> None:
    check_spec(spec, rules.networks)
    expected, got = _architecture(base), _architecture(spec)
    if expected != got:
        raise ArchitectureMismatch(expected=expected, got=got)


def _architecture(spec: NetworkSpec) -> tuple[object, ...]:
    """Everything in a spec that a TRAIN update may not change."""
    segments = tuple(_shape(segment) for segment in (*spec.hidden, *spec.outputs))
    return spec.inputs, spec.classes, spec.components, len(spec.hidden), segments


def _shape(segment: HiddenSegment | Output) -> tuple[object, ...]:
    """The kind of a segment and all its fields but its scales, which alone a TRAIN update may change."""
    kept = (getattr(segment, field.name) for field in fields(segment) if field.name not in segment.SCALES)
    return type(segment).__name__, *kept


def _check_grown(rules: Rules, round_: Round, model: Model, base: NetworkSpec, growth: Growth) -> None:
    if growth.classes != round_.terms.new_classes:
        raise NewClassesMismatch(expected=round_.terms.new_classes, got=growth.classes)
    append(
        base,
        growth,
        policy=model.growth_policy,
        limits=rules.networks,
        capacity_from=model.classes_before_growth,
    )
    check_growth_limits(model.growth_limits, growth)


def check_growth_limits(limits: GrowthLimits, growth: Growth) -> None:
    """Refuses a growth that takes more than one growth of the model may. Raises `GrowthAboveLimit`.

    No round is opened for more classes or neurons than are allowed, and an update keeps to its round, or as a
    union to the neurons that the model allows.
    """
    segments = (*growth.hidden, *growth.outputs)
    for name, most, got in (
        ("segments", limits.segments, len(segments)),
        ("components", limits.components, len(growth.components) or growth.classes),
        ("MACs a row", limits.macs_per_row, sum(segment.macs_per_row() for segment in segments)),
    ):
        if got > most:
            raise GrowthAboveLimit(
                f"a growth of this model may not have so many {name}", expected=most, got=got
            )
