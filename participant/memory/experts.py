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
from engram.participant.memory.errors import EnginePolicyMismatch
from engram.participant.memory.head import Place, output_of, wide_output_of
from engram.participant.memory.lesson import Lecture, Lesson, Report
from engram.participant.memory.mixtures import Component, fit
from engram.participant.memory.ridge import Matrix

ROOT_BITS: Final = 11
"""h of the squares: what is squared lies within ±2^11."""
SQUARE_SHIFT: Final = 6
SQUARE_BITS: Final = 16
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


def experts(lesson: Lesson) -> Lecture:
    """The growth; the calibration must have a background.

    Raises `FewerRowsThanComponents`, `ConstantFeatures`, `EnginePolicyMismatch` without a background.
    """
    if lesson.calibration.background <= 0:
        raise EnginePolicyMismatch("experts need a background, which the founding fixes", got=0)
    rng, settings = np.random.default_rng([lesson.seed, lesson.base.classes]), lesson.settings
    center = np.frombuffer(lesson.banks.rule.center, dtype=np.uint8).astype(np.float64)
    hidden: list[HiddenSegment] = []
    outputs: list[Output] = []
    numbers: list[list[SegmentParameters]] = [[], []]
    labels: list[int] = []
    column = layer_widths(lesson.base)[1] if len(layer_widths(lesson.base)) > 1 else 0
    for label in lesson.classes:
        rows = lesson.values[lesson.labels == label]
        for component in fit(rows, components=settings.components, rank=settings.rank, rng=rng):
            first = component_count(lesson.base) + len(labels)
            expert = _expert(component, center, lesson)
            linear, given = output_of(
                Place(0, 0, len(center), first), expert.linear, np.array([expert.constant])
            )
            outputs.append(linear)
            numbers[1].append(given)
            labels.append(label)
            if not (rank := len(expert.squares)):
                continue
            hidden.append(
                DenseSquare(1, 0, len(center), rank, expert.shift, ROOT_BITS, SQUARE_SHIFT, SQUARE_BITS, 8)
            )
            squares, given = wide_output_of(
                Place(1, column, column + rank, first), expert.squares, np.zeros(1)
            )
            outputs.append(squares)
            numbers[0].append(expert.neurons)
            numbers[1].append(given)
            column += rank
    implied = not lesson.base.components and tuple(labels) == tuple(lesson.classes)
    growth = Growth(lesson.new_classes, tuple(hidden), tuple(outputs), () if implied else tuple(labels))
    report = Report("experts", rows=len(lesson.values))
    return Lecture(growth, (*numbers[0], *numbers[1]), (None,) * len(hidden), report)


def _expert(component: Component, center: Matrix, lesson: Lesson) -> _Expert:
    background, temperature = lesson.calibration.background, lesson.calibration.temperature
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
