"""Engine `experts`: a strict growth in which every class is known by itself.

A class is a mixture of low-rank Gaussians. Its logit is the likelihood ratio of its likeliest component to
one background, which is frozen at the founding: a Gaussian around the banks' center c with one variance s in
all directions. With mean m, directions v and variances l of a component, and q a row's values, it is

    (q - c)·(m - c) / s - |m - c|² / 2s + Σ (v·(q - m))²·(1/s - 1/l) / 2 - Σ ln(l / s) / 2 + ln share

times the temperature. The squares are neurons, the rest is linear. Components whose squares have one scale
share a segment, because every segment costs. Nothing about other classes is needed, and no logit of another
class changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from engram.nn.growth import Growth
from engram.nn.layers import DenseSquare
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
    """A component: its neurons in integers, and how they and the values add to its logit, in nats."""

    label: int
    shift: int
    neurons: SegmentParameters
    squares: Matrix
    """(rank,)."""
    linear: Matrix
    """(values,)."""
    constant: float


def experts(given: Consolidation) -> Consolidated:
    """The growth; the calibration must have a background.

    Raises `FewerRowsThanComponents`, `ConstantFeatures`, `EnginePolicyMismatch` without a background.
    """
    if given.calibration.background <= 0:
        raise EnginePolicyMismatch("experts need a background, which the founding fixes", got=0)
    rng, settings = np.random.default_rng([given.seed, given.base.classes]), given.settings
    made = []
    for label in given.classes:
        rows = given.values[given.labels == label]
        mixture = fit(rows, components=settings.components, rank=settings.rank, rng=rng)
        made += [_expert(label, component, given) for component in mixture]
    made.sort(key=lambda expert: expert.shift)
    first, values = component_count(given.base), given.base.inputs
    linear = np.stack([expert.linear for expert in made], axis=1)
    constants = np.array([expert.constant for expert in made])
    outputs = [output_of(Place(0, 0, values, first), linear, constants)]
    widths, hidden = layer_widths(given.base), []
    column = widths[1] if len(widths) > 1 else 0
    for shift, members in groupby(made, key=lambda expert: expert.shift):
        alike = list(members)
        segment, numbers, squares = _joined(alike, shift, values)
        if segment.width:
            hidden.append((segment, numbers))
            place = Place(1, column, column + segment.width, first)
            outputs.append(output_of(place, squares, np.zeros(len(alike)), bits=SQUARE_BITS))
        column, first = column + segment.width, first + len(alike)
    labels = tuple(expert.label for expert in made)
    implied = not given.base.components and labels == tuple(given.classes)
    segments = tuple(segment for segment, _ in hidden), tuple(segment for segment, _ in outputs)
    growth = Growth(given.new_classes, *segments, () if implied else labels)
    parameters = tuple(numbers for _, numbers in (*hidden, *outputs))
    report = Report("experts", rows=len(given.values))
    return Consolidated(growth, parameters, (None,) * len(hidden), report)


def _joined(alike: list[_Expert], shift: int, values: int) -> tuple[DenseSquare, SegmentParameters, Matrix]:
    """The neurons of components of one shift as one segment, and how they feed these components."""
    weights = np.concatenate([expert.neurons.weights for expert in alike], axis=1)
    bias = np.concatenate([expert.neurons.bias for expert in alike])
    squares, begin = np.zeros((len(bias), len(alike))), 0
    for place, expert in enumerate(alike):
        end = begin + len(expert.squares)
        squares[begin:end, place] = expert.squares
        begin = end
    segment = DenseSquare(1, 0, values, len(bias), shift, ROOT_BITS, SQUARE_SHIFT, SQUARE_BITS, 8)
    return segment, SegmentParameters(weights, bias), squares


def _expert(label: int, component: Component, given: Consolidation) -> _Expert:
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
        return _Expert(label, 0, nothing, np.zeros(0), linear, constant)
    scales = _LARGEST / np.abs(directions).max(axis=0)
    weights = np.rint(directions * scales)
    bias = np.rint(-(component.mean @ weights))
    widest = float((np.sqrt(variances) * scales).max()) * DEVIATIONS
    shift = max(0, int(np.ceil(np.log2(widest / 2**ROOT_BITS))))
    unit = 2.0 ** (2 * shift + SQUARE_SHIFT) / np.square(scales)
    squares = 0.5 * temperature * (1 / background - 1 / variances) * unit
    neurons = SegmentParameters(weights.astype(np.int8), bias.astype(np.int32))
    return _Expert(label, shift, neurons, squares, linear, constant)
