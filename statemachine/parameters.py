"""The numbers of a network: where they come from, the root that names them all, and lazy loading. No state.

    parameters root = tagged_hash(Tag.PARAMETERS, encode(ParameterSources(spec, hidden, outputs)))

The root commits to every integer of the network: to its spec, and to the two tensors of each segment, by
content id or by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from engram.nn.dtypes import INT8, INT16, INT32, IntArray
from engram.nn.growth import Growth, grown_spec
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.segment import Shape
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.parameters import Bounds, prove_bounds
from engram.nn.seeded import Seeded, expand, generation_macs
from engram.nn.spec import component_classes, component_count, parameter_shapes
from engram.nn.tensor import Explicit, tensor_array, tensor_size
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import Hash, Size
from engram.statemachine.record import TensorSource


class HasSources(Protocol):
    """A `SegmentSources` or a `Lineage`."""

    @property
    def weights(self) -> TensorSource: ...
    @property
    def bias(self) -> TensorSource: ...


class HasParameters(Protocol):
    """A version, a candidate, a founding, an update: a spec, and sources for each of its segments."""

    @property
    def spec(self) -> NetworkSpec: ...
    @property
    def hidden(self) -> Sequence[HasSources]: ...
    @property
    def outputs(self) -> Sequence[HasSources]: ...


@dataclass(frozen=True)
class SegmentSources:
    """Where the two tensors of one segment come from."""

    weights: TensorSource
    bias: TensorSource


@dataclass(frozen=True)
class ParameterSources:
    """Everything that a parameters root commits to."""

    spec: NetworkSpec
    hidden: Annotated[tuple[SegmentSources, ...], Size(0, 256)]
    outputs: Annotated[tuple[SegmentSources, ...], Size(0, 256)]


class Network:
    """A spec and the sources of its numbers, which are read and checked when they are first needed.

    `loading.open_network` makes it, after it has checked the spec and the size of every tensor.
    """

    __slots__ = ("_bounds", "_read", "_segments", "root", "spec")

    def __init__(self, sources: ParameterSources, read: Callable[[Hash], bytes]) -> None:
        """`read` returns the bytes with a content id."""
        self.root: Final = hash_object(Tag.PARAMETERS, sources)
        self.spec: Final = sources.spec
        self._read = read
        self._segments = tuple(_LazySegment(segment) for segment in (*sources.hidden, *sources.outputs))
        self._bounds: Bounds | None = None

    def load(self) -> tuple[Parameters, Bounds]:
        """The parameters, hidden segments first, and the proof that no accumulator can leave 32 bits.

        Raises `BadTensor` and what `prove_bounds` raises, and `MissingBlob` if this node lacks the bytes.
        """
        parameters = tuple(segment.load(self._read) for segment in self._segments)
        if self._bounds is None:
            self._bounds = prove_bounds(self.spec, parameters)
        return parameters, self._bounds

    def load_growth(self, base: NetworkSpec) -> tuple[Growth, Parameters]:
        """The growth from `base` to this network, and the parameters of the new segments. No others are read.

        Raises `BadTensor`, `MissingBlob`.
        """
        growth = growth_between(base, self.spec)
        split = len(self.spec.hidden)
        appended = (*self._segments[len(base.hidden) : split], *self._segments[split + len(base.outputs) :])
        return growth, tuple(segment.load(self._read) for segment in appended)


class _LazySegment:
    """The parameters of one segment, read when they are first needed."""

    __slots__ = ("_loaded", "_sources")

    def __init__(self, sources: SegmentSources) -> None:
        self._sources = sources
        self._loaded: SegmentParameters | None = None

    def load(self, read: Callable[[Hash], bytes]) -> SegmentParameters:
        if self._loaded is None:
            weights, bias = (_array(source, read) for source in (self._sources.weights, self._sources.bias))
            self._loaded = SegmentParameters(weights, bias)
        return self._loaded


def parameters_root(spec: NetworkSpec, hidden: Sequence[HasSources], outputs: Sequence[HasSources]) -> Hash:
    """The hash that names a network with all its parameters. Raises `CodecError` for a bad field."""
    return hash_object(Tag.PARAMETERS, sources_of(spec, hidden, outputs))


def sources_of(
    spec: NetworkSpec, hidden: Sequence[HasSources], outputs: Sequence[HasSources]
) -> ParameterSources:
    """The sources of a network whose segments may be lineages, without versions and authors."""

    def plain(segments: Sequence[HasSources]) -> tuple[SegmentSources, ...]:
        return tuple(SegmentSources(segment.weights, segment.bias) for segment in segments)

    return ParameterSources(spec, plain(hidden), plain(outputs))


def explicit_tensors(segments: Sequence[HasSources]) -> tuple[Hash, ...]:
    """Content ids that these segments name, in order, with repeats; a record holds one reference for each."""
    tensors = (tensor for segment in segments for tensor in (segment.weights, segment.bias))
    return tuple(tensor.tensor for tensor in tensors if isinstance(tensor, Explicit))


def seeded_macs(segments: Iterable[HasSources]) -> int:
    """MACs charged for generating the seeded tensors of these segments. Raises as `check_seeded`."""
    tensors = (tensor for segment in segments for tensor in (segment.weights, segment.bias))
    return sum(generation_macs(tensor) for tensor in tensors if isinstance(tensor, Seeded))


def weight_code(segment: HiddenSegment | Output) -> int:
    """Element type of a segment's weight tensor; a bias is always `INT32`."""
    return INT8 if segment.weight_bits == 8 else INT16


def growth_between(base: NetworkSpec, grown: NetworkSpec) -> Growth:
    """The growth that made `grown` from `base`; `append` has made every network that is asked about."""
    growth = Growth(
        grown.classes - base.classes,
        grown.hidden[len(base.hidden) :],
        grown.outputs[len(base.outputs) :],
        component_classes(grown)[component_count(base) :],
    )
    assert grown_spec(base, growth) == grown, "`append` made it by `grown_spec`, in canonical form"
    return growth


def parameter_bytes(spec: NetworkSpec) -> int:
    """Canonical bytes of all tensors of a network, seeded ones included: so many bytes does loading touch."""
    segments = (*spec.hidden, *spec.outputs)
    return sum(_tensor_bytes(*segment) for segment in zip(segments, parameter_shapes(spec), strict=True))


def growth_bytes(spec: NetworkSpec, growth: Growth) -> int:
    """`parameter_bytes` of the segments that a growth of `spec` appends."""
    return parameter_bytes(grown_spec(spec, growth)) - parameter_bytes(spec)


def _tensor_bytes(segment: HiddenSegment | Output, shapes: tuple[Shape, Shape]) -> int:
    return tensor_size(weight_code(segment), shapes[0]) + tensor_size(INT32, shapes[1])


def _array(source: TensorSource, read: Callable[[Hash], bytes]) -> IntArray:
    return tensor_array(read(source.tensor)) if isinstance(source, Explicit) else expand(source)
