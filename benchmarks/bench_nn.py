"""Measures the verification of networks: speed against float32 and int64, exactness, cost of a growth."""

from collections.abc import Iterable
from decimal import Decimal, getcontext

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Row, interleaved
from benchmarks.samples import CLASSES, INPUTS, dense, images, random_parameters
from engram.nn.engine import REFERENCE
from engram.nn.growth import Growth, Policy, append, forward_frozen, forward_growth, merge_parameters
from engram.nn.layers import DenseRelu, Output
from engram.nn.loss import LossKind, loss_rows, score
from engram.nn.network import NetworkSpec, Parameters, forward
from engram.nn.spec import NetworkLimits

CROSS_ENTROPY = LossKind.SOFTMAX_CROSS_ENTROPY
HIDDEN = 256


def rows(quick: bool) -> Iterable[Row]:
    yield from _verification(rows=1_000 if quick else 10_000, pairs=3 if quick else 15)
    yield from _exactness(samples=100 if quick else 1_000)
    yield _growth(rows=500 if quick else 5_000, pairs=3 if quick else 9)


def _verification(rows: int, pairs: int) -> Iterable[Row]:
    """Recomputing a claimed loss, against the same network in plain float32 numpy, and with `@` on int64."""
    rng = np.random.default_rng(1)
    features, labels = images(rng, rows), rng.integers(0, CLASSES, rows).astype(np.uint16)
    spec = dense(HIDDEN)
    parameters = random_parameters(rng, spec)
    floats = _as_floats(parameters)
    x = features.astype(np.float32) / np.float32(255)
    wide = tuple((block.weights.astype(np.int64), block.bias.astype(np.int64)) for block in parameters)
    x_wide = features.astype(np.int64)

    def verify() -> None:
        score(CROSS_ENTROPY, forward(spec, parameters, features), labels)

    timed = interleaved(verify, lambda: _float_loss(floats, x, labels), pairs)
    yield Row(
        "verify_rows_per_s_vs_float32",
        rows / timed.median_candidate_s,
        rows / timed.median_baseline_s,
        timed.speed,
        "ratio >= 1.00",
        timed.speed >= 1.00,
    )
    timed = interleaved(verify, lambda: _int64_logits(wide, x_wide), min(pairs, 3))
    yield Row(
        "verify_rows_per_s_vs_int64",
        rows / timed.median_candidate_s,
        rows / timed.median_baseline_s,
        timed.speed,
        "ratio >= 10",
        timed.speed >= 10,
    )


def _exactness(samples: int) -> Iterable[Row]:
    """The loss against one with 50 digits on the same logits, and the two engines against each other."""
    rng = np.random.default_rng(2)
    spec = dense(64, output_shift=-3)
    parameters = random_parameters(rng, spec)
    features, labels = images(rng, samples), rng.integers(0, CLASSES, samples).astype(np.uint16)
    logits = forward(spec, parameters, features)
    losses = loss_rows(CROSS_ENTROPY, logits, labels)
    worst = max(
        abs(Decimal(loss) / 2**24 - _decimal_loss(row, label))
        for loss, row, label in zip(losses.tolist(), logits.tolist(), labels.tolist(), strict=True)
    )
    yield Row("log_loss_error_nat", float(worst), None, None, "<= 1e-5 nat", worst <= Decimal("1e-5"))
    slow = forward(spec, parameters, features, engine=REFERENCE)
    pairs = ((logits, slow), (losses, loss_rows(CROSS_ENTROPY, slow, labels)))
    bits = sum(int(np.bitwise_count(np.bitwise_xor(a, b)).sum()) for a, b in pairs)
    yield Row("bits_differing_between_engines", bits, None, None, "== 0", bits == 0)


def _growth(rows: int, pairs: int) -> Row:
    """Scoring a growth by 100 neurons and two classes on a model of 2,000 neurons whose activations are
    remembered, against a pass through the whole network.
    """
    rng = np.random.default_rng(3)
    neurons, new, old_classes = 2_000, 100, CLASSES - 2
    hidden = DenseRelu(1, 0, INPUTS, neurons, 9, 8, 8)
    spec = NetworkSpec(INPUTS, old_classes, (), (hidden,), (Output(1, 0, neurons, 0, old_classes, 0, 8),))
    growth = Growth(
        2, (DenseRelu(1, 0, INPUTS, new, 9, 8, 8),), (Output(1, 0, neurons + new, old_classes, 2, 0, 8),), ()
    )
    grown = append(spec, growth, policy=Policy.STRICT, limits=NetworkLimits())
    old = random_parameters(rng, spec)
    added = random_parameters(rng, NetworkSpec(INPUTS, CLASSES, (), growth.hidden, growth.outputs))
    whole = merge_parameters(spec, old, growth, added)
    features, labels = images(rng, rows), rng.integers(0, CLASSES, rows).astype(np.uint16)
    frozen = forward_frozen(spec, old, features)
    timed = interleaved(
        lambda: score(CROSS_ENTROPY, forward_growth(spec, frozen, growth, added), labels),
        lambda: score(CROSS_ENTROPY, forward(grown, whole, features), labels),
        pairs,
    )
    return Row(
        "verify_growth_of_5_percent_ms",
        timed.median_candidate_s * 1e3,
        timed.median_baseline_s * 1e3,
        1 / timed.speed,
        "ratio <= 0.15",
        1 / timed.speed <= 0.15,
    )


def _as_floats(parameters: Parameters) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    scale = np.float32(1 / 64)
    return [
        (block.weights.astype(np.float32) * scale, block.bias.astype(np.float32) * scale)
        for block in parameters
    ]


def _float_loss(
    layers: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
    x: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint16],
) -> float:
    (w1, b1), (w2, b2) = layers
    z = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    z -= z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]))


def _int64_logits(
    layers: tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], ...], x: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    (w1, b1), (w2, b2) = layers
    logits: npt.NDArray[np.int64] = np.clip((x @ w1 + b1 + 256) >> 9, 0, 255) @ w2 + b2
    return logits


def _decimal_loss(logits: list[int], label: int) -> Decimal:
    getcontext().prec = 50
    nats = [Decimal(logit) / 2**16 for logit in logits]
    top = max(nats)
    return sum(((nat - top).exp() for nat in nats), Decimal(0)).ln() + top - nats[label]
