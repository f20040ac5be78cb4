"""The vectors of unions of two growths, for `nn_vectors`."""

from __future__ import annotations

from typing import Any

from engram.nn.growth import Growth, Policy, append, merge_parameters
from engram.nn.network import Parameters, forward
from engram.nn.union import unite
from engram.primitives.codec import encode, to_json
from tests.support.nn_samples import (
    BESIDE,
    BESIDE_RELATIVE,
    GROWTH,
    LIMITS,
    RELATIVE,
    TWO_LAYERS,
    growth_parameters,
    network_parameters,
    random_features,
)


def unions() -> list[dict[str, Any]]:
    return [
        _union(GROWTH, BESIDE, Policy.STRICT),
        _union(BESIDE, GROWTH, Policy.STRICT),
        _union(RELATIVE, BESIDE_RELATIVE, Policy.RELATIVE),
    ]


def _union(first: Growth, second: Growth, policy: Policy) -> dict[str, Any]:
    """The case of a union; its parameters are those of its halves."""
    spec, union = TWO_LAYERS, unite(TWO_LAYERS, first, second)
    grown = append(spec, union, policy=policy, limits=LIMITS)
    old, features = network_parameters(spec, 11), random_features(spec.inputs, 6)
    one, other = growth_parameters(spec, first, 12, 2.0**-14), growth_parameters(spec, second, 13, 2.0**-14)
    ends = len(first.hidden), len(second.hidden)
    both = one[: ends[0]] + other[: ends[1]] + one[ends[0] :] + other[ends[1] :]
    return {
        "spec": to_json(spec),
        "first": to_json(first),
        "second": to_json(second),
        "union": to_json(union),
        "union_bytes": encode(union).hex(),
        "old_parameters": numbers_of(old),
        "first_parameters": numbers_of(one),
        "second_parameters": numbers_of(other),
        "features": features.tolist(),
        "logits": forward(grown, merge_parameters(spec, old, union, both), features).tolist(),
    }


def numbers_of(parameters: Parameters) -> list[dict[str, Any]]:
    """Parameters as JSON values."""
    return [{"weights": each.weights.tolist(), "bias": each.bias.tolist()} for each in parameters]
