"""Makes networks and data parts from records; checks every size before a byte is read. Runs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engram.nn.data import PartData, parse_part
from engram.nn.dtypes import INT32
from engram.nn.errors import ShapeMismatch
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded, check_seeded
from engram.nn.spec import check_spec, parameter_shapes
from engram.nn.tensor import Explicit, tensor_size
from engram.primitives.types import Hash
from engram.statemachine.content import usable_blob
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import BlobNotUsable
from engram.statemachine.parameters import HasSources, Network, sources_of, weight_code
from engram.statemachine.record import TensorSource
from engram.statemachine.records import Part, Version
from engram.statemachine.scoring import DataPart
from engram.statemachine.state import State

NOTHING_BROUGHT: Final[Mapping[Hash, bytes]] = {}


def open_network(
    state: State,
    ctx: BlockContext,
    spec: NetworkSpec,
    hidden: Sequence[HasSources],
    outputs: Sequence[HasSources],
    brought: Mapping[Hash, bytes] = NOTHING_BROUGHT,
) -> Network:
    """The network with these sources. Spec and sizes are checked here; the tensors are read when needed.

    `brought` holds tensors that travel in the same transaction, by content id.
    Raises what `check_spec` and `check_sources` raise.
    """
    check_spec(spec, ctx.rules.networks)
    check_sources(state, ctx, spec, hidden, outputs, brought)

    def read(tensor: Hash) -> bytes:
        return brought[tensor] if tensor in brought else ctx.blobs.get_blob(tensor)

    return Network(sources_of(spec, hidden, outputs), read)


def version_network(state: State, ctx: BlockContext, version: Version) -> Network:
    """The network of a version that has passed `check_version_usable`."""
    return open_network(state, ctx, version.spec, version.hidden, version.outputs)


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
    spec: NetworkSpec,
    hidden: Sequence[HasSources],
    outputs: Sequence[HasSources],
    brought: Mapping[Hash, bytes] = NOTHING_BROUGHT,
) -> None:
    """Checks that every segment has two tensors of the sizes that its shapes demand; reads no tensor.

    Raises `ShapeMismatch`, `BadSeededTensor`, `UnknownGenerator`, and what `usable_blob` raises for a tensor
    that cannot be named.
    """
    for segments, sources in ((spec.hidden, hidden), (spec.outputs, outputs)):
        if len(segments) != len(sources):
            raise ShapeMismatch(
                "segments and sources differ in number", expected=len(segments), got=len(sources)
            )
    wanted = zip((*spec.hidden, *spec.outputs), parameter_shapes(spec), (*hidden, *outputs), strict=True)
    for segment, (weights_shape, bias_shape), source in wanted:
        _check_tensor(state, ctx, source.weights, weight_code(segment), weights_shape, brought)
        _check_tensor(state, ctx, source.bias, INT32, bias_shape, brought)


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
