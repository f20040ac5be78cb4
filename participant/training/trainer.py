"""What a participant does off the chain: train a version further, or grow it.

`evaluate` runs the consensus code on integers, so the loss that a participant claims by it is the loss that
every node computes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engram.nn.growth import Growth, forward_frozen, grown_spec, merge_parameters
from engram.nn.loss import LossKind, Score, score
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.participant.datasets import Dataset
from engram.participant.training.architect import SAMPLE_ROWS, grown_network
from engram.participant.training.qat import Budget, fit

Progress = Callable[[int, float], None]
"""Is called with the number of the step and the loss of its batch in nats."""


def train(
    spec: NetworkSpec,
    parameters: Parameters,
    data: Dataset,
    budget: Budget,
    rng: np.random.Generator,
    progress: Progress | None = None,
    loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY,
) -> Parameters:
    """New parameters for every segment of the network, trained on `data`, starting from `parameters`."""
    return fit(spec, parameters, (True,) * len(parameters), data, budget, rng, progress, loss_kind)


def grow(
    spec: NetworkSpec,
    parameters: Parameters,
    data: Dataset,
    *,
    new_classes: int,
    neurons: int,
    budget: Budget,
    rng: np.random.Generator,
    reach: int | None = None,
    progress: Progress | None = None,
    loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY,
) -> tuple[Growth, Parameters]:
    """A growth by `neurons` and `new_classes`, and the trained parameters of its new segments.

    Every old segment stays as it is. `reach` is the first old class that new neurons may feed; None means
    that they feed no old class. `data` should hold old and new classes: where the old logits cannot change,
    the new ones must learn to stay low on rows of old classes.
    """
    sample = data.features[rng.permutation(data.rows)[:SAMPLE_ROWS]]
    frozen = forward_frozen(spec, parameters, sample)
    layers = [layer.astype(np.float32) for layer in frozen.layers]
    growth, drawn = grown_network(spec, layers, neurons, new_classes, rng, reach)
    whole = grown_spec(spec, growth)
    start = merge_parameters(spec, parameters, growth, drawn)
    old = {id(segment) for segment in parameters}
    learns = tuple(id(segment) not in old for segment in start)
    trained = fit(whole, start, learns, data, budget, rng, progress, loss_kind)
    return growth, tuple(segment for segment, new in zip(trained, learns, strict=True) if new)


def evaluate(spec: NetworkSpec, parameters: Parameters, data: Dataset, loss_kind: LossKind) -> Score:
    """The exact loss and the number of correct rows, as the chain computes them."""
    return score(loss_kind, forward(spec, parameters, data.features), data.labels)
