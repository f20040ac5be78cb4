"""The shape of a network, and what follows from the shape alone: limits, widths, costs. No weights.

A network is a list of hidden segments and a list of output segments. Layer 0 is the inputs. Layer L
consists of the neurons that the hidden segments of layer L make, in list order. A hidden segment reads only
neurons of segments that stand before it in the list. So a segment that is appended at the end never changes
what the older ones compute. Output segments add to components; the logit of a class is the maximum over its
components.

Charges are counted in multiply-accumulates (macs). Other work is charged as the number of macs that take the
same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

from engram.nn.errors import (
    ComponentsMismatch,
    DimensionOutOfRange,
    GateMisplaced,
    ShapeMismatch,
    TooManyMacs,
)
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.segment import Shape
from engram.nn.logits import GATE
from engram.nn.totals import Totals
from engram.primitives.types import U8, U16, U32, U64, Size

SEGMENT_MACS: Final = 2**22
"""The charge for preparing the first segment of a run, once for all rows; see `layers.joining`."""

JOINED_MACS: Final = 2**21
"""The charge for preparing each further segment of a run: for reading it and proving its bounds."""

BEGIN_SEGMENTS: Final = 2
"""An evaluation is charged as so many more segments: for reading the part, assembling the network and adding
up the loss.
"""

CALL_MACS: Final = 2**19
"""The charge for running one run of segments on one chunk of rows, in addition to its products, for each
interval that the run reads."""

CHUNK_ROWS: Final = 1024
CHUNK_ELEMENTS: Final = 2**21
SUM_ELEMENTS: Final = 8
"""One component sum of a row counts as so many activations when chunks are measured."""

LOGIT_MACS: Final = 512
"""The charge for the loss of one row, for each class."""

GATE_MACS: Final = 2_048
"""The charge for lifting the logits of one row by gates, for each class and each gate."""

GATE_CALLS: Final = 8
"""Lifting the logits of a chunk of rows is charged as the reading of so many intervals."""

COMPONENT_MACS: Final = 128
"""The charge for one component of one row, in addition to the products that feed it."""

MAX_SEGMENTS: Final = 256
"""The most segments of each sort that one update can bring."""
MAX_GROWN_SEGMENTS: Final = 2**14
"""The most segments of each sort that a network can have after any number of growths."""
MAX_COMPONENTS: Final = 65_535

Shapes = tuple[tuple[Shape, Shape], ...]
"""The shapes of weights and bias of each segment, hidden segments first."""


@dataclass(frozen=True)
class NetworkLimits:
    """The largest network and data part that a chain accepts. The limits are part of the chain's rules."""

    max_inputs: U32 = 65_536
    max_layers: U8 = 16
    """The number of hidden layers."""
    max_segments: U16 = 4_096
    """This limits hidden segments and output segments separately."""
    max_neurons: U32 = 65_536
    max_classes: U16 = 1_024
    max_components: U16 = 4_096
    max_rows: U32 = 100_000
    """The number of rows of a data part."""
    max_macs_per_row: U64 = 20_000_000


@dataclass(frozen=True)
class NetworkSpec:
    """Segments and their wiring; with parameters they are a function from uint8 features to logits."""

    inputs: U32
    """The number of features of a row."""
    classes: U16
    components: Annotated[tuple[U16, ...], Size(0, MAX_COMPONENTS)]
    """The class of each component, or 65,535 for a gate, see docs/protocol/networks.md, Gates. One component
    for each class, in order, must be written as ()."""
    hidden: Annotated[tuple[HiddenSegment, ...], Size(0, MAX_SEGMENTS)]
    outputs: Annotated[tuple[Output, ...], Size(0, MAX_SEGMENTS)]
    """A network that has grown may have more segments than an encoded spec can list: no record holds it."""

    @cached_property
    def gates(self) -> int:
        """The number of gates among the components."""
        return self.components.count(GATE)

    @cached_property
    def totals(self) -> Totals:
        """What is added up over all segments."""
        return Totals.of(self.inputs, self.hidden, self.outputs)

    def appended(
        self,
        classes: int,
        components: tuple[int, ...],
        hidden: tuple[HiddenSegment, ...],
        outputs: tuple[Output, ...],
    ) -> NetworkSpec:
        """The spec with so many classes, these components, and these segments at the end of its lists."""
        grown = NetworkSpec(self.inputs, classes, components, self.hidden + hidden, self.outputs + outputs)
        # Where `cached_property` looks: so a growth of a long network costs only what it appends.
        vars(grown)["totals"] = self.totals.appended(self.hidden[-1:], hidden, self.outputs[-1:], outputs)
        return grown


