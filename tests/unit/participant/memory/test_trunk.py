"""The trunk: integers of the chain's network, fitted to the first classes, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engram.nn.engine import REFERENCE
from engram.nn.growth import forward_frozen
from engram.nn.layers import Output
from engram.nn.network import SegmentParameters
from engram.nn.seeded import expand
from engram.nn.spec import NetworkLimits, NetworkSpec, check_spec
from engram.participant.datasets import load_digits
from engram.participant.memory.errors import ConstantFeatures, FeatureCountMismatch, FeaturesNotIntegers
from engram.participant.memory.filters import gabor, window
from engram.participant.memory.trunk import Trunk, convolution_trunk, plain_trunk, shifted_images

SEED = bytes(range(32))
DIGITS = load_digits()


def trunk_of(classes: tuple[int, ...] = (0, 1), *, root: bool = True) -> Trunk:
    rows = DIGITS.of_classes(classes).features[:200]
    return convolution_trunk(rows, seed=SEED, side=8, values=48, root=root)


@pytest.mark.parametrize("root", [True, False])
def test_values_are_those_of_the_network_in_plain_integers(root: bool) -> None:
    trunk, rows = trunk_of(root=root), DIGITS.features[:20]
    spec = NetworkSpec(64, 1, (), trunk.hidden, (Output(6, 0, 1, 0, 1, 0, 8),))
    check_spec(spec, NetworkLimits())
    nothing = SegmentParameters(np.zeros((1, 1), np.int8), np.zeros(1, np.int32))
    frozen = forward_frozen(spec, (*trunk.parameters, nothing), rows, engine=REFERENCE)
    assert np.array_equal(trunk.run(rows), frozen.layers[6])


def test_values_fill_their_range_around_the_middle() -> None:
    values = trunk_of().run(DIGITS.of_classes((0, 1)).features[:200]).astype(float)
    assert abs(values.mean() - 128) < 2
    assert 14 < np.sqrt(values.var(axis=0).mean()) <= 33


def test_the_projection_travels_as_a_seed() -> None:
    trunk = trunk_of()
    assert [seeded is not None for seeded in trunk.seeded] == [False] * 6 + [True]
    last = trunk.seeded[-1]
    assert last is not None
    assert np.array_equal(expand(last), trunk.parameters[-1].weights)


def test_the_recipe_for_mnist_leaves_room_for_five_thousand_neurons() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, 784)).astype(np.uint8)
    trunk, limits = convolution_trunk(rows, seed=SEED), NetworkLimits()
    assert (trunk.depth, trunk.values) == (6, 512)
    assert trunk.neurons < limits.max_neurons - 5_000
    assert trunk.macs_per_row < limits.max_macs_per_row
    assert trunk.run(rows[:3]).shape == (3, 512)


def test_a_plain_trunk_gives_the_features_themselves() -> None:
    trunk = plain_trunk(64)
    assert (trunk.depth, trunk.macs_per_row) == (0, 0)
    assert np.array_equal(trunk.run(DIGITS.features[:9]), DIGITS.features[:9])


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (np.full((4, 64), np.nan), FeaturesNotIntegers),
        (np.full((4, 64), 0.5), FeaturesNotIntegers),
        (np.full((4, 64), 256), FeaturesNotIntegers),
        (np.full((4, 64), -1), FeaturesNotIntegers),
        (np.full((4, 64), "a"), FeaturesNotIntegers),
        (np.full((4, 64), 7, np.uint8), ConstantFeatures),
        (np.zeros((0, 64), np.uint8), ConstantFeatures),
        (np.zeros((4, 63), np.uint8), FeatureCountMismatch),
        (np.zeros(64, np.uint8), FeatureCountMismatch),
    ],
)
def test_bad_rows_are_refused(rows: npt.NDArray[Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        convolution_trunk(rows, seed=SEED, side=8, values=48)


def test_a_side_that_no_grid_divides_is_refused() -> None:
    with pytest.raises(FeatureCountMismatch):
        convolution_trunk(np.zeros((4, 81), np.uint8), seed=SEED, side=9)


def test_whole_numbers_of_another_type_are_taken_as_they_are() -> None:
    rows = DIGITS.features[:5]
    assert np.array_equal(plain_trunk(64).run(rows.astype(np.float64)), rows)


def test_filters_ignore_flat_areas_and_windows_are_even() -> None:
    filters = gabor(7, spread=1.8, frequency=1.2).astype(int)
    assert filters.shape == (32, 7, 7)
    assert np.abs(filters.sum(axis=(1, 2))).max() <= 12
    assert np.abs(filters).max() == 127
    assert np.array_equal(window(4), window(4)[::-1])
    assert (window(8).min(), window(8).max()) == (1, 15)


def test_shifted_images_move_by_one_pixel() -> None:
    image = np.arange(1, 17, dtype=np.uint8).reshape(1, 16)
    up, down, left, right = (moved.reshape(4, 4) for moved in shifted_images(image, 4))
    square = image.reshape(4, 4)
    assert np.array_equal(down[:3], square[1:])
    assert np.array_equal(up[1:], square[:3])
    assert np.array_equal(right[:, :3], square[:, 1:])
    assert np.array_equal(left[:, 1:], square[:, :3])
    assert up[0].max() == down[3].max() == 0
