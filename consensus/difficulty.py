"""The target of the next block: the ASERT formula, and how a chain uses it. Integers only.

The formula is aserti3-2d of Bitcoin Cash ("ASERT Difficulty Adjustment Algorithm", version 0.6.3), in
milliseconds. It says how much a target must change when blocks came too fast or too slowly since an anchor.

Bitcoin Cash uses one fixed block as the anchor of all others. A chain that stood still for an hour is then an
hour behind for good, and makes up for the lost blocks at its easiest target, one right after the other. Here
the anchor of each block is its parent. While targets stay below `max_target`, the steps from parent to parent
multiply to what a fixed anchor would give. Once a pause has driven the target up to `max_target`, the rest of
the pause is forgotten, and the chain soon finds its pace again.
"""

from __future__ import annotations

from typing import Final

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec, has_work
from engram.consensus.compact import bits_to_target, shift, target_to_bits

_RADIX_BITS: Final = 16
_RADIX: Final = 1 << _RADIX_BITS
_CUBIC: Final = (195_766_423_245_049, 971_821_376, 5_127)
"""(2^(x / 2^16) - 1) · 2^16 for x below 2^16, as a polynomial in x with coefficients in units of 2^-48."""
_MAX_SHIFT: Final = 512
"""Shifts are cut to this many bits; a target shifted so far has left the range of 256 bits anyway."""


def asert(
    anchor_target: int, time_delta: int, height_delta: int, *, spacing: int, half_life: int, max_target: int
) -> int:
    """anchor_target · 2^((time_delta - spacing · (height_delta + 1)) / half_life), within 1 and `max_target`.

    The result is the target of the block after the last one. `time_delta` is the time from the anchor's
    parent to the last block, `height_delta` the number of blocks from the anchor to the last block. Times,
    spacing and half-life share one unit.
    """
    exponent = _divide((time_delta - spacing * (height_delta + 1)) << _RADIX_BITS, half_life)
    whole, fraction = exponent >> _RADIX_BITS, exponent & (_RADIX - 1)
    if whole > _MAX_SHIFT:
        return max_target
    first, second, third = _CUBIC
    polynomial = first * fraction + second * fraction**2 + third * fraction**3
    factor = _RADIX + ((polynomial + (1 << 47)) >> 48)
    target = shift(anchor_target * factor, max(whole, -_MAX_SHIFT) - _RADIX_BITS)
    return min(max(target, 1), max_target)


def next_bits(spec: ChainSpec, parent: BlockHeader, grandparent: BlockHeader | None) -> int:
    """Compact bits of the block after `parent`: ASERT with the parent as anchor.

    Genesis was not mined, so the time between it and block 1 measures nothing; the blocks at heights 1 and 2
    therefore have the genesis target. `grandparent`, the block before `parent`, is read from parent height 2
    on. On a chain without work, every block has the genesis target.
    """
    if parent.height < 2 or not has_work(spec):
        return target_to_bits(int.from_bytes(spec.genesis_target, "big"))
    assert grandparent is not None, "callers keep the last headers, at least two from height 1 on"
    target = asert(
        bits_to_target(parent.target),
        parent.timestamp_ms - grandparent.timestamp_ms,
        0,
        spacing=spec.block_time_ms,
        half_life=spec.half_life_ms,
        max_target=int.from_bytes(spec.max_target, "big"),
    )
    return target_to_bits(target)


def _divide(numerator: int, denominator: int) -> int:
    """The quotient rounded towards zero, as in the C code that made the published test vectors."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient
