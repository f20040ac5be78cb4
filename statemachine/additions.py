"""What one version adds to a model, and the root that names a network by all that was added. No state.

    parameters root = tagged_hash(Tag.PARAMETERS, encode(Addition(parent, author, update)))

A TRAIN update, like a founding, is a whole network: its parent is zero. A GROW update is appended to the
network that its parent names. So the root commits to every integer of the network and to the author of each
growth, and a record stays small however often the model has grown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Protocol

from engram.nn.growth import Growth
from engram.nn.network import NetworkSpec
from engram.nn.seeded import Seeded, generation_macs
from engram.nn.tensor import Explicit, tensor_size
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import U16, U32, ZERO_HASH, Address, Hash, Size
from engram.statemachine.record import TensorSource


@dataclass(frozen=True)
class SegmentSources:
    """Where the two tensors of one segment come from."""

    weights: TensorSource
    bias: TensorSource


Sources = Annotated[tuple[SegmentSources, ...], Size(0, 256)]
Tensors = Annotated[tuple[Annotated[bytes, Size(1, 2**20)], ...], Size(0, 1024)]


@dataclass(frozen=True)
class TrainUpdate:
    """An update of a TRAIN round, or a founding: a whole network."""

    TAG: ClassVar[int] = 1
    spec: NetworkSpec
    hidden: Sources
    outputs: Sources
    tensors: Tensors = ()
    """Bytes that travel with the update; every one is named by a source."""

    @property
    def steps(self) -> int:
        """The growths that must be looked up to put it together: none."""
        return 0

    @property
    def seeded_macs(self) -> int:
        """MACs charged for generating its seeded tensors. Raises as `check_seeded`."""
        return seeded_macs((*self.hidden, *self.outputs))

    @property
    def drawn_bytes(self) -> int:
        """Bytes of its tensors that are drawn and not read."""
        return drawn_bytes((*self.hidden, *self.outputs))


@dataclass(frozen=True)
class Half:
    """One of the two growths that a union consists of, and how many segments it has brought."""

    author: Address
    """Author of a candidate of the first epoch: round and author name it."""
    hidden: U16
    outputs: U16


@dataclass(frozen=True)
class GrowUpdate:
    """An update of a GROW round: what is appended to version t."""

    TAG: ClassVar[int] = 2
    growth: Growth
    hidden: Sources
    """Sources of the new hidden segments."""
    outputs: Sources
    """Sources of the new output segments."""
    tensors: Tensors = ()
    halves: Annotated[tuple[Half, ...], Size(0, 2)] = ()
    """The halves of a union, authors ascending; () of any other growth. See docs/protocol/rounds.md, Joint
    growth."""
    statistics: Hash = ZERO_HASH
    """Content id of the statistics from which the author has made the growth; zero if none are named. The
    chain knows the name alone."""

    def makers(self, author: Address) -> tuple[list[Address], list[Address]]:
        """Who has made each hidden and each output segment: of a union the authors of its halves, else the
        author of the update.
        """
        hidden = [half.author for half in self.halves for _ in range(half.hidden)]
        outputs = [half.author for half in self.halves for _ in range(half.outputs)]
        rest = [author] * max(len(self.hidden), len(self.outputs))
        return (hidden + rest)[: len(self.hidden)], (outputs + rest)[: len(self.outputs)]


Update = TrainUpdate | GrowUpdate


@dataclass(frozen=True)
class Inherited:
    """What version 0 of a fork adds: nothing. It is the network of a version of another model."""

    TAG: ClassVar[int] = 3
    model: Hash
    version: U32
    """The version that brought it: of a fork of a fork, not the version 0 in between, so that whoever looks
    for the network looks once."""


@dataclass(frozen=True)
class Addition:
    """Everything that a parameters root commits to."""

    parent: Hash
    """The root of the network that a growth is appended to; zero for a whole network."""
    author: Address
    update: Update
    """Without the tensors that travelled: their ids stand in the sources."""

    @property
    def root(self) -> Hash:
        """The parameters root of the network after this addition. Raises `CodecError` for a bad field."""
        return hash_object(Tag.PARAMETERS, self)


def halves_of(update: Update) -> tuple[Half, ...]:
    """The halves of which an update is the union; () if it is none."""
    return update.halves if isinstance(update, GrowUpdate) else ()


class HasSources(Protocol):
    """A `SegmentSources`, or a `Lineage`."""

    @property
    def weights(self) -> TensorSource: ...
    @property
    def bias(self) -> TensorSource: ...


def addition(parent: Hash, author: Address, update: Update) -> Addition:
    """What this update of this author adds; `parent` is version t's root, which a whole network replaces."""
    below = parent if isinstance(update, GrowUpdate) else ZERO_HASH
    return Addition(below, author, replace(update, tensors=()))


def parameters_root(parent: Hash, author: Address, update: Update) -> Hash:
    """The root of the network into which this update of this author turns the one that `parent` names."""
    return addition(parent, author, update).root


def explicit_tensors(segments: Sequence[HasSources]) -> tuple[Hash, ...]:
    """Content ids that these segments name, in order, with repeats; a record holds one reference for each."""
    tensors = (tensor for segment in segments for tensor in (segment.weights, segment.bias))
    return tuple(tensor.tensor for tensor in tensors if isinstance(tensor, Explicit))


def seeded_macs(segments: Iterable[HasSources]) -> int:
    """MACs charged for generating the seeded tensors of these segments. Raises as `check_seeded`."""
    tensors = (tensor for segment in segments for tensor in (segment.weights, segment.bias))
    return sum(generation_macs(tensor) for tensor in tensors if isinstance(tensor, Seeded))


def drawn_bytes(segments: Iterable[HasSources]) -> int:
    """Canonical bytes of these segments' tensors for whose generation something is charged.

    `seeded_macs` is all that they are charged for, because they are not read from a disk. Raises as
    `check_seeded`.
    """
    tensors = (tensor for segment in segments for tensor in (segment.weights, segment.bias))
    drawn = (tensor for tensor in tensors if isinstance(tensor, Seeded) and generation_macs(tensor))
    return sum(tensor_size(tensor.dtype, tensor.shape) for tensor in drawn)
