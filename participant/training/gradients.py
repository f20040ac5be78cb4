"""The losses that training minimises, in floats, and their gradients by a network's component sums.

They steer training only: the loss that a participant claims is computed by `nn.loss` on integers. Training
for the squared error uses the gradient of the squared error. For every other loss it uses that of the softmax
cross-entropy; the zero-one loss has no useful gradient of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engram.nn.loss import LossKind
from engram.nn.spec import NetworkSpec, component_classes

Array = npt.NDArray[np.float32]


def loss_gradient(
    spec: NetworkSpec, components: Array, labels: npt.NDArray[np.int64], loss_kind: LossKind
) -> tuple[float, Array]:
    """The mean loss of the rows in nats, and its gradient by the component sums (rows, components).

    A logit is the maximum over the components of its class, so only the largest component receives a
    gradient.
    """
    owner = np.array(component_classes(spec), dtype=np.int64)
    logits = np.full((components.shape[0], spec.classes), -np.inf, np.float32)
    for component, cls in enumerate(owner):
        np.maximum(logits[:, cls], components[:, component], out=logits[:, cls])
    losses = _squared_error if loss_kind is LossKind.SQUARED_ERROR else _softmax
    loss, gradient = losses(logits, labels)
    largest = components == logits[:, owner]
    return loss, (gradient[:, owner] * largest / np.float32(labels.size)).astype(np.float32)


def _softmax(logits: Array, labels: npt.NDArray[np.int64]) -> tuple[float, Array]:
    chances: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    rows = np.arange(labels.size)
    loss = float(-np.log(np.maximum(chances[rows, labels], 1e-30)).mean())
    chances[rows, labels] -= 1
    return loss, chances


def _squared_error(logits: Array, labels: npt.NDArray[np.int64]) -> tuple[float, Array]:
    """For one-hot targets in nats. The chain clips logits; here large ones keep their gradient."""
    errors = logits.copy()
    errors[np.arange(labels.size), labels] -= 1
    return float(np.square(errors).sum(axis=1).mean()), 2 * errors