def check_spec(spec: NetworkSpec, limits: NetworkLimits) -> None:
    """Refuses a network that cannot be evaluated or exceeds the limits.

    Only growths bring gates: a whole network has none. Raises `DimensionOutOfRange`,
    `QuantizationOutOfRange`, `ComponentsMismatch`, `GateMisplaced`, `IntervalsUnordered`, `ShapeMismatch`,
    `TooManyMacs`.
    """
    check_count("inputs", spec.inputs, limits.max_inputs)
    if spec.gates:
        raise GateMisplaced("a whole network has no gate", expected=0, got=spec.gates)
    check_appended(spec, (spec.inputs,), spec.hidden, spec.outputs, limits)


def check_appended(
    spec: NetworkSpec,
    widths: tuple[int, ...],
    hidden: Sequence[HiddenSegment],
    outputs: Sequence[Output],
    limits: NetworkLimits,
) -> None:
    """`check_spec` for a network of which all but these last segments have passed it already.

    `widths` are those of the layers without them. Raises what `check_spec` raises.
    """
    check_count("classes", spec.classes, limits.max_classes)
    check_count("components", component_count(spec), limits.max_components)
    check_count("hidden segments", len(spec.hidden), limits.max_segments, least=0)
    check_count("output segments", len(spec.outputs), limits.max_segments)
    _check_components(spec)
    grown = _check_hidden(widths, hidden, limits)
    _check_outputs(grown, component_count(spec), outputs)
    check_count("neurons", neurons(spec), limits.max_neurons, least=0)
    if (macs := macs_per_row(spec)) > limits.max_macs_per_row:
        raise TooManyMacs(expected=limits.max_macs_per_row, got=macs)


def check_count(name: str, count: int, most: int, *, least: int = 1) -> None:
    """Refuses a count outside [least, most]. Raises `DimensionOutOfRange`."""
    if not least <= count <= most:
        raise DimensionOutOfRange(
            f"the number of {name} is outside its limits", expected=f"{least}..{most}", got=count
        )


def _check_hidden(
    widths: tuple[int, ...], segments: Sequence[HiddenSegment], limits: NetworkLimits
) -> tuple[int, ...]:
    """The widths of all layers, layer 0 first, after `segments` are appended to a network of these widths.

    Raises `DimensionOutOfRange`, `QuantizationOutOfRange`; `ShapeMismatch` for a segment that reads neurons
    which no segment before it makes.
    """
    grown = [*widths, *[0] * (limits.max_layers + 1 - len(widths))]
    for segment in segments:
        check_count("layers", segment.layer, limits.max_layers)
        segment.check()
        _check_exist(segment, grown)
        grown[segment.layer] += segment.width
    return tuple(grown[: max([len(widths), *[segment.layer + 1 for segment in segments]])])


def _check_outputs(widths: tuple[int, ...], components: int, segments: Sequence[Output]) -> None:
    """Refuses output segments that do not fit layers of these widths and this many components.

    Raises `DimensionOutOfRange`, `QuantizationOutOfRange`, `ShapeMismatch`.
    """
    for segment in segments:
        if segment.layer >= len(widths):
            raise ShapeMismatch(
                "an output segment reads a layer that does not exist",
                expected=len(widths) - 1,
                got=segment.layer,
            )
        segment.check()
        _check_exist(segment, widths)
        if (end := segment.first + segment.width) > components:
            raise ShapeMismatch(
                "an output segment feeds components that do not exist", expected=components, got=end
            )


def layer_widths(spec: NetworkSpec) -> tuple[int, ...]:
    """The number of neurons of each layer, beginning with layer 0, the inputs."""
    return spec.totals.widths


def neurons(spec: NetworkSpec) -> int:
    """The number of hidden neurons in all layers."""
    return sum(spec.totals.widths[1:])


def component_count(spec: NetworkSpec) -> int:
    """The number of components, also where the list is ()."""
    return len(spec.components) or spec.classes


def component_classes(spec: NetworkSpec) -> tuple[int, ...]:
    """The class of each component, or `GATE`, also where the list is ()."""
    return spec.components or tuple(range(spec.classes))


