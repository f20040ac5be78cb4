"""Integer products of int8 operands, and the steps of an activation after them.

A product of int8 numbers is summed in int32. Values are kept less 128, so x·W is the product of what is kept,
and 128 times the sum of each column, which is folded into the bias once. Weights of 16 bits are two limbs,
w = 256·(w >> 8) + (w & 255), of which the lower one is kept less 128 as well: what that leaves out is 128
times the sum of each row, for which the product has a column of ones. Wide values are two limbs likewise.

The sum of one limb of each, and what is added to it, stays within Σ|w|·255 + |b|; where that fits int32, so
does every step. All other sums are put together in int64. No product runs over so many operands that an int32
could overflow within it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engram.nn.dtypes import IntArray
from engram.nn.fixed import INT32_MAX, Int64Array
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.steps import Clip, Root, RoundShift, Square, Step
from engram.node.engines.torch_device import Device
from engram.node.engines.torch_values import NARROW_ZERO, WIDE_ZERO, narrow, wide

LONGEST: Final = 2**16
"""A product runs over at most so many operands: 2^16·128·128 = 2^30."""
ROOT_VALUES: Final = 2**16
"""`Root` is of integers below this."""


@dataclass(frozen=True, eq=False)
class Product:
    """Weights (operands, columns) as int8 limbs, whose products with kept values are exact."""

    blocks: tuple[tuple[int, int, Tensor], ...]
    """First and last operand, and the limbs of their weights: those of all columns, limb after limb."""
    columns: int
    limbs: int
    sums: Int64Array
    """The sum of each column."""
    device: Device

    @classmethod
    def of(cls, weights: IntArray, device: Device) -> Product:
        """The product with int8 or int16 weights."""
        parts: list[npt.NDArray[np.int8]] = [weights.astype(np.int8)]
        if weights.dtype != np.int8:
            lower = ((weights & 255) - NARROW_ZERO).astype(np.int8)
            parts = [(weights >> 8).astype(np.int8), lower, np.ones((len(weights), 1), dtype=np.int8)]
        limbs = np.concatenate(parts, axis=1)
        blocks = []
        for begin in range(0, len(weights), LONGEST):
            block = limbs[begin : begin + LONGEST].T
            columns, operands = block.shape
            down = max(-operands % device.multiple, device.least_operands - operands)
            edges = [(0, -columns % device.multiple), (0, down)]
            # Column by column in memory, which is how the libraries want the second operand.
            laid = torch.from_numpy(np.ascontiguousarray(np.pad(block, edges))).to(device.torch).t()
            blocks.append((begin, begin + operands, laid))
        sums = weights.sum(axis=0, dtype=np.int64)
        return cls(tuple(blocks), weights.shape[1], len(parts), sums, device)

    def is_short(self, kept: torch.dtype) -> bool:
        """Whether products with values that are kept so come as int32; otherwise they come as int64."""
        return kept == torch.int8 and self.limbs == 1 and len(self.blocks) == 1

    def left_out(self, kept: torch.dtype) -> Int64Array:
        """What the product with values that are kept so lacks, for each column."""
        # Wide values lack 32,768, and their lower limb another 128.
        return self.sums * (NARROW_ZERO if kept == torch.int8 else WIDE_ZERO + NARROW_ZERO)

    def __call__(self, x: Tensor) -> Tensor:
        """The product of kept values (rows, operands), but for `left_out`."""
        if x.dtype == torch.int8:
            return self._of_limb(x)
        upper, lower = (x >> 8).to(torch.int8), narrow(x & 255)
        return self._of_limb(upper).to(torch.int64).mul_(256).add_(self._of_limb(lower))

    def _of_limb(self, x: Tensor) -> Tensor:
        if len(self.blocks) == 1:
            return self._put_together(self._multiplied(x, self.blocks[0][2]))
        total = torch.zeros((len(x), self.columns), dtype=torch.int64, device=x.device)
        for begin, end, weights in self.blocks:
            total += self._put_together(self._multiplied(x[:, begin:end], weights))
        return total

    def _multiplied(self, x: Tensor, weights: Tensor) -> Tensor:
        rows, down = max(0, self.device.least_rows - len(x)), weights.shape[0] - x.shape[1]
        operand = functional.pad(x, (0, down, 0, rows)) if rows or down else x.contiguous()
        found: Tensor = torch._int_mm(operand, weights)
        return found[: len(x)] if rows else found

    def _put_together(self, found: Tensor) -> Tensor:
        n = self.columns
        if self.limbs == 1:
            return found if found.shape[1] == n else found[:, :n]
        sums = found.to(torch.int64)
        return sums[:, :n] * 256 + sums[:, n : 2 * n] + sums[:, 2 * n : 2 * n + 1] * NARROW_ZERO


@dataclass(frozen=True, eq=False)
class Finish:
    """What follows a segment's sums: the rest of its constant, and the steps of its activation."""

    offset: Tensor
    """What is added to the sums: the bias, what the product left out, and the half of the first shift."""
    first: int
    """The bits of the first rounding shift."""
    rest: tuple[Step, ...]
    bits: int | None
    """The bits of the values that a hidden segment makes; None for an output."""
    relu: tuple[int, int] | None
    """The range of int8 to which a ReLU clips, if 128 is taken off before the shift; see `of`."""
    scalars: tuple[Tensor, ...]
    """`first` and `relu` on the device."""
    device: Device

    @classmethod
    def of(
        cls,
        segment: HiddenSegment | Output,
        constant: Int64Array,
        reach: int,
        *,
        short: bool,
        device: Device,
    ) -> Finish:
        """For sums to which `constant` is to be added, each column's own.

        `reach` is a magnitude that neither they, nor the constant with the half of the first shift, nor their
        sum exceeds, and at least the peak of the segment. `short` says whether the sums come as int32. A ReLU
        of up to 8 bits is kept less 128, which may be subtracted before the shift, if that fits.
        """
        steps = segment.steps()
        first, rest = (
            (steps[0], steps[1:]) if steps and isinstance(steps[0], RoundShift) else (RoundShift(0), steps)
        )
        bits = None if isinstance(segment, Output) else segment.bits
        fits = short and reach <= INT32_MAX
        lower = NARROW_ZERO << first.bits
        relu = None
        clipped = bits is not None and bits <= 8 and rest == (Clip(0, (1 << bits) - 1),)
        if bits is not None and clipped and fits and reach + lower <= INT32_MAX:
            relu = (-NARROW_ZERO, (1 << bits) - 1 - NARROW_ZERO)
        offset = constant + first.half - (lower if relu else 0)
        return cls(
            device.numbers(offset, torch.int32 if fits else torch.int64),
            first.bits,
            rest,
            bits,
            relu,
            tuple(device.numbers(np.array((first.bits, *(relu or ()))), torch.int32).unbind()),
            device,
        )

    def __call__(self, sums: Tensor, offset: Tensor | None = None) -> Tensor:
        """The values as they are kept, or the accumulators of an output. It may overwrite the sums.

        `offset` is `self.offset` in another shape, where the sums are not (…, columns).
        """
        added = self.offset if offset is None else offset
        if self.relu is not None:
            if self.device.fused is not None:
                return self.device.fused(sums, added, *self.scalars)
            return sums.add_(added).bitwise_right_shift_(self.first).clamp_(*self.relu).to(torch.int8)
        a = sums.to(added.dtype).add_(added)
        if self.first:
            a.bitwise_right_shift_(self.first)
        for step in self.rest:
            a = _STEPS[type(step)](step, a)
        if self.bits is None:
            return a
        return narrow(a) if self.bits <= 8 else wide(a)


def _round_shift(step: RoundShift, a: Tensor) -> Tensor:
    return a.add_(step.half).bitwise_right_shift_(step.bits) if step.bits else a


def _clip(step: Clip, a: Tensor) -> Tensor:
    return a.clamp_(step.lo, step.hi)


def _square(step: Square, a: Tensor) -> Tensor:
    return a.mul_(a)


def _root(step: Root, a: Tensor) -> Tensor:
    """By a table, because what a device calls a root may be off by one."""
    return _roots(a.device, a.dtype)[a.to(torch.int64)]


@lru_cache(maxsize=8)
def _roots(device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(Root().exact(np.arange(ROOT_VALUES, dtype=np.int64))).to(device, dtype)


_STEPS: Final[Mapping[type[Step], Callable[[Any, Tensor], Tensor]]] = {
    RoundShift: _round_shift,
    Clip: _clip,
    Square: _square,
    Root: _root,
}
