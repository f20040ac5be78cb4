"""Trains the outputs of a wide network and leaves its hidden neurons as they were founded."""

from __future__ import annotations

from dataclasses import replace
from math import floor, log2
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.growth import forward_frozen
from engram.nn.layers.output import MIN_OUTPUT_SHIFT
from engram.nn.layers.segment import MAX_SHIFT
from engram.nn.network import SegmentParameters
from engram.participant.datasets import Dataset
from engram.participant.round_plan import explicit_sources
from engram.participant.task import Draft, Strategy, Task, network_root
from engram.statemachine.additions import SegmentSources, TrainUpdate

_PENALTY: Final = 1e-2
"""Of the squares of the weights, relative to the mean square of the activations of a row."""
_CONFIDENCES: Final = (4.0, 8.0, 16.0, 32.0)
"""By how much logits are apart, in nats, where the regression is sure; the validation rows choose one."""
_NAT: Final = 2.0**16
_MOST_WEIGHT: Final = 127

Floats = npt.NDArray[np.float64]


def outputs_only(data: Dataset) -> Strategy:
    """A strategy that fits the outputs to these rows by ridge regression. One layer of hidden neurons.

    The hidden weights stay those of version t, which are on the chain, so only the outputs travel. The loss
    that it drafts is computed in floats: on a model whose scores are claimed, the claim counts instead.
    """

    def propose(task: Task) -> Draft:
        own = _hidden(task, data)
        seen = [(_hidden(task, Dataset(part.features, part.labels)), part.labels) for part in task.validation]
        weights, bias = _ridge(own, data.labels, task.round.classes)

        def loss(confidence: float) -> float:
            return sum(_loss(confidence * (rows @ weights + bias), labels) for rows, labels in seen)

        best = min(_CONFIDENCES, key=loss)
        return _draft(task, best * weights, best * bias, round(loss(best) * 2**24))

    return propose


def _hidden(task: Task, data: Dataset) -> Floats:
    """The activations of the hidden neurons, one row for each row of the data."""
    kept = forward_frozen(task.base.spec, task.parameters, data.features)
    return np.asarray(kept.layers[1], np.float64)


def _ridge(rows: Floats, labels: npt.NDArray[np.uint16], classes: int) -> tuple[Floats, Floats]:
    """Weights and bias with which `rows` give the labels, one of `classes` each."""
    wanted = np.eye(classes)[labels] - 1 / classes
    center = rows.mean(axis=0)
    spread = rows - center
    kernel = spread @ spread.T
    kernel += _PENALTY * kernel.trace() / len(rows) * np.eye(len(rows))
    weights = spread.T @ np.linalg.solve(kernel, wanted - wanted.mean(axis=0))
    return weights, wanted.mean(axis=0) - center @ weights


def _loss(logits: Floats, labels: npt.NDArray[np.uint16]) -> float:
    """Softmax cross-entropy in nats, summed over rows."""
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return float(np.sum(total - logits[np.arange(len(labels)), labels]))


def _draft(task: Task, weights: Floats, bias: Floats, loss: int) -> Draft:
    (output,) = task.base.spec.outputs
    shift = floor(log2(_MOST_WEIGHT / (np.abs(weights).max() * _NAT)))
    shift = min(max(shift, MIN_OUTPUT_SHIFT), MAX_SHIFT)
    scale = _NAT * 2.0**shift
    fitted = SegmentParameters(
        np.clip(np.rint(weights * scale), -_MOST_WEIGHT, _MOST_WEIGHT).astype(np.int8),
        np.rint(bias * scale).astype(np.int32),
    )
    _, outputs, tensors = explicit_sources(0, (fitted,))
    hidden = tuple(SegmentSources(own.weights, own.bias) for own in task.base.hidden)
    spec = replace(task.base.spec, outputs=(replace(output, shift=shift),))
    update = TrainUpdate(spec, hidden, outputs, tensors)
    return Draft(update, task.round.base, network_root(task, update), loss)
