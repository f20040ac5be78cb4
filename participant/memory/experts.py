"""Engine `experts`: a strict growth in which every class is known by itself.

A class is a mixture of low-rank Gaussians. Its logit is the likelihood ratio of its likeliest component to
one background, which is frozen at the founding: a Gaussian around the banks' center c with one variance s in
all directions. With mean m, directions v and variances l of a component, and q a row's values, it is

    (q - c)·(m - c) / s - |m - c|² / 2s + Σ (v·(q - m))²·(1/s - 1/l) / 2 - Σ ln(l / s) / 2 + ln share

times the temperature. The squares are neurons, the rest is linear. Nothing about other classes is needed, and
no logit of another class changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from engram.nn.growth import Growth
from engram.nn.layers import DenseSquare, HiddenSegment, Output
from engram.nn.network import SegmentParameters
from engram.nn.spec import component_count, layer_widths
from engram.participant.memory.consolidation import Consolidated, Consolidation, Report
from engram.participant.memory.errors import EnginePolicyMismatch
from engram.participant.memory.head import Place, output_of
from engram.participant.memory.mixtures import Component, fit
from engram.participant.memory.ridge import Matrix

ROOT_BITS: Final = 11
"""h of the squares: what is squared lies within ±2^11."""
SQUARE_SHIFT: Final = 8
SQUARE_BITS: Final = 14
DEVIATIONS: Final = 6.0
"""How many standard deviations of its own class fit a neuron's range."""
_LARGEST: Final = 127


@dataclass(frozen=True, eq=False)
class _Expert:
    """A component as integers: its neurons, and how they and the values add to its logit, in nats."""

    neurons: SegmentParameters
    shift: int
    squares: Matrix
    """(rank, 1)."""
    linear: Matrix
    """(values, 1)."""
    constant: float


def experts(given: Consolidation) -> Consolidated:
    """The growth; the calibration must have a background.

    Raises `FewerRowsThanComponents`, `ConstantFeatures`, `EnginePolicyMismatch` without a background.
    """
    if given.calibration.background <= 0:
        raise EnginePolicyMismatch("experts need a background, which the founding fixes", got=0)
    rng, settings = np.random.default_rng([given.seed, given.base.classes]), given.settings
    widths = layer_widths(given.base)
    draft = _Draft(widths[1] if len(widths) > 1 else 0, component_count(given.base))
    for label in given.classes:
        rows = given.values[given.labels == label]
        for component in fit(rows, components=settings.components, rank=settings.rank, rng=rng):
            draft.add(label, _expert(component, given), given.base.inputs)
    labels = tuple(draft.labels)
    implied = not given.base.components and labels == tuple(given.classes)
    growth = Growth(given.new_classes, tuple(draft.hidden), tuple(draft.outputs), () if implied else labels)
    parameters = (*draft.hidden_numbers, *draft.output_numbers)
    report = Report("experts", rows=len(given.values))
    return Consolidated(growth, parameters, (None,) * len(draft.hidden), report)


class _Draft:
    """The segments of a growth that is being made, one component after the other."""

    def __init__(self, neurons: int, components: int) -> None:
        self._neurons, self._components = neurons, components
        self.labels: list[int] = []
        self.hidden: list[HiddenSegment] = []
        self.outputs: list[Output] = []
        self.hidden_numbers: list[SegmentParameters] = []
        self.output_numbers: list[SegmentParameters] = []

    def add(self, label: int, expert: _Expert, values: int) -> None:
        """Appends a component: what reads the values, and the squares if it has any."""
        first, rank = self._components + len(self.labels), len(expert.squares)
        self.labels.append(label)
        linear = output_of(Place(0, 0, values, first), expert.linear, np.array([expert.constant]))
        self._append_output(*linear)
        if not rank:
            return
        segment = DenseSquare(1, 0, values, rank, expert.shift, ROOT_BITS, SQUARE_SHIFT, SQUARE_BITS, 8)
        self.hidden.append(segment)
        self.hidden_numbers.append(expert.neurons)
        place = Place(1, self._neurons, self._neurons + rank, first)
        self._append_output(*output_of(place, expert.squares, np.zeros(1), bits=SQUARE_BITS))
        self._neurons += rank

    def _append_output(self, segment: Output, numbers: SegmentParameters) -> None:
        self.outputs.append(segment)
        self.output_numbers.append(numbers)


def _expert(component: Component, given: Consolidation) -> _Expert:
    center = np.frombuffer(given.banks.rule.center, dtype=np.uint8).astype(np.float64)
    background, temperature = given.calibration.background, given.calibration.temperature
    keeps = component.variances > background
    directions, variances = component.directions[:, keeps], component.variances[keeps]
    away = component.mean - center
    linear = temperature * away / background
    constant = (
        -0.5 * float(away @ away) / background
        - 0.5 * float(np.log(variances / background).sum())
        + float(np.log(component.share))
    ) * temperature - float(center @ linear)
    if not variances.size:
        nothing = SegmentParameters(np.zeros((len(center), 0), np.int8), np.zeros(0, np.int32))
        return _Expert(nothing, 0, np.zeros((0, 1)), linear[:, np.newaxis], constant)
    scales = _LARGEST / np.abs(directions).max(axis=0)
    weights = np.rint(directions * scales)
    bias = np.rint(-(component.mean @ weights))
    widest = float((np.sqrt(variances) * scales).max()) * DEVIATIONS
    shift = max(0, int(np.ceil(np.log2(widest / 2**ROOT_BITS))))
    unit = 2.0 ** (2 * shift + SQUARE_SHIFT) / np.square(scales)
    squares = 0.5 * temperature * (1 / background - 1 / variances) * unit
    neurons = SegmentParameters(weights.astype(np.int8), bias.astype(np.int32))
    return _Expert(neurons, shift, squares[:, np.newaxis], linear[:, np.newaxis], constant)
