"""The losses that training lowers, in floats, and their gradients with respect to the component sums.

A component is one of a class's sums; the class's logit is its largest component. These losses steer the
training only: the loss that a participant claims is computed by `nn.loss` on integers.
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
    """Mean loss of a batch, and its gradient with respect to `components`.

    `components` and the gradient have the shape (rows, components), `labels` the shape (rows,); components
    are in nats. Only the largest component of each class gets a gradient, because the others do not affect
    the logit.
    """
    owner = np.array(component_classes(spec), dtype=np.int64)
    logits = np.full((components.shape[0], spec.classes), -np.inf, np.float32)
    for component, cls in enumerate(owner):
        np.maximum(logits[:, cls], components[:, component], out=logits[:, cls])
    # The zero-one loss has no gradient of its own: it is trained by that of softmax cross-entropy.
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
    """Squared distance to one-hot targets in nats. The chain's loss clips logits; this gradient does not, so
    that training can bring them back into the range.
    """
    errors = logits.copy()
    errors[np.arange(labels.size), labels] -= 1
    return float(np.square(errors).sum(axis=1).mean()), 2 * errors
