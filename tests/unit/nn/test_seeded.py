"""Seeded tensors against a second implementation, their statistics, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engram.consensus.chainspec import main
from engram.nn.dtypes import DTYPES, INT8, INT16, INT32, UINT8
from engram.nn.errors import BadSeededTensor, UnknownGenerator
from engram.nn.seeded import SEEDED, Seeded, check_seeded, expand, generation_macs
from engram.primitives.types import ZERO_HASH
from tests.support import nn_reference

SEED = bytes(range(32))
ZEROS = Seeded(1, ZERO_HASH, INT32, (7,))
TERNARY = Seeded(2, SEED, INT8, (501, 4))
FIELDS = Seeded(3, SEED, INT8, (48, 30), (6, 8, 2, 5))


def test_zeros() -> None:
    array = expand(ZEROS)
    assert array.dtype == np.int32
    assert array.tolist() == [0] * 7


@pytest.mark.parametrize("dtype", [INT8, INT16, INT32])
def test_uniform_ternary(dtype: int) -> None:
    array = expand(replace(TERNARY, dtype=dtype))
    assert array.dtype == DTYPES[dtype]
    assert array.tolist() == nn_reference.uniform_ternary(TERNARY)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (7, 3), (20, 5), (331, 1000)])
def test_uniform_ternary_of_any_size(shape: tuple[int, int]) -> None:
    """Small ones, of which the first draw of bytes suffices for some seeds only, and more than one block."""
    for number in range(1 if shape[0] > 100 else 200):
        seeded = replace(TERNARY, seed=number.to_bytes(32, "big"), shape=shape)
        assert expand(seeded).tolist() == nn_reference.uniform_ternary(seeded)


def test_uniform_ternary_is_balanced() -> None:
    values, counts = np.unique(expand(replace(TERNARY, shape=(3000, 10))), return_counts=True)
    assert values.tolist() == [-1, 0, 1]
    assert all(abs(count - 10_000) < 500 for count in counts.tolist())


@pytest.mark.parametrize(
    "arguments", [(6, 8, 2, 5), (6, 8, 1, 1), (6, 8, 6, 99), (1, 48, 1, 48), (48, 1, 1, 3)]
)
def test_receptive_fields(arguments: tuple[int, ...]) -> None:
    seeded = replace(FIELDS, arguments=arguments)
    assert expand(seeded).tolist() == nn_reference.receptive_fields(seeded)


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((1, 5), (1, 1, 1, 1)),
        ((256, 9), (256, 1, 1, 256)),
        ((257, 30), (1, 257, 1, 257)),
        ((784, 1001), (28, 28, 6, 18)),
        ((70_000, 17), (70_000, 1, 1, 70_000)),
    ],
)
def test_receptive_fields_of_any_size(shape: tuple[int, int], arguments: tuple[int, ...]) -> None:
    """Sides at the limits of the types in which they are compared, several chunks and blocks."""
    seeded = replace(FIELDS, shape=shape, arguments=arguments)
    assert expand(seeded).tolist() == nn_reference.receptive_fields(seeded)


def test_a_receptive_field_is_one_full_rectangle() -> None:
    for column in expand(FIELDS).T.reshape(30, 6, 8):
        rows, columns = np.nonzero(column)
        sides = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert sides[0] * sides[1] == len(rows)
        assert all(2 <= side <= 5 for side in sides)


def test_another_seed_makes_another_tensor() -> None:
    assert not np.array_equal(expand(TERNARY), expand(replace(TERNARY, seed=ZERO_HASH)))
    assert not np.array_equal(expand(FIELDS), expand(replace(FIELDS, seed=ZERO_HASH)))


def test_drawing_is_charged_by_columns_and_elements() -> None:
    assert generation_macs(replace(ZEROS, shape=(10**6,))) == 0
    assert generation_macs(TERNARY) == 2**21 + 501 * 4 * 56
    assert generation_macs(FIELDS) == 2**21 + 30 * 2**12 + 48 * 30 * 104


def test_a_bank_and_a_projection_of_real_size_take_little_of_a_block() -> None:
    bank, projection = replace(TERNARY, shape=(512, 1_000)), replace(TERNARY, shape=(2_592, 512))
    assert generation_macs(bank) + generation_macs(projection) < main().rules.max_block_macs // 110


@pytest.mark.parametrize("seeded", [ZEROS, TERNARY, FIELDS])
def test_what_is_expanded_cannot_be_written(seeded: Seeded) -> None:
    assert not expand(seeded).flags.writeable


@pytest.mark.parametrize(
    ("seeded", "changes"),
    [
        (ZEROS, {"seed": SEED}),
        (ZEROS, {"arguments": (0,)}),
        (ZEROS, {"dtype": 9}),
        (ZEROS, {"shape": (2, 0)}),
        (TERNARY, {"dtype": UINT8}),
        (TERNARY, {"shape": (4,)}),
        (TERNARY, {"arguments": (1,)}),
        (FIELDS, {"arguments": (6, 8, 2)}),
        (FIELDS, {"arguments": (6, 7, 2, 5)}),
        (FIELDS, {"arguments": (6, 8, 0, 5)}),
        (FIELDS, {"arguments": (6, 8, 6, 5)}),
        (FIELDS, {"arguments": (6, 8, 7, 8)}),
        (FIELDS, {"shape": (4, 12, 30)}),
    ],
)
def test_what_cannot_be_made_is_refused(seeded: Seeded, changes: dict[str, Any]) -> None:
    check_seeded(seeded)
    with pytest.raises(BadSeededTensor) as caught:
        expand(replace(seeded, **changes))
    assert caught.value.code == "bad_seeded_tensor"


def test_an_unknown_generator_is_refused() -> None:
    with pytest.raises(UnknownGenerator) as caught:
        check_seeded(replace(ZEROS, generator=0))
    assert (caught.value.code, caught.value.expected, caught.value.got) == (
        "unknown_generator",
        tuple(SEEDED),
        0,
    )
