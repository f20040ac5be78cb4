"""The forward pass by hand and by oracle: components, clipping, ties, shapes."""

import numpy as np
import pytest

from engram.nn.engine import FAST, REFERENCE
from engram.nn.errors import ShapeMismatch
from engram.nn.evaluate import frozen_size_bytes
from engram.nn.growth import forward_frozen
from engram.nn.layers import Output
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters, forward, predict
from engram.nn.parameters import prove_bounds
from tests.support import nn_reference
from tests.support.nn_samples import TWO_LAYERS, network_parameters, random_features

IDENTITY = NetworkSpec(2, 2, (), (), (Output(0, 0, 2, 0, 2, 0, 8),))
EYE: Parameters = (SegmentParameters(np.eye(2, dtype=np.int8), np.array([-100, 0], dtype=np.int32)),)


def by_hand(spec: NetworkSpec, parameters: Parameters, row: list[int]) -> list[int]:
    features = np.array([row], np.uint8)
    fast, slow = (forward(spec, parameters, features, engine=engine) for engine in (FAST, REFERENCE))
    assert np.array_equal(fast, slow)
    return [int(logit) for logit in fast[0]]


def test_a_linear_network_by_hand() -> None:
    assert by_hand(IDENTITY, EYE, [255, 7]) == [155, 7]


@pytest.mark.parametrize(
    ("shift", "expected"), [(-16, [155 << 16, 7 << 16]), (-1, [310, 14]), (1, [78, 4]), (31, [0, 0])]
)
def test_output_shifts_by_hand(shift: int, expected: list[int]) -> None:
    spec = NetworkSpec(2, 2, (), (), (Output(0, 0, 2, 0, 2, shift, 8),))
    assert by_hand(spec, EYE, [255, 7]) == expected


def test_each_output_segment_is_rounded_before_the_sum() -> None:
    half = Output(0, 0, 1, 0, 1, 1, 8)
    one: Parameters = (SegmentParameters(np.array([[1]], np.int8), np.zeros(1, np.int32)),)
    assert by_hand(NetworkSpec(1, 1, (), (), (half,)), one, [1]) == [1]
    assert by_hand(NetworkSpec(1, 1, (), (), (half, half)), one * 2, [1]) == [2]


def test_a_class_is_the_best_of_its_components() -> None:
    spec = NetworkSpec(2, 2, (0, 1, 0), (), (Output(0, 0, 2, 0, 3, 0, 8),))
    parameters = (
        SegmentParameters(np.array([[1, 0, 0], [0, 1, 1]], np.int8), np.array([0, 0, -5], np.int32)),
    )
    assert by_hand(spec, parameters, [3, 4]) == [3, 4]
    assert by_hand(spec, parameters, [3, 40]) == [35, 40]


def test_a_component_without_output_segments_is_zero() -> None:
    spec = NetworkSpec(2, 2, (0, 1, 1), (), (Output(0, 0, 2, 0, 2, 0, 8),))
    assert by_hand(spec, EYE, [0, 0]) == [-100, 0]
    low = (SegmentParameters(np.zeros((2, 2), np.int8), np.array([-100, -100], np.int32)),)
    assert by_hand(spec, low, [0, 0]) == [-100, 0]


def test_logits_are_clipped_once_after_the_sum() -> None:
    segment = Output(0, 0, 1, 0, 1, -16, 8)
    spec = NetworkSpec(1, 1, (), (), (segment, segment))
    up, down = (SegmentParameters(np.array([[w]], np.int8), np.zeros(1, np.int32)) for w in (127, -127))
    assert by_hand(spec, (up, up), [255]) == [2**30]
    assert by_hand(spec, (down, down), [255]) == [-(2**30)]
    assert by_hand(spec, (up, down), [255]) == [0]


@pytest.mark.parametrize("share", [1.0, 2.0**-6, 2.0**-12])
def test_the_sample_network_meets_the_oracle(share: float) -> None:
    parameters, features = network_parameters(TWO_LAYERS, 5, share), random_features(12, 40)
    expected = [nn_reference.row_logits(TWO_LAYERS, parameters, row) for row in features.tolist()]
    for engine in (FAST, REFERENCE):
        assert forward(TWO_LAYERS, parameters, features, engine=engine).tolist() == expected


def test_a_given_proof_replaces_the_check() -> None:
    parameters, features = network_parameters(TWO_LAYERS), random_features(12, 4)
    bounds = prove_bounds(TWO_LAYERS, parameters)
    assert np.array_equal(
        forward(TWO_LAYERS, parameters, features, bounds), forward(TWO_LAYERS, parameters, features)
    )


def test_no_rows_give_no_logits() -> None:
    assert forward(TWO_LAYERS, network_parameters(TWO_LAYERS), np.zeros((0, 12), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    "features",
    [
        np.zeros((2, 11), np.uint8),
        np.zeros(12, np.uint8),
        np.zeros((2, 12), np.int8),
        np.full((2, 12), np.nan),
    ],
)
def test_features_that_do_not_fit_are_refused(features: np.ndarray) -> None:
    with pytest.raises(ShapeMismatch):
        forward(TWO_LAYERS, network_parameters(TWO_LAYERS), features)


def test_features_may_be_any_view() -> None:
    parameters, features = network_parameters(TWO_LAYERS), random_features(12, 9)
    expected = forward(TWO_LAYERS, parameters, features)
    for same in (np.asfortranarray(features), np.repeat(features, 2, axis=0)[::2], features[::-1][::-1]):
        assert np.array_equal(forward(TWO_LAYERS, parameters, same), expected)


def test_ties_go_to_the_lowest_class() -> None:
    assert predict(np.array([[1, 3, 3], [0, 0, 0], [-1, -2, 0]], np.int64)).tolist() == [1, 0, 2]


def test_the_size_of_frozen_activations_is_known_before() -> None:
    frozen = forward_frozen(TWO_LAYERS, network_parameters(TWO_LAYERS), random_features(12, 9))
    assert [str(layer.dtype) for layer in frozen.layers] == ["uint8", "uint16", "uint16"]
    assert frozen.size_bytes == frozen_size_bytes(TWO_LAYERS, 9) == 9 * (10 * 2 + 5 * 2 + 4 * 8)
