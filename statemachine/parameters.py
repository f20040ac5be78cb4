"""The whole network of a version, put together from what its line has added; its numbers, read when needed.

No state: `loading` makes networks from records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import Final, Protocol

from engram.nn.contributions import Owners
from engram.nn.dtypes import IntArray
from engram.nn.growth import Growth, grown_spec, merge_parameters, prove_growth
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.parameters import Bounds, prove_bounds
from engram.nn.seeded import Seeded, expand
from engram.nn.spec import MAX_COMPONENTS, MAX_GROWN_SEGMENTS
from engram.nn.tensor import Explicit, tensor_array
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.additions import (
    Addition,
    GrowUpdate,
    HasSources,
    TrainUpdate,
    Update,
    drawn_bytes,
    seeded_macs,
)
from engram.statemachine.errors import LineBroken
from engram.statemachine.record import TensorSource

Read = Callable[[Hash], bytes]
"""Returns the bytes with a content id."""
Expand = Callable[[Seeded], IntArray]
"""Returns what a seeded tensor stands for: `nn.seeded.expand`, or the same from a memory."""


class HasParameters(Protocol):
    """A `Composition`, a `TrainUpdate`, a founding: what the charge for a whole network follows from."""

    @property
    def spec(self) -> NetworkSpec: ...
    @property
    def steps(self) -> int: ...
    @property
    def seeded_macs(self) -> int: ...
    @property
    def drawn_bytes(self) -> int: ...


@dataclass(frozen=True)
class Lineage:
    """Where a segment comes from: its tensors, and who made it, at which step of the line."""

    weights: TensorSource
    bias: TensorSource
    step: int
    """0 for the whole network with which the line begins, then 1 for each growth."""
    author: Address


@dataclass(frozen=True)
class NeuronGroup:
    """The segments of a network that one author made for one version."""

    version: int
    author: Address
    neurons: int
    """Hidden neurons; 0 where the author made only outputs."""
    classes: range
    """The classes that came with this version, whoever of its authors brought them."""


@dataclass(frozen=True, eq=False)
class Composition:
    """A whole network: what the versions of a line have added, one after the other."""

    root: Hash
    spec: NetworkSpec
    hidden: tuple[Lineage, ...]
    outputs: tuple[Lineage, ...]
    class_counts: tuple[int, ...]
    """The number of classes after each step of the line: of the whole network, then after each growth."""
    seeded_macs: int
    """MACs charged for generating all seeded tensors."""
    drawn_bytes: int
    """Bytes of all tensors that are drawn and not read."""

    @property
    def steps(self) -> int:
        """How many growths the line has."""
        return len(self.class_counts) - 1

    @property
    def segments(self) -> tuple[Lineage, ...]:
        """All segments, hidden ones first."""
        return (*self.hidden, *self.outputs)

    def makers(self, version: int) -> list[tuple[int, Address, int]]:
        """(version, author, hidden neurons) of everybody who made segments, oldest version first.

        `version` is the number that the whole has in its model. What a fork has inherited belongs to its
        version 0. Who added only outputs has 0 neurons.
        """
        return [(each.version, each.author, each.neurons) for each in self.groups(version)[0]]

    def groups(self, version: int) -> tuple[tuple[NeuronGroup, ...], Owners]:
        """The groups of segments that `makers` lists, and to which of them each segment belongs."""
        numbers = [max(0, version - back) for back in range(self.steps, -1, -1)]
        ends = dict(zip(numbers, self.class_counts, strict=True))
        starts = dict(zip(ends, (0, *ends.values()), strict=False))
        keys = [(numbers[each.step], each.author) for each in self.segments]
        neurons = dict.fromkeys(sorted(set(keys)), 0)
        for key, segment in zip(keys, self.spec.hidden, strict=False):
            neurons[key] += segment.width
        places = {key: place for place, key in enumerate(neurons)}
        owners = [places[key] for key in keys]
        split = len(self.hidden)
        found = tuple(
            NeuronGroup(number, author, count, range(starts[number], ends[number]))
            for (number, author), count in neurons.items()
        )
        return found, Owners(len(found), tuple(owners[:split]), tuple(owners[split:]))


def compose(base: Composition | None, added: Addition) -> Composition:
    """The network after an addition that the chain has accepted; a growth needs the one before as `base`."""
    update, author = added.update, added.author
    sources = (*update.hidden, *update.outputs)
    macs, drawn = seeded_macs(sources), drawn_bytes(sources)
    if isinstance(update, TrainUpdate):
        hidden, outputs = (_lineages(own, 0, repeat(author)) for own in (update.hidden, update.outputs))
        counts = (update.spec.classes,)
        return Composition(added.root, update.spec, hidden, outputs, counts, macs, drawn)
    assert base is not None, "a line begins with a whole network, and is composed from there"
    step = base.steps + 1
    makers = update.makers(author)
    hidden, outputs = _lineages(update.hidden, step, makers[0]), _lineages(update.outputs, step, makers[1])
    spec = grown_spec(base.spec, update.growth)
    return Composition(
        added.root,
        spec,
        base.hidden + hidden,
        base.outputs + outputs,
        (*base.class_counts, spec.classes),
        base.seeded_macs + macs,
        base.drawn_bytes + drawn,
    )


def compose_line(line: Sequence[Addition]) -> Composition:
    """The network of a whole line, from the whole network to its last growth, whoever has sent it.

    Every addition must name the root of the one before, and the network must be no larger than any chain can
    have one: so a line that nobody has checked takes no more memory than its own bytes justify. Raises
    `LineBroken`.
    """
    if not line or line[0].parent != ZERO_HASH:
        raise LineBroken("a line begins with a whole network", got=line[0].parent if line else None)
    for before, after in pairwise(line):
        if after.parent != (root := before.root):
            raise LineBroken(
                "an addition is not made to the network before it", expected=root, got=after.parent
            )
    if any(isinstance(added.update, TrainUpdate) != (place == 0) for place, added in enumerate(line)):
        raise LineBroken("a line is one whole network and its growths", got=len(line))
    _check_sizes([added.update for added in line])
    found = compose(None, line[0])
    for added in line[1:]:
        found = compose(found, added)
    return found


def _check_sizes(updates: Sequence[Update]) -> None:
    shapes = [update.spec if isinstance(update, TrainUpdate) else update.growth for update in updates]
    for name, most, counts in (
        ("classes", MAX_COMPONENTS, (shape.classes for shape in shapes)),
        ("components", MAX_COMPONENTS, (len(shape.components) or shape.classes for shape in shapes)),
        ("hidden segments", MAX_GROWN_SEGMENTS, (len(shape.hidden) for shape in shapes)),
        ("output segments", MAX_GROWN_SEGMENTS, (len(shape.outputs) for shape in shapes)),
    ):
        if (got := sum(counts)) > most:
            raise LineBroken(f"no network can have so many {name}", expected=most, got=got)


def _lineages(sources: Sequence[HasSources], step: int, makers: Iterable[Address]) -> tuple[Lineage, ...]:
    # `makers` may go on after the last source.
    return tuple(
        Lineage(source.weights, source.bias, step, maker)
        for source, maker in zip(sources, makers, strict=False)
    )


class WholeNetwork:
    """A spec and the sources of its numbers, which are read and checked when they are first needed.

    Whoever makes it has checked the spec and the size of every tensor, see `loading`.
    """

    __slots__ = ("_bounds", "_expand", "_parameters", "_read", "_sources", "root", "spec")

    def __init__(
        self,
        root: Hash,
        spec: NetworkSpec,
        sources: Sequence[HasSources],
        read: Read,
        make: Expand = expand,
    ) -> None:
        """`sources` are those of all segments, hidden ones first."""
        self.root: Final = root
        self.spec: Final = spec
        self._sources: Final = sources
        self._read: Final = read
        self._expand: Final = make
        self._parameters: Parameters | None = None
        self._bounds: Bounds | None = None

    def load(self) -> tuple[Parameters, Bounds]:
        """The parameters, hidden segments first, and the proof that no accumulator can leave 32 bits.

        Raises `BadTensor` and what `prove_bounds` raises, and `MissingBlob` if this node lacks the bytes.
        """
        if self._parameters is None:
            self._parameters = read_parameters(self._sources, self._read, self._expand)
        if self._bounds is None:
            self._bounds = prove_bounds(self.spec, self._parameters)
        return self._parameters, self._bounds


class GrownNetwork:
    """A network with a growth on top: what is new can be read without reading what was there before."""

    __slots__ = ("_added", "_expand", "_read", "_sources", "base", "growth", "root", "spec")

    def __init__(
        self, root: Hash, base: WholeNetwork, update: GrowUpdate, read: Read, make: Expand = expand
    ) -> None:
        """The growth has passed `growth.append`, and the sizes of its tensors are checked."""
        self.root: Final = root
        self.base: Final = base
        self.growth: Final[Growth] = update.growth
        self.spec: Final = grown_spec(base.spec, update.growth)
        self._sources: Final = (*update.hidden, *update.outputs)
        self._read: Final = read
        self._expand: Final = make
        self._added: Parameters | None = None

    def load_growth(self) -> Parameters:
        """The parameters of the new segments. Raises `BadTensor`, `MissingBlob`."""
        if self._added is None:
            self._added = read_parameters(self._sources, self._read, self._expand)
        return self._added

    def load(self) -> tuple[Parameters, Bounds]:
        """As `WholeNetwork.load`, for the whole network."""
        old, proved = self.base.load()
        added = self.load_growth()
        new = prove_growth(self.base.spec, self.growth, added)
        bounds = Bounds(proved.hidden + new.hidden, proved.outputs + new.outputs)
        return merge_parameters(self.base.spec, old, self.growth, added), bounds


def read_parameters(sources: Sequence[HasSources], read: Read, make: Expand = expand) -> Parameters:
    """The numbers of segments with these sources. Raises `BadTensor`, and what `read` raises."""
    return tuple(
        SegmentParameters(_array(source.weights, read, make), _array(source.bias, read, make))
        for source in sources
    )


def _array(source: TensorSource, read: Read, make: Expand) -> IntArray:
    return tensor_array(read(source.tensor)) if isinstance(source, Explicit) else make(source)
