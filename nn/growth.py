"""Growth: appending neurons, classes or a whole network to a frozen one. What exists never changes.

A growth appends blocks at the end of a network's block lists, so every old neuron, component and class keeps its index.
New hidden blocks may read old and new neurons; old blocks read only what existed when they were made. An output
block may not write where old neurons (or inputs) meet old components: those weights are the frozen network's.

Under `STRICT`, new outputs reach only components of the growth's own classes, so old logits stay the same integers for
ever; capacity growth (no new classes) may reach classes from `capacity_from` on, those of the last growth. Under
`GATED`, new neurons may also reach old components, and the retention gate judges the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Annotated, Final

import numpy as np

from engram.nn.errors import (
    GrowthEmpty,
    GrowthOverlap,
    GrowthReadsForward,
    GrowthRepeatsClass,
    PolicyViolated,
    ShapeMismatch,
)
from engram.nn.fixed import Int64Array
from engram.nn.layers import HiddenBlock, Output
from engram.nn.layers.block import macs_per_row as block_macs
from engram.nn.spec import (
    MAX_BLOCKS,
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

MAX_COMPONENTS: Final = 65_535


class Policy(IntEnum):
    """What growth may do to the logits of old classes."""

    STRICT = 0
    GATED = 1


@dataclass(frozen=True)
class Growth:
    """What one growth appends to a network."""

    classes: U16
    """Number of new classes m; 0: capacity growth."""
    hidden: Annotated[tuple[HiddenBlock, ...], Size(0, MAX_BLOCKS)]
    outputs: Annotated[tuple[Output, ...], Size(0, MAX_BLOCKS)]
    """Component numbers are those of the grown network: the old components, then the new."""
    components: Annotated[tuple[U16, ...], Size(0, MAX_COMPONENTS)]
    """Class, in the grown network, of each new component; (): one for each new class, in order."""


def append(
    spec: NetworkSpec, growth: Growth, *, policy: int, limits: NetworkLimits, capacity_from: int | None = None
) -> NetworkSpec:
    """The grown network. Its parameters are the old ones, then the new: see `merge_parameters`.

    `capacity_from` is the first class that capacity growth may reach under `STRICT`; None: none.
    Raises `GrowthEmpty`, `GrowthReadsForward`, `GrowthOverlap`, `GrowthRepeatsClass`, `PolicyViolated`, and what
    `check_spec` raises.
    """
    if not growth.outputs:
        raise GrowthEmpty(got=growth.classes)
    grown = grown_spec(spec, growth)
    _check_reads(spec, grown)
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
