"""The losses that training lowers, in floats, and their gradients with respect to the component sums.

A component is one of a class's sums; the class's logit is its largest component. These losses steer the
training only: the loss that a participant claims is computed by `nn.loss` on integers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engram.nn.logits import Layout, layout_of
from engram.nn.loss import LossKind
from engram.nn.spec import NetworkSpec, component_classes

Array = npt.NDArray[np.float32]


def loss_gradient(
    spec: NetworkSpec, components: Array, labels: npt.NDArray[np.int64], loss_kind: LossKind
) -> tuple[float, Array]:
    """Mean loss of a batch, and its gradient with respect to `components`.

    `components` and the gradient have the shape (rows, components), `labels` the shape (rows,); components
    are in nats. Only the largest component of each class gets a gradient, because the others do not affect
    the logit. Of a network with gates, each stage adds to the logits of all older ones, see `nn.logits`.
    """
    layout = layout_of(component_classes(spec))
    ordered = components[:, layout.by_entry]
    entries: Array = np.maximum.reduceat(ordered, layout.starts, axis=1)
    logits, shares = _staged(layout, entries)
    # The zero-one loss has no gradient of its own: it is trained by that of softmax cross-entropy.
    losses = _squared_error if loss_kind is LossKind.SQUARED_ERROR else _softmax
    loss, gradient = losses(logits, labels)
    counts = np.diff(layout.starts, append=len(layout.by_entry))
    largest = ordered == np.repeat(entries, counts, axis=1)
    by_component = np.empty_like(components)
    by_component[:, layout.by_entry] = largest * np.repeat(
        _by_entry(layout, gradient, shares), counts, axis=1
    )
    return loss, (by_component / np.float32(labels.size)).astype(np.float32)


def _staged(layout: Layout, entries: Array) -> tuple[Array, Array]:
    """The logits (rows, classes), and each entry's share of its stage (rows, entries); see `nn.logits`."""
    sizes = np.diff(layout.stages, append=entries.shape[1])
    top = np.maximum.reduceat(entries, layout.stages, axis=1)
    shares = np.exp(entries - np.repeat(top, sizes, axis=1))
    sums = np.add.reduceat(shares, layout.stages, axis=1)
    shares /= np.repeat(sums, sizes, axis=1)
    gates = layout.stages[1:]
    added = np.zeros_like(top)
    added[:, :-1] = entries[:, gates] - (top + np.log(sums))[:, :-1]
    lifted = np.cumsum(added[:, ::-1], axis=1)[:, ::-1]
    logits = np.delete(entries, gates, axis=1) + lifted[:, layout.stage_of_class]
    return logits.astype(np.float32), shares


def _by_entry(layout: Layout, gradient: Array, shares: Array) -> Array:
    """The gradient by the entries (rows, entries), of one by the logits (rows, classes).

    A gate moves all older logits; the norm of a stage moves those of the stage and all older ones, against
    it, if a later stage follows.
    """
    stages, entries = layout.stages, shares.shape[1]
    gates = np.zeros(entries, dtype=bool)
    gates[stages[1:]] = True
    own = np.zeros_like(shares)
    own[:, ~gates] = gradient
    older = np.cumsum(np.add.reduceat(own, stages, axis=1), axis=1)
    own[:, stages[1:]] = older[:, :-1]
    normed = older.copy()
    normed[:, -1] = 0
    moved: Array = np.repeat(normed, np.diff(stages, append=entries), axis=1) * shares
    return own - moved


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