def canonical_components(classes: int, components: tuple[int, ...]) -> tuple[int, ...]:
    """The canonical form of a component list: () if it names each class once, in order."""
    return () if components == tuple(range(classes)) else components


def macs_per_row(spec: NetworkSpec) -> int:
    """Multiply-accumulates charged for evaluating the network and its loss on one row.

    (Σ over all segments of `macs_per_row` of the segment) + `logit_macs` of components, classes and gates.
    An evaluation is charged `setup_macs` and `call_macs` in addition.
    """
    return spec.totals.macs_per_row + logit_macs(spec.classes, component_count(spec), spec.gates)


def setup_macs(runs: int, segments: int) -> int:
    """Multiply-accumulates charged for an evaluation of segments that form so many runs, whatever the rows.

    SEGMENT_MACS·(BEGIN_SEGMENTS + runs) + JOINED_MACS·(segments - runs).

    All charges together have been compared with measured times: of networks of every shape that was tried,
    none took more than 3.6 times what it was charged, and none that ran for 20 ms or longer more than 2.6
    times, at 20 picoseconds a MAC.
    """
    return SEGMENT_MACS * (BEGIN_SEGMENTS + runs) + JOINED_MACS * (segments - runs)


def chunk_rows(neurons: int, components: int) -> int:
    """The number of rows that are run at once, where a row takes so many inputs, neurons and components.

    It is small enough to keep the layers and components of these rows small:
    max(1, min(CHUNK_ROWS, ⌊CHUNK_ELEMENTS / (neurons + SUM_ELEMENTS·components)⌋)).
    """
    return max(1, min(CHUNK_ROWS, CHUNK_ELEMENTS // (neurons + SUM_ELEMENTS * components)))


def first_neurons(
    widths: Sequence[int], old: Sequence[int], appended: Sequence[HiddenSegment | Output]
) -> tuple[int, ...]:
    """For each layer, the first neuron that must be in memory to run some appended segments.

    `widths` are those of the grown network, `old` those before. Old neurons before the first one that an
    appended segment reads are left out, so that a growth costs what it reads and not what there is.
    """
    firsts = [*old, *[0] * (len(widths) - len(old))]
    for interval in (each for segment in appended for each in segment.intervals):
        firsts[interval.layer] = min(firsts[interval.layer], interval.lo)
    return tuple(firsts)


def call_macs(calls: int, rows: int, chunk: int) -> int:
    """Multiply-accumulates charged for running runs of segments on `rows` rows, `chunk` at a time.

    `calls` is the number of intervals that all of these runs read, and `gate_calls` of the network.
    """
    return CALL_MACS * calls * -(-rows // chunk)


def gate_calls(gates: int) -> int:
    """How many calls it counts that a network has so many gates."""
    return GATE_CALLS if gates else 0


def logit_macs(classes: int, components: int, gates: int = 0) -> int:
    """The part of `macs_per_row` that is charged for components, logits and loss.

    COMPONENT_MACS·components + LOGIT_MACS·classes, and with gates GATE_MACS·(classes + gates) more.
    """
    lifting = GATE_MACS * (classes + gates) if gates else 0
    return COMPONENT_MACS * components + LOGIT_MACS * classes + lifting


def parameter_shapes(spec: NetworkSpec) -> Shapes:
    """The shapes of weights and bias of each segment, hidden segments first."""
    return tuple(segment.parameter_shapes() for segment in (*spec.hidden, *spec.outputs))


def _check_exist(segment: HiddenSegment | Output, widths: Sequence[int]) -> None:
    """Refuses a segment that reads neurons which layers of these widths do not have: `ShapeMismatch`."""
    for interval in segment.intervals:
        if interval.hi > (below := widths[interval.layer]):
            raise ShapeMismatch(
                "a segment reads neurons that no segment before it makes", expected=below, got=interval.hi
            )


def _check_components(spec: NetworkSpec) -> None:
    classes = component_classes(spec)
    if spec.components and canonical_components(spec.classes, spec.components) == ():
        raise ComponentsMismatch(
            "one component for each class, in order, must be written as ()", expected=(), got=classes
        )
    named = set(classes) - {GATE}
    if missing := sorted(set(range(spec.classes)) - named):
        raise ComponentsMismatch("a class has no component", got=missing[0])
    if (highest := max(named)) >= spec.classes:
        last = spec.classes - 1
        raise ComponentsMismatch("a component names a class that does not exist", expected=last, got=highest)
