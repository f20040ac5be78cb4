"""Growth: appending neurons, classes or a whole network to a frozen one. What exists never changes.

A growth appends segments at the end of a network's segment lists, so every old neuron, component and class
keeps its index. New hidden segments may read old and new neurons; old segments read only what existed when
they were made. An output segment may not write where old neurons (or inputs) meet old components: those
weights are the frozen network's.

Under `STRICT`, new outputs reach only components of the growth's own classes, so old logits stay the same
integers for ever; capacity growth (no new classes) may reach classes from `capacity_from` on, those of the
last growth. Under `GATED`, new neurons may also reach old components, and the retention gate judges the
result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Annotated

import numpy as np

from engram.nn.errors import (
    GrowthEmpty,
    GrowthOverlap,
    GrowthReadsForward,
    GrowthRepeatsClass,
    PolicyViolated,
    ShapeMismatch,
)
from engram.nn.evaluate import Features, FrozenActivations, resume, run_and_keep
from engram.nn.fixed import Int64Array
from engram.nn.gemm import FAST, Engine
from engram.nn.layers import HiddenSegment, Output
from engram.nn.parameters import Bounds, Parameters, prove_bounds, prove_segments
from engram.nn.spec import (
    MAX_COMPONENTS,
    MAX_SEGMENTS,
    NetworkLimits,
    NetworkSpec,
    canonical_components,
    check_spec,
    component_classes,
    component_count,
    layer_widths,
    logit_macs,
)
from engram.primitives.types import U16, Size


class Policy(IntEnum):
    """What growth may do to the logits of old classes."""

    STRICT = 0
    GATED = 1


@dataclass(frozen=True)
class Growth:
    """What one growth appends to a network."""

    classes: U16
    """Number of new classes m; 0: capacity growth."""
    hidden: Annotated[tuple[HiddenSegment, ...], Size(0, MAX_SEGMENTS)]
    outputs: Annotated[tuple[Output, ...], Size(0, MAX_SEGMENTS)]
    """Component numbers are those of the grown network: the old components, then the new."""
    components: Annotated[tuple[U16, ...], Size(0, MAX_COMPONENTS)]
    """Class, in the grown network, of each new component; (): one for each new class, in order."""


def append(
    spec: NetworkSpec,
    growth: Growth,
    *,
    policy: Policy,
    limits: NetworkLimits,
    capacity_from: int | None = None,
) -> NetworkSpec:
    """The grown network. Its parameters are the old ones, then the new: see `merge_parameters`.

    `capacity_from` is the first class that capacity growth may reach under `STRICT`; None: none. Raises
    `GrowthEmpty`, `GrowthReadsForward`, `GrowthOverlap`, `GrowthRepeatsClass`, `PolicyViolated`, and what
    `check_spec` raises.
    """
    if not growth.outputs:
        raise GrowthEmpty(got=growth.classes)
    grown = grown_spec(spec, growth)
    _check_reads(spec, growth)
    check_spec(grown, limits)
    _check_overlap(spec, growth)
    _check_policy(spec, growth, grown, policy, capacity_from)
    return grown


def grown_spec(spec: NetworkSpec, growth: Growth) -> NetworkSpec:
    """`append` without its rules, for a growth that has passed them."""
    classes = spec.classes + growth.classes
    added = growth.components or tuple(range(spec.classes, classes))
    return NetworkSpec(
        spec.inputs,
        classes,
        canonical_components(classes, component_classes(spec) + added),
        spec.hidden + growth.hidden,
        spec.outputs + growth.outputs,
    )


def growth_macs_per_row(spec: NetworkSpec, growth: Growth) -> int:
    """Multiply-accumulates charged for the loss of one row, the frozen network's activations being there.

    `macs_per_row` with the new segments only, but all components and classes of the grown network.
    """
    products = sum(segment.macs_per_row() for segment in (*growth.hidden, *growth.outputs))
    grown = grown_spec(spec, growth)
    return products + logit_macs(grown.classes, component_count(grown))


def merge_parameters(
    spec: NetworkSpec, parameters: Parameters, growth: Growth, added: Parameters
) -> Parameters:
    """Parameters of the grown network, in its order, from those of `spec` and of the growth."""
    old, new = len(spec.hidden), len(growth.hidden)
    return parameters[:old] + added[:new] + parameters[old:] + added[new:]


def null_growth_logits(logits: Int64Array, classes: int) -> Int64Array:
    """Logits of a network that knows nothing of `classes` further classes: their logit is 0 on every row."""
    return np.pad(logits, ((0, 0), (0, classes)))


def prove_growth(spec: NetworkSpec, growth: Growth, parameters: Parameters) -> Bounds:
    """`prove_bounds` for the new segments alone; with the old proof it is that of the grown network."""
    peaks = prove_segments(grown_spec(spec, growth), (*growth.hidden, *growth.outputs), parameters)
    return Bounds(peaks[: len(growth.hidden)], peaks[len(growth.hidden) :])


def forward_frozen(
    spec: NetworkSpec,
    parameters: Parameters,
    features: Features,
    bounds: Bounds | None = None,
    engine: Engine = FAST,
) -> FrozenActivations:
    """All activations and component sums of a network on uint8 features (n, inputs): where growths start.

    Takes `frozen_size_bytes` of memory, about a byte a row and neuron. Raises as `network.forward` does.
    """
    proved = prove_bounds(spec, parameters) if bounds is None else bounds
    return run_and_keep(spec, parameters, (*proved.hidden, *proved.outputs), features, engine)


def forward_growth(
    spec: NetworkSpec,
    frozen: FrozenActivations,
    growth: Growth,
    parameters: Parameters,
    engine: Engine = FAST,
) -> Int64Array:
    """Logits (n, classes) of the grown network from its new segments only; the integers of a full forward.

    `frozen` is what `forward_frozen` gave for `spec`; `parameters` are the growth's. Raises `ShapeMismatch`
    for activations of another network, and what `prove_growth` raises.
    """
    made = tuple(layer.shape[1] for layer in frozen.layers)
    if (frozen.hidden, frozen.outputs, made) != (len(spec.hidden), len(spec.outputs), layer_widths(spec)):
        raise ShapeMismatch("activations of another network", expected=layer_widths(spec), got=made)
    proved = prove_growth(spec, growth, parameters)
    peaks = (*proved.hidden, *proved.outputs)
    return resume(grown_spec(spec, growth), parameters, peaks, frozen, engine)


def adopt(
    host: NetworkSpec, donor: NetworkSpec, *, new_classes: int, classes: tuple[int, ...] = ()
) -> Growth:
    """The growth that appends a pre-trained donor to a host as a column of its own, parameters unchanged.

    The donor's segments read the inputs and their own column only; it may be shallower or deeper than the
    host. Its parameters are the growth's, in its own order. Donor class j becomes class classes[j] of the
    grown network; () means the host's first new class and those after it. Bounds and costs are proved anew
    for the whole. Raises `ShapeMismatch` for other inputs, or a list that does not name each donor class or
    leaves a new class without a donor class; `GrowthRepeatsClass` if it names a class twice.
    """
    named = classes or tuple(range(host.classes, host.classes + donor.classes))
    _check_adoption(host, donor, new_classes, named)
    widths = layer_widths(host)
    columns = component_count(host)

    def shift(layer: int) -> int:
        return widths[layer] if 0 < layer < len(widths) else 0

    hidden = tuple(
        replace(segment, lo=segment.lo + shift(segment.reads), hi=segment.hi + shift(segment.reads))
        for segment in donor.hidden
    )
    outputs = tuple(
        replace(
            segment,
            lo=segment.lo + shift(segment.reads),
            hi=segment.hi + shift(segment.reads),
            first=segment.first + columns,
        )
        for segment in donor.outputs
    )
    components = tuple(named[label] for label in component_classes(donor))
    implied = components == tuple(range(host.classes, host.classes + new_classes))
    return Growth(new_classes, hidden, outputs, () if implied else components)


def _check_adoption(host: NetworkSpec, donor: NetworkSpec, new_classes: int, named: tuple[int, ...]) -> None:
    if donor.inputs != host.inputs:
        raise ShapeMismatch("the donor reads other inputs", expected=host.inputs, got=donor.inputs)
    if len(named) != donor.classes:
        raise ShapeMismatch("one class for each donor class", expected=donor.classes, got=len(named))
    if len(set(named)) != len(named):
        raise GrowthRepeatsClass("two donor classes become one class", got=named)
    total = host.classes + new_classes
    if max(named) >= total or sum(label >= host.classes for label in named) != new_classes:
        raise ShapeMismatch(
            "the donor's classes are not the new classes",
            expected=tuple(range(host.classes, total)),
            got=named,
        )


def _check_reads(spec: NetworkSpec, growth: Growth) -> None:
    widths = layer_widths(spec)
    for output in spec.outputs:
        if output.layer >= len(widths) or output.hi > widths[output.layer]:
            raise GrowthReadsForward("an old output would read new neurons", got=(output.layer, output.hi))
    made = dict(enumerate(widths))
    final = dict(enumerate(layer_widths(grown_spec(spec, growth))))
    for segment in growth.hidden:
        if made.get(segment.reads, 0) < segment.hi <= final.get(segment.reads, 0):
            raise GrowthReadsForward(expected=made.get(segment.reads, 0), got=segment.hi)
        made[segment.layer] = made.get(segment.layer, 0) + segment.width


def _check_overlap(spec: NetworkSpec, growth: Growth) -> None:
    widths, components = layer_widths(spec), component_count(spec)
    for output in growth.outputs:
        old = widths[output.layer] if output.layer < len(widths) else 0
        if output.lo < old and output.first < components:
            raise GrowthOverlap(expected=(old, components), got=(output.lo, output.first))


def _check_policy(
    spec: NetworkSpec, growth: Growth, grown: NetworkSpec, policy: Policy, capacity_from: int | None
) -> None:
    if policy == Policy.GATED:
        return
    labels, old = component_classes(grown), component_count(spec)
    if growth.classes and (repeated := [label for label in labels[old:] if label < spec.classes]):
        raise GrowthRepeatsClass(expected=f"{spec.classes} or more", got=repeated[0])
    reachable = spec.classes if growth.classes or capacity_from is None else capacity_from
    fed = {labels[at] for output in growth.outputs for at in range(output.first, output.first + output.width)}
    if (lowest := min(fed | set(labels[old:]))) < reachable:
        raise PolicyViolated(expected=f"classes from {reachable} on", got=lowest)
