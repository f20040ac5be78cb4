"""What strategies call to make weights: train a network, grow it, and evaluate it as the chain does.

`evaluate` uses `nn.network` on integers, so its loss is exactly the one that every node computes.
"""

from __future__ import annotations

import numpy as np

from engram.nn.growth import Growth, forward_frozen, grown_spec, merge_parameters
from engram.nn.loss import LossKind, Score, score
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.participant.datasets import Dataset
from engram.participant.training import qat
from engram.participant.training.architect import SAMPLE_ROWS, grown_network
from engram.participant.training.qat import Budget, Fit, Progress
from engram.participant.training.shapes import Reach

STRICT = Reach()


def train(
    spec: NetworkSpec,
    parameters: Parameters,
    data: Dataset,
    budget: Budget,
    rng: np.random.Generator,
    progress: Progress | None = None,
    loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY,
    fit: Fit = qat.fit,
) -> Parameters:
    """Trains every segment of a network on `data`, starting at `parameters`; returns the new parameters."""
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
    reach: Reach = STRICT,
    progress: Progress | None = None,
    loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY,
    fit: Fit = qat.fit,
) -> tuple[Growth, Parameters]:
    """Grows a network by `neurons` and `new_classes`; returns the growth and its new segments' parameters.

    The old segments stay unchanged. `reach` says what the model lets new neurons do to old classes. `data`
    should hold rows of old and of new classes: the old logits cannot change, so the new logits
    must learn to stay low on rows of old classes.
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
    """The exact loss (Q24 nats, summed over rows) and number of correct rows, as the chain computes them."""
    return score(loss_kind, forward(spec, parameters, data.features), data.labels)
