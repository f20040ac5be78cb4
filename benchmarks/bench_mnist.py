"""Measures what int8 costs on MNIST: a float network against its rounded copy, and one trained in int8."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Row, skipped
from benchmarks.samples import CLASSES, INPUTS, dense
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.participant.datasets import Dataset, load_mnist_folder
from engram.participant.errors import DatasetNotFound
from engram.participant.training.architect import dense_network
from engram.participant.training.qat import Budget
from engram.participant.training.trainer import evaluate, train

HIDDEN: Final = 256
BATCH: Final = 128
EPOCHS: Final = 8
CROSS_ENTROPY: Final = LossKind.SOFTMAX_CROSS_ENTROPY
BESIDE: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
"""The folder in which the files are looked for if ENGRAM_DATA names none."""
ACCURACY, LOSS, TRAINED = "mnist_int8_accuracy_percent", "mnist_int8_loss_nat", "mnist_trained_int8_percent"

Array = npt.NDArray[np.float32]


def rows(quick: bool) -> Iterable[Row]:
    folder = Path(os.environ.get("ENGRAM_DATA") or BESIDE)
    try:
        data = load_mnist_folder(folder)
    except DatasetNotFound as error:
        yield from (skipped(name, f"no MNIST: {error.message}") for name in (ACCURACY, LOSS, TRAINED))
        return
    steps = 200 if quick else EPOCHS * data.train.rows // BATCH
    network = _FloatNetwork(np.random.default_rng(8))
    network.fit(data.train, steps, np.random.default_rng(9))
    accuracy, loss = network.evaluate(data.test)
    yield from _quantised(network, data.train, data.test, accuracy, loss)
    yield _trained(data.train, data.test, steps, accuracy)


def _quantised(
    network: _FloatNetwork, train_set: Dataset, test: Dataset, accuracy: float, loss: float
) -> Iterable[Row]:
    """The weights of the float network in int8, on the 10,000 test images."""
    own_accuracy, own_loss = _evaluate(*network.quantised(train_set), test)
    difference = abs(own_accuracy - accuracy)
    yield Row(ACCURACY, own_accuracy, accuracy, None, "within 0.1 point", round(difference, 6) <= 0.1)
    yield Row(LOSS, own_loss, loss, None, "within 1e-3 nat", abs(own_loss - loss) <= 1e-3)


def _trained(train_set: Dataset, test: Dataset, steps: int, accuracy: float) -> Row:
    """Training as a participant does it, from scratch, on as many images as the float network saw.

    Two such trainings differ by about a tenth of a point by chance.
    """
    rng = np.random.default_rng(8)
    spec, start = dense_network(train_set, (HIDDEN,), CLASSES, rng)
    parameters = train(spec, start, train_set, Budget(steps, BATCH, learning_rate=2.0, balance=False), rng)
    own_accuracy, _ = _evaluate(spec, parameters, test)
    return Row(TRAINED, own_accuracy, accuracy, None, ">= float - 0.2 point", own_accuracy >= accuracy - 0.2)


def _evaluate(spec: NetworkSpec, parameters: Parameters, test: Dataset) -> tuple[float, float]:
    """Percentage of right rows, and loss in nats a row, as the chain computes them."""
    score = evaluate(spec, parameters, test, CROSS_ENTROPY)
    return 100 * score.correct / score.rows, score.loss / 2**24 / score.rows


class _FloatNetwork:
    """784-256-10 in float32: ReLU, softmax, Adam with a cosine schedule. Pixels are 0 to 1."""

    def __init__(self, rng: np.random.Generator) -> None:
        spread = np.sqrt(2 / INPUTS), np.sqrt(1 / HIDDEN)
        self._weights: list[Array] = [
            rng.normal(0, spread[0], (INPUTS, HIDDEN)).astype(np.float32),
            np.zeros(HIDDEN, np.float32),
            rng.normal(0, spread[1], (HIDDEN, CLASSES)).astype(np.float32),
            np.zeros(CLASSES, np.float32),
        ]

    def fit(self, data: Dataset, steps: int, rng: np.random.Generator) -> None:
        first = [np.zeros_like(weights) for weights in self._weights]
        second = [np.zeros_like(weights) for weights in self._weights]
        features, labels = _pixels(data), data.labels.astype(np.int64)
        for step in range(1, steps + 1):
            index = rng.integers(0, data.rows, BATCH)
            rate = np.float32(3e-3 * (0.5 * (1 + np.cos(np.pi * step / steps)) + 0.01))
            for at, gradient in enumerate(self._gradients(features[index], labels[index])):
                first[at] += 0.1 * (gradient - first[at])
                second[at] += 0.001 * (gradient * gradient - second[at])
                scale = np.sqrt(second[at] / (1 - 0.999**step)) + 1e-8
                self._weights[at] -= rate * (first[at] / (1 - 0.9**step) / scale)

    def evaluate(self, data: Dataset) -> tuple[float, float]:
        """Percentage of right rows, and loss in nats a row."""
        logits, labels = self._logits(_pixels(data)), data.labels.astype(np.int64)
        logits -= logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(data.rows), labels]
        return 100 * float((logits.argmax(axis=1) == labels).mean()), float(losses.mean())

    def quantised(self, sample: Dataset) -> tuple[NetworkSpec, Parameters]:
        """The nearest int8 network whose 8-bit activations can hold every activation on the sample."""
        w1, b1, w2, b2 = (weights.astype(np.float64) for weights in self._weights)
        hidden_scale = 127 / np.abs(w1).max()
        top = self._hidden(_pixels(sample)).max()
        hidden_shift = int(np.ceil(np.log2(top * hidden_scale)))
        activation_scale = 255 * hidden_scale / 2**hidden_shift
        output_shift = int(np.floor(np.log2(127 * activation_scale / np.abs(w2).max()) - 16))
        output_scale = 2.0 ** (16 + output_shift) / activation_scale
        spec = dense(HIDDEN, hidden_shift=hidden_shift, output_shift=output_shift)
        return spec, (
            _segment(w1 * hidden_scale, b1 * hidden_scale * 255),
            _segment(w2 * output_scale, b2 * activation_scale * output_scale),
        )

    def _hidden(self, x: Array) -> Array:
        hidden: Array = np.maximum(x @ self._weights[0] + self._weights[1], 0)
        return hidden

    def _logits(self, x: Array) -> Array:
        logits: Array = self._hidden(x) @ self._weights[2] + self._weights[3]
        return logits

    def _gradients(self, x: Array, labels: npt.NDArray[np.int64]) -> tuple[Array, ...]:
        hidden = self._hidden(x)
        logits = hidden @ self._weights[2] + self._weights[3]
        chances: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        chances[np.arange(len(labels)), labels] -= 1
        chances /= np.float32(len(labels))
        below: Array = chances @ self._weights[2].T * (hidden > 0)
        return x.T @ below, below.sum(axis=0), hidden.T @ chances, chances.sum(axis=0)


def _pixels(data: Dataset) -> Array:
    return data.features.astype(np.float32) / np.float32(255)


def _segment(weights: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]) -> SegmentParameters:
    return SegmentParameters(np.rint(weights).astype(np.int8), np.rint(bias).astype(np.int32))
