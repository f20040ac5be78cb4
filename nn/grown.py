"""Checks a whole network that may have grown, of which no growth is at hand: for files from anybody.

A chain checks every growth when it comes, by the policy of its model. Here the policy is unknown, so what
passes is what some chain could hold under some policy; what fails, none can.
"""

from __future__ import annotations

from typing import Final

from engram.nn.errors import GateMisplaced
from engram.nn.logits import GATE
from engram.nn.spec import (
    MAX_COMPONENTS,
    MAX_GROWN_SEGMENTS,
    NetworkLimits,
    NetworkSpec,
    check_appended,
    check_count,
    component_classes,
)

ANY_CHAIN: Final = NetworkLimits(
    max_inputs=2**20,
    max_segments=MAX_GROWN_SEGMENTS,
    max_neurons=2**20,
    max_classes=MAX_COMPONENTS,
    max_components=MAX_COMPONENTS,
    max_macs_per_row=2**40,
)
"""Limits that no chain exceeds: its own are lower, and stand in its specification."""


def check_grown(spec: NetworkSpec, limits: NetworkLimits = ANY_CHAIN) -> None:
    """Refuses a network that cannot be evaluated, exceeds the limits, or has gates where no growth puts one.

    Raises what `spec.check_appended` raises, and `GateMisplaced`.
    """
    check_count("inputs", spec.inputs, limits.max_inputs)
    check_appended(spec, (spec.inputs,), spec.hidden, spec.outputs, limits)
    _check_gates(component_classes(spec))


def _check_gates(labels: tuple[int, ...]) -> None:
    """Refuses gates unless each stands before all components of the classes that its growth has added."""
    known, begin = 0, 0
    ends = [place for place, label in enumerate(labels) if label == GATE]
    for end in (*ends, len(labels)):
        stage = set(labels[begin:end])
        if stage != set(range(known, known + len(stage))) or not stage:
            raise GateMisplaced(
                "a gate stands before new classes only, and every class belongs to one stage",
                expected=f"classes from {known} on",
                got=sorted(stage),
            )
        known, begin = known + len(stage), end + 1
