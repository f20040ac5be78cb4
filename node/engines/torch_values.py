"""Values of layers as PyTorch tensors: how they are kept, put side by side, and taken home.

A value of up to 8 bits is kept as int8, less 128, and a wider one as int16, less 32,768. So they take the
bytes that numpy's unsigned integers take, and the narrow ones are operands of int8 products as they stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from engram.nn.evaluate import Layer
from engram.nn.layers import HiddenSegment, Output
from engram.nn.layers.reading import Interval

NARROW_ZERO: Final = 128
"""What a value of up to 8 bits is less than its number in a tensor of int8, negated."""
WIDE_ZERO: Final = 32_768
"""The same for wider values, in int16."""


def narrow(values: Tensor) -> Tensor:
    """Integers of 0 to 255 less 128, as int8."""
    return (values - NARROW_ZERO).to(torch.int8)


def wide(values: Tensor) -> Tensor:
    """Integers of 0 to 65,535 less 32,768, as int16."""
    return (values - WIDE_ZERO).to(torch.int16)


def plain(values: Tensor, dtype: torch.dtype = torch.int32) -> Tensor:
    """The numbers themselves, of values as they are kept."""
    return values.to(dtype).add_(NARROW_ZERO if values.dtype == torch.int8 else WIDE_ZERO)


def widened(values: Tensor) -> Tensor:
    """Kept values as int16, whatever their number of bits."""
    return values if values.dtype == torch.int16 else wide(plain(values))


def uploaded(layer: Layer, device: torch.device) -> Tensor:
    """A layer (n, width) of numpy as it is kept here."""
    # In two's complement, turning over the highest bit subtracts what kept values are less than themselves.
    turned = np.bitwise_xor(layer, layer.dtype.type(NARROW_ZERO if layer.dtype == np.uint8 else WIDE_ZERO))
    signed = turned.view(np.int8 if layer.dtype == np.uint8 else np.int16)
    return torch.from_numpy(signed).to(device)


def downloaded(values: Tensor) -> Layer:
    """A kept layer as numpy has it: uint8 or uint16."""
    signed = values.cpu().numpy()
    narrow_ones = signed.dtype == np.int8
    unsigned = signed.view(np.uint8 if narrow_ones else np.uint16)
    layer: Layer = np.bitwise_xor(unsigned, unsigned.dtype.type(NARROW_ZERO if narrow_ones else WIDE_ZERO))
    return layer


@dataclass
class Pieces:
    """The neurons of one layer of some rows, as tensors side by side, copied only where they must be."""

    tensors: list[Tensor] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def append(self, values: Tensor) -> None:
        """Adds the neurons that a segment has made (rows, width)."""
        self.tensors.append(values)
        self.ends.append((self.ends[-1] if self.ends else 0) + values.shape[1])

    def between(self, lo: int, hi: int) -> list[Tensor]:
        """Neurons lo, …, hi - 1, as views."""
        found, begin = [], 0
        for tensor, end in zip(self.tensors, self.ends, strict=True):
            first, last = max(lo, begin), min(hi, end)
            if first < last:
                found.append(tensor[:, first - begin : last - begin])
            begin = end
        return found

    def whole(self) -> Tensor:
        """All neurons as one tensor, in the narrower form that holds them all."""
        return side_by_side(self.tensors)


def read(layers: list[Pieces], segment: HiddenSegment | Output) -> Tensor:
    """What a segment reads (rows, fan_in), its intervals side by side."""
    intervals: tuple[Interval, ...] = segment.intervals
    return side_by_side(
        [tensor for each in intervals for tensor in layers[each.layer].between(each.lo, each.hi)]
    )


def side_by_side(tensors: list[Tensor]) -> Tensor:
    """Kept values (rows, …) as one tensor (rows, all of them)."""
    if len(tensors) == 1:
        return tensors[0]
    if len({tensor.dtype for tensor in tensors}) > 1:
        tensors = [widened(tensor) for tensor in tensors]
    return torch.cat(tensors, dim=1)
