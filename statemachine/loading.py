"""Makes networks and data parts from records; checks every size before a byte is read. Runs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from engram.nn.data import PartData, parse_part
from engram.nn.dtypes import INT32
from engram.nn.errors import ShapeMismatch
from engram.nn.layers import HiddenSegment, Output
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded, check_seeded
from engram.nn.spec import check_spec
from engram.nn.tensor import Explicit, tensor_size
from engram.nn.totals import weight_code
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.additions import Addition, GrowUpdate, HasSources, Inherited
from engram.statemachine.content import usable_blob
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import BlobNotUsable
from engram.statemachine.parameters import Composition, GrownNetwork, Read, WholeNetwork, compose
from engram.statemachine.record import TensorSource, u32
from engram.statemachine.records import Part, Version
from engram.statemachine.scoring import DataPart
from engram.statemachine.state import State

NOTHING_BROUGHT: Final[Mapping[Hash, bytes]] = {}


class HasSegments(Protocol):
    """A founding or a TRAIN update: a spec, and sources for each of its segments."""

    @property
    def spec(self) -> NetworkSpec: ...
    @property
    def hidden(self) -> Sequence[HasSources]: ...
    @property
    def outputs(self) -> Sequence[HasSources]: ...


def composition_of(state: State, ctx: BlockContext, version: Version) -> Composition:
    """The whole network of a version: from its line back to the last one that is remembered, or is whole."""
    cache = ctx.scorer.cache
    line: list[Addition] = []
    known = cache.get_composition(version.root)
    steps = _steps_back(state, version)
    while known is None and (added := next(steps, None)) is not None:
        line.append(added)
        known = cache.get_composition(added.parent) if added.parent != ZERO_HASH else None
    while line:
        known = compose(known, line.pop())
    assert known is not None, "version 0 of a model brings a whole network, or is that of another model"
    cache.put_composition(known)
    return known


def line_of(state: State, version: Version) -> tuple[Addition, ...]:
    """Everything that the network of a version is made of, from the whole network to the last growth."""
    return tuple(reversed(list(_steps_back(state, version))))


def _steps_back(state: State, version: Version) -> Iterator[Addition]:
    """What a version adds, what the one before it has added, and so on down to a whole network."""
    while True:
        if isinstance(version.added, Inherited):
            version = state.get(Version, version.added.model, u32(version.added.version))
        added = version.addition
        assert added is not None, "a version of a fork names the version that brought the network"
        yield added
        if added.parent == ZERO_HASH:
            return
        version = state.get(Version, version.model, u32(version.number - 1))


def open_network(
    state: State,
    ctx: BlockContext,
    root: Hash,
    whole: HasSegments,
    brought: Mapping[Hash, bytes] = NOTHING_BROUGHT,
) -> WholeNetwork:
    """A whole network that somebody brings. Spec and sizes are checked here; tensors are read when needed.

    `brought` holds tensors that travel in the same transaction, by content id.
    Raises what `check_spec` and `check_sources` raise.
    """
    check_spec(whole.spec, ctx.rules.networks)
    segments = (*whole.spec.hidden, *whole.spec.outputs)
    _check_counts(whole.spec.hidden, whole.spec.outputs, whole.hidden, whole.outputs)
    sources = (*whole.hidden, *whole.outputs)
    check_sources(state, ctx, segments, sources, brought)
    return WholeNetwork(root, whole.spec, sources, _reader(ctx, brought), ctx.scorer.expand)


def open_growth(
    state: State,
    ctx: BlockContext,
    root: Hash,
    base: WholeNetwork,
    update: GrowUpdate,
    brought: Mapping[Hash, bytes] = NOTHING_BROUGHT,
) -> GrownNetwork:
    """A growth, which `growth.append` has accepted, on top of a network. Looks at nothing but what is new.

    Raises what `check_sources` raises.
    """
    growth = update.growth
    _check_counts(growth.hidden, growth.outputs, update.hidden, update.outputs)
    segments = (*growth.hidden, *growth.outputs)
    check_sources(state, ctx, segments, (*update.hidden, *update.outputs), brought)
    return GrownNetwork(root, base, update, _reader(ctx, brought), ctx.scorer.expand)


def version_network(state: State, ctx: BlockContext, version: Version) -> WholeNetwork:
    """The network of a version that has passed `check_version_usable`."""
    return composed_network(ctx, composition_of(state, ctx, version))


def composed_network(ctx: BlockContext, composition: Composition) -> WholeNetwork:
    """The network of a usable version whose composition is at hand."""
    segments = composition.segments
    return WholeNetwork(composition.root, composition.spec, segments, ctx.blobs.get_blob, ctx.scorer.expand)


def _reader(ctx: BlockContext, brought: Mapping[Hash, bytes]) -> Read:
    def read(tensor: Hash) -> bytes:
        return brought[tensor] if tensor in brought else ctx.blobs.get_blob(tensor)

    return read


def check_version_usable(ctx: BlockContext, version: Version) -> None:
    """A version can be used from the block after the one that made it. Raises `BlobNotUsable`.

    From then on all of its tensors can be named, because the version holds references to them; so this one
    comparison takes the place of looking up hundreds of tensors.
    """
    if version.height >= ctx.height:
        raise BlobNotUsable(expected=version.height + 1, got=ctx.height)


def check_sources(
    state: State,
    ctx: BlockContext,
    segments: Sequence[HiddenSegment | Output],
    sources: Sequence[HasSources],
    brought: Mapping[Hash, bytes] = NOTHING_BROUGHT,
) -> None:
    """Checks that every segment has two tensors of the sizes that its shapes demand; reads no tensor.

    Raises `ShapeMismatch`, `BadSeededTensor`, `UnknownGenerator`, and what `usable_blob` raises for a tensor
    that cannot be named.
    """
    for segment, source in zip(segments, sources, strict=True):
        weights_shape, bias_shape = segment.parameter_shapes()
        _check_tensor(state, ctx, source.weights, weight_code(segment), weights_shape, brought)
        _check_tensor(state, ctx, source.bias, INT32, bias_shape, brought)


def _check_counts(
    hidden: Sequence[HiddenSegment],
    outputs: Sequence[Output],
    hidden_sources: Sequence[HasSources],
    output_sources: Sequence[HasSources],
) -> None:
    for segments, sources in ((hidden, hidden_sources), (outputs, output_sources)):
        if len(segments) != len(sources):
            raise ShapeMismatch(
                "segments and sources differ in number", expected=len(segments), got=len(sources)
            )


def open_part(state: State, ctx: BlockContext, part: Part) -> DataPart:
    """The rows of a published part. Raises what `usable_blob` raises."""
    usable_blob(state, ctx, part.blob)

    def load() -> PartData:
        raw = ctx.blobs.get_blob(part.blob)
        return parse_part(raw, rows=part.rows, inputs=part.inputs, classes=part.classes)

    return DataPart(part.id, load)


def _check_tensor(
    state: State,
    ctx: BlockContext,
    source: TensorSource,
    dtype: int,
    shape: tuple[int, ...],
    brought: Mapping[Hash, bytes],
) -> None:
    if isinstance(source, Explicit):
        size = _explicit_size(state, ctx, source, brought)
        if size != (expected := tensor_size(dtype, shape)):
            raise ShapeMismatch("a tensor does not have its segment's size", expected=expected, got=size)
    else:
        _check_seeded(source, dtype, shape)


def _explicit_size(state: State, ctx: BlockContext, source: Explicit, brought: Mapping[Hash, bytes]) -> int:
    if source.tensor in brought:
        return len(brought[source.tensor])
    return usable_blob(state, ctx, source.tensor).size_bytes


def _check_seeded(source: Seeded, dtype: int, shape: tuple[int, ...]) -> None:
    if (source.dtype, source.shape) != (dtype, shape):
        raise ShapeMismatch(
            "a seeded tensor does not have its segment's type and shape",
            expected=(dtype, *shape),
            got=(source.dtype, *source.shape),
        )
    check_seeded(source)
