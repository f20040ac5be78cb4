"""Growth appends neurons, classes or a whole network to a frozen network. What exists never changes.

A growth appends segments at the end of a network's segment lists, so every old neuron, component and class
keeps its index. New hidden segments may read old and new neurons; old segments read only what existed when
they were made.

The overlap rule: no new output segment may read an old neuron (or an input) and feed an old component. What
passes between these two is fixed by the frozen network. Contributions to a component are added up, so a
second weight at the same place would in effect change the frozen one, although none of its bytes changed.

Two policies decide what new neurons may do to old classes. Under `STRICT`, new outputs feed only components
of the growth's own classes, so the logits of old classes stay the same integers for ever. An exception is
capacity growth, which adds no class: it may feed classes from `capacity_from` on, which are those of the last
growth. Under `GATED`, new neurons may also feed old components, and the retention gate judges the result.
Under `RELATIVE` every growth brings new classes, no new output feeds an old component, and there is a gate: a
number a row, added to all old logits, that decides between the old classes and the new ones (see `logits`).
The differences between old classes stay the same integers for ever. A gate is frozen like all else: one that
decides badly cannot be repaired by a later growth, which can only put another gate above it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Annotated

import numpy as np

from engram.nn.engine import FAST, Engine, Frozen
from engram.nn.errors import (
    GateMisplaced,
    GrowthEmpty,
    GrowthOverlap,
    GrowthReadsForward,
    GrowthRepeatsClass,
    PolicyViolated,
    ShapeMismatch,
)
from engram.nn.evaluate import Features, FrozenActivations, unstarted
from engram.nn.fixed import Int64Array
from engram.nn.layers import HiddenSegment, Interval, Output
from engram.nn.layers.moving import reading
from engram.nn.logits import GATE
from engram.nn.parameters import Bounds, Parameters, prove_bounds, prove_segments
from engram.nn.spec import (
    MAX_COMPONENTS,
    MAX_SEGMENTS,
    NetworkLimits,
    NetworkSpec,
    check_appended,
    chunk_rows,
    component_classes,
    component_count,
    first_neurons,
    layer_widths,
    logit_macs,
)
from engram.primitives.types import U16, Size


class Policy(IntEnum):
    """What a growth may do to the logits of old classes."""

    STRICT = 0
    GATED = 1
    RELATIVE = 2


@dataclass(frozen=True)
class Growth:
    """What one growth appends to a network."""

    classes: U16
    """The number of new classes; 0 for capacity growth."""
    hidden: Annotated[tuple[HiddenSegment, ...], Size(0, MAX_SEGMENTS)]
    outputs: Annotated[tuple[Output, ...], Size(0, MAX_SEGMENTS)]
    """They number components as the grown network does: the old components first, then the new ones."""
    components: Annotated[tuple[U16, ...], Size(0, MAX_COMPONENTS)]
    """The class, in the grown network, of each new component, or `GATE`; () stands for one per new class, in
    order."""


def append(
    spec: NetworkSpec,
    growth: Growth,
    *,
    policy: Policy,
    limits: NetworkLimits,
    capacity_from: int | None = None,
) -> NetworkSpec:
    """The grown network, if the growth keeps all rules. `merge_parameters` gives its parameters.

    `spec` has passed `check_spec`: only what is new is looked at, so that a growth of a long network costs no
    more than one of a short network.
    A network with gates grows under `RELATIVE` only, as the policy of a model never changes.
    `capacity_from` is the first class that capacity growth may feed under `STRICT`; None means that it may
    feed no class. Raises `GrowthEmpty`, `GrowthReadsForward`, `GrowthOverlap`, `GateMisplaced`,
    `GrowthRepeatsClass`, `PolicyViolated`, and what `check_appended` raises.
    """
    relative = policy == Policy.RELATIVE
    assert relative or not spec.gates, "a model keeps its policy, so only relative ones have gates"
    if not growth.outputs:
        raise GrowthEmpty(got=growth.classes)
    grown = grown_spec(spec, growth)
    _check_reads(spec, growth)
    check_appended(grown, layer_widths(spec), growth.hidden, growth.outputs, limits)
    _check_overlap(spec, growth)
    _check_policy(spec, growth, grown, policy, capacity_from)
    return grown


def grown_spec(spec: NetworkSpec, growth: Growth) -> NetworkSpec:
    """The grown network without any check, for a growth that `append` has accepted."""
    classes = spec.classes + growth.classes
    return spec.appended(classes, _grown_components(spec, growth), growth.hidden, growth.outputs)


def _grown_components(spec: NetworkSpec, growth: Growth) -> tuple[int, ...]:
    """The components of the grown network, in the one form in which they may be written.

    A list that is written out stays so, whatever is appended: it does not begin with each class once, in
    order. So only what is new is compared.
    """
    added = growth.components or tuple(range(spec.classes, spec.classes + growth.classes))
    if not spec.components and added == tuple(range(spec.classes, spec.classes + growth.classes)):
        return ()
    return component_classes(spec) + added


def growth_macs_per_row(spec: NetworkSpec, growth: Growth) -> int:
    """Multiply-accumulates charged for the loss of one row when the frozen activations are already known.

    This is `macs_per_row` for the new segments only, but for all components and classes of the grown network.
    """
    products = sum(segment.macs_per_row() for segment in (*growth.hidden, *growth.outputs))
    grown = grown_spec(spec, growth)
    return products + logit_macs(grown.classes, component_count(grown), grown.gates)


def growth_chunk_rows(spec: NetworkSpec, growth: Growth) -> int:
    """The number of rows that are run at once when a growth is evaluated on frozen activations."""
    grown, appended = grown_spec(spec, growth), (*growth.hidden, *growth.outputs)
    widths = layer_widths(grown)
    firsts = first_neurons(widths, layer_widths(spec), appended)
    return chunk_rows(sum(widths) - sum(firsts), component_count(grown))


def merge_parameters(
    spec: NetworkSpec, parameters: Parameters, growth: Growth, added: Parameters
) -> Parameters:
    """The parameters of the grown network, in its order, from those of `spec` and those of the growth."""
    old, new = len(spec.hidden), len(growth.hidden)
    return parameters[:old] + added[:new] + parameters[old:] + added[new:]


def null_growth_logits(logits: Int64Array, classes: int) -> Int64Array:
    """The given logits, and a logit of 0 on every row for each of `classes` further, untaught classes."""
    return np.pad(logits, ((0, 0), (0, classes)))


def prove_growth(spec: NetworkSpec, growth: Growth, parameters: Parameters) -> Bounds:
    """Proves the bounds of the new segments. With the old network's bounds, the grown network is proved.

    The old proof stays valid, because old segments read nothing new. Raises what `prove_bounds` raises.
    """
    peaks = prove_segments(grown_spec(spec, growth), (*growth.hidden, *growth.outputs), parameters)
    return Bounds(peaks[: len(growth.hidden)], peaks[len(growth.hidden) :])


def forward_frozen(
    spec: NetworkSpec,
    parameters: Parameters,
    features: Features,
    bounds: Bounds | None = None,
    engine: Engine = FAST,
) -> FrozenActivations:
    """All activations and component sums of a network on uint8 features (n, inputs); growths start there.

    They take `frozen_size_bytes` of memory: one or two bytes for each row and neuron, and eight for each row
    and component. Raises what `network.forward` raises.
    """
    proved = prove_bounds(spec, parameters) if bounds is None else bounds
    peaks = (*proved.hidden, *proved.outputs)
    return engine.keep(spec, parameters, peaks, unstarted(spec, features)).on_host()


def forward_growth(
    spec: NetworkSpec,
    frozen: Frozen,
    growth: Growth,
    parameters: Parameters,
    engine: Engine = FAST,
) -> Int64Array:
    """Logits (n, classes) of the grown network, computed by running its new segments only.

    They are the same integers as those of a full forward pass. `frozen` is what `forward_frozen` returned for
    `spec`; `parameters` are those of the growth. Raises `ShapeMismatch` if the activations are those of a
    network of another shape, and what `prove_growth` raises.
    """
    return engine.logits(
        grown_spec(spec, growth), parameters, peaks_on(spec, frozen, growth, parameters), frozen
    )


def peaks_on(spec: NetworkSpec, frozen: Frozen, growth: Growth, parameters: Parameters) -> tuple[int, ...]:
    """The peaks of the new segments, hidden ones first, for an engine that starts from these activations.

    Raises what `forward_growth` raises.
    """
    made = (frozen.hidden, frozen.outputs, frozen.widths)
    if made != (len(spec.hidden), len(spec.outputs), layer_widths(spec)):
        raise ShapeMismatch(
            "the activations belong to another network", expected=layer_widths(spec), got=frozen.widths
        )
    proved = prove_growth(spec, growth, parameters)
    return (*proved.hidden, *proved.outputs)


def adopt(
    host: NetworkSpec, donor: NetworkSpec, *, new_classes: int, classes: tuple[int, ...] = ()
) -> Growth:
    """The growth that appends a donor, a network trained elsewhere, to a host as a column of its own.

    The donor's segments read only the inputs and their own column. The donor may have fewer or more layers
    than the host. Its parameters, unchanged and in the same order, are those of the growth. Donor class j
    becomes class classes[j] of the grown network, or the gate where that is `GATE`: such a class stands for
    everything that the host knows. () means the host's first new class and those after it.
    This function checks no limits, bounds or costs: `append` and `prove_growth` do, as for every growth.

    Raises `ShapeMismatch` if the donor has another number of inputs, if `classes` does not have one entry for
    each donor class, or if a new class has no donor class. Raises `GrowthRepeatsClass` if two donor classes
    would become the same class.
    """
    named = classes or tuple(range(host.classes, host.classes + donor.classes))
    _check_adoption(host, donor, new_classes, named)
    widths = layer_widths(host)
    columns = component_count(host)

    def shift(layer: int) -> int:
        return widths[layer] if 0 < layer < len(widths) else 0

    def moved(segment: HiddenSegment | Output) -> list[Interval]:
        return [
            Interval(each.layer, each.lo + shift(each.layer), each.hi + shift(each.layer))
            for each in segment.intervals
        ]

    hidden = tuple(reading(segment, moved(segment)) for segment in donor.hidden)
    outputs = tuple(
        replace(reading(segment, moved(segment)), first=segment.first + columns) for segment in donor.outputs
    )
    components = tuple(named[label] for label in component_classes(donor))
    implied = components == tuple(range(host.classes, host.classes + new_classes))
    return Growth(new_classes, hidden, outputs, () if implied else components)


def _check_adoption(host: NetworkSpec, donor: NetworkSpec, new_classes: int, named: tuple[int, ...]) -> None:
    if donor.inputs != host.inputs:
        raise ShapeMismatch("the donor has another number of inputs", expected=host.inputs, got=donor.inputs)
    if len(named) != donor.classes:
        raise ShapeMismatch(
            "there must be one class for each donor class", expected=donor.classes, got=len(named)
        )
    if len(set(named)) != len(named):
        raise GrowthRepeatsClass("two donor classes would become one class", got=named)
    total, labels = host.classes + new_classes, [label for label in named if label != GATE]
    if max(labels, default=0) >= total or sum(label >= host.classes for label in labels) != new_classes:
        raise ShapeMismatch(
            "the donor's classes must include every new class and no class beyond",
            expected=tuple(range(host.classes, total)),
            got=named,
        )


def _check_reads(spec: NetworkSpec, growth: Growth) -> None:
    """Refuses a segment that reads neurons of a later one. Neurons that nobody makes are for `check_spec`."""
    widths = layer_widths(spec)
    made = dict(enumerate(widths))
    final = dict(enumerate(layer_widths(grown_spec(spec, growth))))
    for segment in growth.hidden:
        for each in segment.intervals:
            if made.get(each.layer, 0) < each.hi <= final.get(each.layer, 0):
                raise GrowthReadsForward(expected=made.get(each.layer, 0), got=each.hi)
        made[segment.layer] = made.get(segment.layer, 0) + segment.width


def _check_overlap(spec: NetworkSpec, growth: Growth) -> None:
    """Applies the overlap rule. Old neurons and old components come first, so `lo` and `first` decide."""
    widths, components = layer_widths(spec), component_count(spec)
    for output in growth.outputs:
        for each in output.intervals:
            old = widths[each.layer] if each.layer < len(widths) else 0
            if each.lo < old and output.first < components:
                raise GrowthOverlap(expected=(old, components), got=(each.lo, output.first))


def _check_policy(
    spec: NetworkSpec, growth: Growth, grown: NetworkSpec, policy: Policy, capacity_from: int | None
) -> None:
    _check_gate(growth, policy)
    if policy == Policy.GATED:
        return
    labels, old = component_classes(grown), component_count(spec)
    added = {label for label in labels[old:] if label != GATE}
    if growth.classes and (repeated := [label for label in labels[old:] if label < spec.classes]):
        raise GrowthRepeatsClass(expected=f"{spec.classes} or more", got=repeated[0])
    if policy == Policy.RELATIVE:
        reached = min(output.first for output in growth.outputs)
        if not growth.classes or reached < old:
            raise PolicyViolated("a relative growth feeds new classes only", expected=old, got=reached)
        return
    reachable = spec.classes if growth.classes or capacity_from is None else capacity_from
    fed = {labels[at] for output in growth.outputs for at in range(output.first, output.first + output.width)}
    if (lowest := min(fed | added)) < reachable:
        raise PolicyViolated(expected=f"classes from {reachable} on", got=lowest)


def _check_gate(growth: Growth, policy: Policy) -> None:
    """A growth with new classes begins its components with a gate under RELATIVE; no other has one."""
    expected = int(policy == Policy.RELATIVE and growth.classes > 0)
    if growth.components.count(GATE) != expected or (expected and growth.components[0] != GATE):
        raise GateMisplaced(
            "the first new component must be a gate, and no other" if expected else "no gate is allowed here",
            expected=expected,
            got=growth.components.count(GATE),
        )
