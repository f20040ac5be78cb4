"""Compact bits: one encoding of each target, and the work of a target."""

import pytest

from engram.consensus.compact import bits_to_target, target_to_bits, work_of
from engram.consensus.errors import BadTarget


@pytest.mark.parametrize(
    ("target", "bits"),
    [
        (1, 0x01010000),
        (0x7F, 0x017F0000),
        (0x80, 0x02008000),
        (0x1234, 0x02123400),
        (0x123456, 0x03123456),
        (0xFFFF << 208, 0x1D00FFFF),
        (1 << 248, 0x20010000),
        (0xFFFF << 240, 0x2100FFFF),
    ],
)
def test_targets_with_few_digits_round_trip(target: int, bits: int) -> None:
    assert target_to_bits(target) == bits
    assert bits_to_target(bits) == target


def test_digits_beyond_the_mantissa_are_cut_off() -> None:
    assert bits_to_target(target_to_bits(2**256 - 1)) == 0xFFFF << 240
    assert bits_to_target(target_to_bits(0x12345678)) == 0x12345600


@pytest.mark.parametrize(
    "bits",
    [
        0,  # no target
        0x1D000000,  # a mantissa of zero
        0x1D80FFFF,  # sign bit
        0x1E0000FF,  # leading zero bytes
        0x1E007FFF,  # leading zero byte before a byte below 0x80
        0x01010001,  # bytes below the last
        0x00010000,  # size zero
        0x21010000,  # 2^256
        0xFF123456,
    ],
)
def test_other_bits_are_refused(bits: int) -> None:
    with pytest.raises(BadTarget) as caught:
        bits_to_target(bits)
    assert caught.value.code == "bad_target"
    assert caught.value.got == bits


def test_work_counts_expected_digests() -> None:
    assert work_of((1 << 248) - 1) == 256
    assert work_of(1 << 248) == 255
    assert work_of(2**256 - 1) == 1
    assert work_of(1) == 1 << 255
