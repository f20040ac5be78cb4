"""Targets in 32 bits, by Bitcoin's compact form but with only one encoding of each target; and their work."""

from __future__ import annotations

from engram.consensus.errors import BadTarget


def bits_to_target(bits: int) -> int:
    """The target of compact bits: the low 23 bits times 256^(top byte - 3), rounded down.

    Raises `BadTarget` unless `bits` is the one canonical form of a target from 1 to 2^256 - 1: no sign bit,
    no leading zero byte, nothing below the last byte.
    """
    size, mantissa = bits >> 24, bits & 0x7FFFFF
    target = shift(mantissa, 8 * (size - 3))
    if not 1 <= target < 1 << 256 or target_to_bits(target) != bits:
        raise BadTarget("bits are not canonical", got=bits)
    return target


def target_to_bits(target: int) -> int:
    """The compact bits of a target from 1 to 2^256 - 1. They keep its first 16 to 23 bits and no more."""
    size = (target.bit_length() + 7) >> 3
    mantissa = shift(target, 8 * (3 - size))
    if mantissa & 0x800000:  # the bit that Bitcoin's format uses as a sign
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def work_of(target: int) -> int:
    """The number of digests to be tried, on average, until one meets the target: ⌊2^256 / (target + 1)⌋."""
    return (1 << 256) // (target + 1)


def shift(number: int, bits: int) -> int:
    """number · 2^bits, rounded down."""
    return number << bits if bits >= 0 else number >> -bits
