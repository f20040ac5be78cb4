"""Which numbers a network has: tensor sources, the root that names them all, and lazy loading. No state.

    parameters root = tagged_hash(Tag.PARAMETERS, encode(ParameterSources(spec, hidden, outputs)))

The root names every integer of the network: its spec, and the two tensors of each block by content or seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from engram.nn.dtypes import INT8, INT16, INT32, IntArray
from engram.nn.growth import Growth, grown_spec
from engram.nn.layers import HiddenBlock, Output
from engram.nn.network import BlockParameters, NetworkSpec, Parameters
from engram.nn.parameters import Bounds, prove_bounds
from engram.nn.seeded import Seeded, expand, generation_macs
from engram.nn.spec import component_classes, component_count, parameter_shapes
from engram.nn.tensor import Explicit, tensor_array, tensor_size
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import Hash, Size
from engram.statemachine.record import TensorSource


class HasSources(Protocol):
    """A `BlockSources` or a `Lineage`."""

    @property
    def weights(self) -> TensorSource: ...
    @property
    def bias(self) -> TensorSource: ...


class HasParameters(Protocol):
    """A version, a candidate, a founding, an update: a spec, and sources for each of its blocks."""

    @property
    def spec(self) -> NetworkSpec: ...
    @property
    def hidden(self) -> Sequence[HasSources]: ...
    @property
    def outputs(self) -> Sequence[HasSources]: ...


@dataclass(frozen=True)
class BlockSources:
    """Where the numbers of one block come from."""

    weights: TensorSource
    bias: TensorSource


@dataclass(frozen=True)
class ParameterSources:
    """All that a parameters root commits to."""

    spec: NetworkSpec
    hidden: Annotated[tuple[BlockSources, ...], Size(0, 256)]
    outputs: Annotated[tuple[BlockSources, ...], Size(0, 256)]


class Network:
    """A spec and the sources of its numbers, which are read, checked and bounded when they are first needed.

    Made by `loading.open_network`, which has checked the spec and every size.
    """

    __slots__ = ("_blocks", "_bounds", "_read", "root", "spec")

    def __init__(self, sources: ParameterSources, read: Callable[[Hash], bytes]) -> None:
        """`read` gives the bytes of a content id."""
        self.root: Final = hash_object(Tag.PARAMETERS, sources)
        self.spec: Final = sources.spec
        self._read = read
        self._blocks = tuple(_LazyBlock(block) for block in (*sources.hidden, *sources.outputs))
        self._bounds: Bounds | None = None

    def load(self) -> tuple[Parameters, Bounds]:
        """The parameters, hidden blocks first, and the proof that they fit int32.

        Raises `BadTensor` and what `prove_bounds` raises; `MissingBlob` where this node lacks the bytes.
        """
        parameters = tuple(block.load(self._read) for block in self._blocks)
        if self._bounds is None:
            self._bounds = prove_bounds(self.spec, parameters)
        return parameters, self._bounds

    def load_growth(self, base: NetworkSpec) -> tuple[Growth, Parameters]:
        """What this network appends to `base`, and the parameters of that alone; old blocks are not read.

        Raises `BadTensor`, `MissingBlob`.
        """
        growth = growth_between(base, self.spec)
        split = len(self.spec.hidden)
        appended = (*self._blocks[len(base.hidden) : split], *self._blocks[split + len(base.outputs) :])
        return growth, tuple(block.load(self._read) for block in appended)


class _LazyBlock:
    """The numbers of one block, before and after they are read."""

    __slots__ = ("_loaded", "_sources")

    def __init__(self, sources: BlockSources) -> None:
        self._sources = sources
        self._loaded: BlockParameters | None = None

    def load(self, read: Callable[[Hash], bytes]) -> BlockParameters:
        if self._loaded is None:
            weights, bias = (_array(source, read) for source in (self._sources.weights, self._sources.bias))
            self._loaded = BlockParameters(weights, bias)
        return self._loaded


def parameters_root(spec: NetworkSpec, hidden: Sequence[HasSources], outputs: Sequence[HasSources]) -> Hash:
    """The hash that names a network with all its parameters. Raises `CodecError` for a bad field."""
    return hash_object(Tag.PARAMETERS, sources_of(spec, hidden, outputs))


def sources_of(
    spec: NetworkSpec, hidden: Sequence[HasSources], outputs: Sequence[HasSources]
) -> ParameterSources:
    """The plain sources of blocks that may carry their lineage as well."""

    def plain(blocks: Sequence[HasSources]) -> tuple[BlockSources, ...]:
        return tuple(BlockSources(block.weights, block.bias) for block in blocks)

    return ParameterSources(spec, plain(hidden), plain(outputs))


def explicit_tensors(blocks: Sequence[HasSources]) -> tuple[Hash, ...]:
    """Content ids that these blocks name, in order, with repeats: what their record holds references to."""
    tensors = (tensor for block in blocks for tensor in (block.weights, block.bias))
    return tuple(tensor.tensor for tensor in tensors if isinstance(tensor, Explicit))


def seeded_macs(blocks: Iterable[HasSources]) -> int:
    """Charge for making the seeded tensors of these blocks. Raises as `check_seeded`."""
    tensors = (tensor for block in blocks for tensor in (block.weights, block.bias))
    return sum(generation_macs(tensor) for tensor in tensors if isinstance(tensor, Seeded))


def weight_code(block: HiddenBlock | Output) -> int:
    """Element type of a block's weight tensor; a bias is always `INT32`."""
    return INT8 if block.weight_bits == 8 else INT16


def growth_between(base: NetworkSpec, grown: NetworkSpec) -> Growth:
    """The growth that made `grown` from `base`."""
    growth = Growth(
        grown.classes - base.classes,
        grown.hidden[len(base.hidden) :],
        grown.outputs[len(base.outputs) :],
        component_classes(grown)[component_count(base) :],
    )
    assert grown_spec(base, growth) == grown, "the network did not grow from this base"
    return growth


def parameter_bytes(spec: NetworkSpec) -> int:
    """Canonical bytes of all tensors of a network, however they are stored: what loading it touches."""
    blocks = (*spec.hidden, *spec.outputs)
    return sum(_tensor_bytes(*block) for block in zip(blocks, parameter_shapes(spec), strict=True))


def growth_bytes(spec: NetworkSpec, growth: Growth) -> int:
    """`parameter_bytes` of what a growth of `spec` appends."""
    return parameter_bytes(grown_spec(spec, growth)) - parameter_bytes(spec)


def _tensor_bytes(block: HiddenBlock | Output, shapes: tuple[tuple[int, int], tuple[int]]) -> int:
    return tensor_size(weight_code(block), shapes[0]) + tensor_size(INT32, shapes[1])


def _array(source: TensorSource, read: Callable[[Hash], bytes]) -> IntArray:
    return tensor_array(read(source.tensor)) if isinstance(source, Explicit) else expand(source)
